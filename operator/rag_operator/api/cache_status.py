"""`status.modelCache`: which weights the cache's volume keeps, and what they weigh."""

from typing import Annotated

from pydantic import ConfigDict, Field

from .base import Part, optional_in_schema


class KeptWeights(Part):
    """Weights of a model that is declared, that serves, or that can be gone back to."""

    model_config = ConfigDict(json_schema_extra=optional_in_schema)

    model: Annotated[str, Field(max_length=256)] = Field(description="Name of the model.")
    revision: Annotated[str, Field(max_length=128)] = Field(description="Revision of its weights.")
    key: Annotated[str, Field(max_length=64)] = Field(description="Their folder below weights/ on the volume.")
    bytes: Annotated[int, Field(ge=0)] | None = Field(
        default=None, description="Bytes of their files, as downloaded; absent until they are."
    )


class ModelCacheStatus(Part):
    """What is kept on the cache's volume."""

    model_config = ConfigDict(json_schema_extra=optional_in_schema)

    claim: Annotated[str, Field(max_length=253)] = Field(description="Name of the volume's claim.")
    bytes: Annotated[int, Field(ge=0)] = Field(
        description="Bytes of all weights that are known to be kept, what the engine compiled apart."
    )
    kept: tuple[KeptWeights, ...] = Field(
        default=(),
        max_length=64,
        description="Weights that are kept, by name of the model. All others go with the next download.",
        json_schema_extra={"x-kubernetes-list-type": "atomic"},
    )
