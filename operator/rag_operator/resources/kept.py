"""Pod templates stay as they were rendered until the user edits what they are made of: another operator restarts nothing.

    fresh rendering, live object with a note --> same subject: the noted template; else the fresh one, with a note of it

The note is an annotation of the Deployment or StatefulSet, never of its pods: what the template was made of (a hash), which
build of the operator rendered it, and the template itself, packed. What somebody changes in the live template by hand is thus
known and undone, also after an upgrade. A note that cannot be read counts as none.
"""

import base64
import binascii
import json
import zlib
from typing import Any, NamedTuple

from .. import names
from ..releases.identity import digest
from ..settings import PACKAGE_VERSION, Settings

Json = dict[str, Any]


class Note(NamedTuple):
    """What a template was made of, by which build of the operator, and the template."""

    subject: str
    build: str
    template: Json


def build_of(settings: Settings) -> str:
    """Names a build of the operator with its default images, in eight hex digits."""
    return digest([PACKAGE_VERSION, settings.api_image, settings.model_image, settings.qdrant_image])[:8]


def keep(made: Json, live: Json | None, subject: Any, settings: Settings, *, renew: bool = False) -> Json:
    """`made` with the template that its live object was given for the same subject, and a note of it.

    `subject` is what the user decides of the template. With `renew` the fresh template is taken all the same.
    """
    said, known, text = digest(subject), note_of(live), annotation(live)
    if known is None or known.subject != said or (renew and known.template != made["spec"]["template"]):
        known = Note(said, build_of(settings), made["spec"]["template"])
        text = written(known)
    return {**noted(made, text), "spec": {**made["spec"], "template": known.template}}


def noted(made: Json, text: str) -> Json:
    """`made` with this note as it is written."""
    metadata = made["metadata"]
    annotations = {**metadata.get("annotations", {}), names.ANNOTATION_RENDERED: text}
    return {**made, "metadata": {**metadata, "annotations": annotations}}


def is_outdated(made: Json, live: Json | None, settings: Settings) -> bool:
    """Whether another build of the operator rendered the live object's template, and this one would render another."""
    known = note_of(live)
    return known is not None and known.build != build_of(settings) and known.template != made["spec"]["template"]


def note_of(live: Json | None) -> Note | None:
    """The note on an object; None where there is none that can be read."""
    text = annotation(live)
    try:
        subject, build, packed = text.split(".")
        template = json.loads(zlib.decompress(base64.b64decode(packed, validate=True)))
    except (ValueError, binascii.Error, zlib.error):
        return None
    return Note(subject, build, template) if isinstance(template, dict) else None


def annotation(live: Json | None) -> str:
    """The note as it is written; empty where there is none."""
    return str(((live or {}).get("metadata", {}).get("annotations") or {}).get(names.ANNOTATION_RENDERED, ""))


def written(note: Note) -> str:
    """The note as the annotation holds it."""
    text = json.dumps(note.template, sort_keys=True, separators=(",", ":"))
    return f"{note.subject}.{note.build}.{base64.b64encode(zlib.compress(text.encode(), 9)).decode()}"
