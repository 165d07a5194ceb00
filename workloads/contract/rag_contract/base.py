"""The base of every contract model: immutable, closed, camelCase on the wire."""

from pydantic import BaseModel, ConfigDict
from pydantic.alias_generators import to_camel


class Contract(BaseModel):
    """An immutable value; unknown fields are errors, so that the two sides cannot drift apart in silence."""

    model_config = ConfigDict(frozen=True, extra="forbid", alias_generator=to_camel, populate_by_name=True)

    def to_json(self) -> str:
        """Canonical JSON: camelCase keys in field order, no spaces."""
        return self.model_dump_json(by_alias=True)
