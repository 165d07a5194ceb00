"""How a model is named: for the model server and for the embedding server alike."""

from typing import Annotated

from pydantic import Field

from .base import Matches

ModelName = Annotated[
    str,
    Field(min_length=1, max_length=256),
    Matches(
        r"^[A-Za-z0-9][A-Za-z0-9._:/@+-]*$",
        'must be the name of a model, like Qwen/Qwen2.5-1.5B-Instruct: letters, digits and "._:/@+-", no spaces',
    ),
]

ModelRevision = Annotated[
    str,
    Field(min_length=1, max_length=128),
    Matches(
        r"^[A-Za-z0-9]([A-Za-z0-9._/-]*[A-Za-z0-9])?$",
        "must be a commit (40 hex digits), a tag or a branch of the model's repository",
    ),
]
