"""A folder of a volume, as users write it."""

from typing import Annotated

from pydantic import Field

from .base import Matches

RelativePath = Annotated[
    str,
    Field(min_length=1, max_length=512),
    Matches("^/", "must be relative to the volume: remove the leading /", forbidden=True),
    Matches(r"(^|/)\.{1,2}(/|$)", 'must stay inside the volume: no "." and no ".." in the path', forbidden=True),
    Matches(
        r"""^[^\x00-\x1f\x7f!"#$%&'()*:;<=>?\[\\\]^`{|}~]+$""",
        "must be a plain folder path: no control, quoting, wildcard or shell characters",
    ),
]
