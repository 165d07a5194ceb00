"""What the spec says of the model: the part that makes a release, and the policy that changes at once. Pure."""

from rag_contract.release_table import ModelRelease, Policy

from ..api import RagService, RagServiceSpec
from .identity import digest


def wanted_model(service: RagService) -> ModelRelease:
    """What turns sources into answers, as declared."""
    spec = service.spec.model
    return ModelRelease(
        runtime=spec.runtime.value,
        name="extractive",
        hash=digest({"runtime": spec.runtime.value, "sentences": spec.extractive.max_sentences}),
        max_sentences=spec.extractive.max_sentences,
    )


def wanted_policy(spec: RagServiceSpec) -> Policy:
    """How answers are made, whatever the revision."""
    return Policy()
