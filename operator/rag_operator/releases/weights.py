"""Where the weights of a model come from, as a record keeps it and as the spec says it. Pure.

    spec.model.vllm.source --> Weights, in the record of the release
    Weights                --> a source again, for going back to a model whose source the spec no longer holds

What is downloaded is named by the model's name and revision, wherever it is fetched from. What is mounted is named by nothing else
than the volume or image: that is part of what the model is.
"""

from typing import Any

from rag_contract.release_table import Weights

from .. import names
from ..api.base import SecretKeyReference
from ..api.model_source import ClaimWeights, HubSource, ImageWeights, ModelSource, S3Source, SecretReference
from ..observed import Json

MOUNTED_PATH = "/var/lib/rag-model"
"""Where weights on a volume or in an image of the user's are seen."""


def recorded(source: ModelSource) -> Weights:
    """What the spec says."""
    claim, image, s3, hub = source.persistent_volume_claim, source.image, source.s3, source.hub
    if claim is not None:
        return Weights(source="Volume", reference=claim.claim_name, path=claim.path)
    if image is not None:
        return Weights(source="Image", reference=image.reference, path=image.path)
    if s3 is not None:
        secret = s3.credentials_secret_ref.name if s3.credentials_secret_ref is not None else None
        return Weights(source="S3", reference=s3.url, endpoint=s3.endpoint, region=s3.region, secret=secret)
    if hub is None:
        return Weights(source="Hub")
    token = hub.token_secret_ref
    return Weights(source="Hub", endpoint=hub.endpoint, secret=f"{token.name}/{token.key}" if token else None)


def source_of(weights: Weights) -> ModelSource:
    """The source that was recorded."""
    if weights.source == "Hub":
        name, _, key = (weights.secret or "").partition("/")
        token = SecretKeyReference(name=name, key=key) if name else None
        return ModelSource(hub=HubSource(endpoint=weights.endpoint, token_secret_ref=token))
    assert weights.reference is not None  # noqa: S101 - all others name something
    if weights.source == "S3":
        secret = SecretReference(name=weights.secret) if weights.secret is not None else None
        return ModelSource(
            s3=S3Source(
                url=weights.reference, endpoint=weights.endpoint, region=weights.region, credentials_secret_ref=secret
            )
        )
    if weights.source == "Image":
        return ModelSource(image=ImageWeights(reference=weights.reference, path=weights.path))
    return ModelSource(persistent_volume_claim=ClaimWeights(claim_name=weights.reference, path=weights.path))


def identity_of(weights: Weights | None) -> dict[str, Any] | None:
    """What of it is part of what the model is; None for what is downloaded."""
    if weights is None or weights.source not in {"Volume", "Image"}:
        return None
    return weights.model_dump(mode="json", exclude_none=True)


def mounts(deployment: Json, weights: Weights) -> bool:
    """Whether these pods read exactly these weights, which the user mounts."""
    pod = deployment["spec"]["template"]["spec"]
    volume: Json = next((one for one in pod.get("volumes") or () if one["name"] == names.VOLUME_WEIGHTS), {})
    container = pod["containers"][0]
    if weights.source == "Image":
        folder = (container.get("args") or [""])[0].removeprefix(MOUNTED_PATH).strip("/")
        return ((volume.get("image") or {}).get("reference"), folder) == (
            weights.reference,
            (weights.path or "").strip("/"),
        )
    paths = [one.get("subPath") for one in container.get("volumeMounts") or () if one["name"] == names.VOLUME_WEIGHTS]
    name = (volume.get("persistentVolumeClaim") or {}).get("claimName")
    return (name, paths) == (weights.reference, [weights.path])
