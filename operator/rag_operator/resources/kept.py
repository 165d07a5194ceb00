"""Pod templates stay as they were rendered until the user edits what they are made of: another operator restarts nothing.

    fresh rendering, live object with a note --> same subject: the noted template; else the fresh one, with a note of it
    a roll-out that does not end while the former pods serve --> the template that was last rolled out whole (`keep_good`)

The note is an annotation of the Deployment or StatefulSet, never of its pods: what the template was made of (a hash), which
build of the operator rendered it, and the template itself, packed. What somebody changes in the live template by hand is thus
known and undone, also after an upgrade. A note that cannot be read counts as none.
"""

import base64
import binascii
import json
import zlib
from collections.abc import Callable
from typing import Any, NamedTuple

from .. import names
from ..releases.identity import digest
from ..releases.roll_out import is_settled
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


def keep_good(made: Json, live: Json | None, subject: Any, settings: Settings, *, renew: bool = False) -> Json:
    """As `keep`; and a Deployment whose new pods do not become ready in time gets the template back that was good.

    It stays so until the subject is another, or `renew`.
    """
    wanted = keep(made, live, subject, settings, renew=renew)
    now, then = note_of(wanted), note_of(live)
    good, returned = annotation(live, names.ANNOTATION_LAST_GOOD), annotation(live, names.ANNOTATION_RETURNED)
    if now != then:
        returned = "false"
        if then is not None and live is not None and _rolled_out(live):
            good = annotation(live)
    former = _read(good)
    if now is not None and now == then and former is not None and live is not None and _failed(live):
        wanted = noted(
            {**wanted, "spec": {**wanted["spec"], "template": former.template}},
            written(now._replace(template=former.template)),
        )
        returned = "true"
    if good:
        wanted = noted(noted(wanted, good, names.ANNOTATION_LAST_GOOD), returned, names.ANNOTATION_RETURNED)
    return wanted


def _rolled_out(live: Json) -> bool:
    return live["spec"].get("replicas", 1) > 0 and is_settled(live)


def _failed(live: Json) -> bool:
    """Its new pods were not ready in time, and all that are wanted of the former ones are: it is not what both need that is down."""
    status, replicas = live.get("status") or {}, live["spec"].get("replicas", 1)
    seen = status.get("observedGeneration", 0) >= live["metadata"].get("generation", 0)
    late = any(
        (c["type"], c["status"], c.get("reason")) == ("Progressing", "False", "ProgressDeadlineExceeded")
        for c in status.get("conditions") or ()
    )
    return seen and late and 0 < replicas <= status.get("availableReplicas", 0)


def noted(made: Json, text: str, name: str = names.ANNOTATION_RENDERED) -> Json:
    """`made` with this note as it is written."""
    metadata = made["metadata"]
    annotations = {**metadata.get("annotations", {}), name: text}
    return {**made, "metadata": {**metadata, "annotations": annotations}}


def is_outdated(made: Callable[[], Json], live: Json | None, settings: Settings) -> bool:
    """Whether another build of the operator rendered the live object's template, and this one would render another.

    Each pass asks, and nearly always this build rendered it: then nothing is unpacked and `made` is not rendered.
    """
    if f".{build_of(settings)}." in annotation(live):
        return False
    known = note_of(live)
    return known is not None and known.template != made()["spec"]["template"]


def is_made_of(live: Json | None, subject: Any) -> bool:
    """Whether the live object's template was noted for this subject."""
    return annotation(live).startswith(f"{digest(subject)}.")


def note_of(live: Json | None) -> Note | None:
    """The note on an object; None where there is none that can be read."""
    return _read(annotation(live))


def _read(text: str) -> Note | None:
    try:
        subject, build, packed = text.split(".")
        template = json.loads(zlib.decompress(base64.b64decode(packed, validate=True)))
    except (ValueError, binascii.Error, zlib.error):
        return None
    return Note(subject, build, template) if isinstance(template, dict) else None


def annotation(live: Json | None, name: str = names.ANNOTATION_RENDERED) -> str:
    """The note as it is written; empty where there is none."""
    return str(((live or {}).get("metadata", {}).get("annotations") or {}).get(name, ""))


def written(note: Note) -> str:
    """The note as the annotation holds it."""
    text = json.dumps(note.template, sort_keys=True, separators=(",", ":"))
    return f"{note.subject}.{note.build}.{base64.b64encode(zlib.compress(text.encode(), 9)).decode()}"
