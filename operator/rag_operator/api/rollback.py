"""`spec.rollback`: going back to content that was released before, without touching the rest of the spec."""

from typing import Annotated, Self

from pydantic import Field, model_validator

from .base import Part, VersionName, cel, ruled

_ALONE = "revision goes back as a whole: remove prompt, index and model, or remove revision"


class Rollback(Part):
    """An overlay on the spec. What it names is served from kept content, whatever the spec says; removing it goes forward."""

    model_config = ruled(
        cel("!has(self.revision) || !(has(self.prompt) || has(self.index) || has(self.model))", _ALONE),
    )

    prompt: VersionName | None = Field(
        default=None, description="Version of a kept prompt that is served instead of spec.prompt."
    )
    index: VersionName | None = Field(
        default=None, description="Version of a kept index that is served instead of spec.index."
    )
    model: Annotated[str, Field(min_length=1, max_length=320)] | None = Field(
        default=None,
        description="A kept model that is served instead of spec.model: its name, name@revision, or hash, as the"
        " RagRevisions show them. A name alone means the newest of that name that is not the declared one.",
    )
    revision: Annotated[int, Field(ge=1, le=2_147_483_647)] | None = Field(
        default=None,
        description="Number of a kept RagRevision that is served as a whole: prompt, index, model, retrieval and API image.",
    )

    @property
    def is_set(self) -> bool:
        """Whether it names anything."""
        return any((self.prompt, self.index, self.model, self.revision))

    @model_validator(mode="after")
    def _revision_alone(self) -> Self:
        if self.revision is not None and (self.prompt or self.index or self.model):
            raise ValueError(_ALONE)
        return self
