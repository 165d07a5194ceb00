"""What answered: the same facts in headers, logs and answers, so that each answer can be traced to its release."""

from urllib.parse import quote

from rag_contract.release_table import ModelRelease, Revision

from .context import RequestContext

ATTRIBUTES = {
    "revision": "rag.revision",
    "prompt_version": "rag.prompt.version",
    "prompt_hash": "rag.prompt.hash",
    "index_version": "rag.index.version",
    "index_hash": "rag.index.hash",
    "model_version": "rag.model.version",
    "model_hash": "rag.model.hash",
}
"""What spans call the facts of a release."""
_VERSIONS = ("revision", "prompt_version", "index_version", "model_version")


def model_version(model: ModelRelease) -> str:
    """Name of the model, with the revision of its weights where it has one: `name@revision`."""
    return f"{model.name}@{model.revision}" if model.revision else model.name


def tell(context: RequestContext, revision: Revision) -> None:
    """Put it into the headers of the answer, the facts of the log line, and the spans from here on."""
    model = model_version(revision.model)
    context.headers += [
        (b"x-rag-revision", b"%d" % revision.number),
        (b"x-rag-prompt", _text(f"{revision.prompt.version}@{revision.prompt.hash}")),
        (b"x-rag-index", _text(f"{revision.index.version}@{revision.index.hash}")),
        (b"x-rag-model", _text(f"{model}@{revision.model.hash}")),
    ]
    told: dict[str, str | int] = {
        "revision": revision.number,
        "prompt_version": revision.prompt.version,
        "prompt_hash": revision.prompt.hash,
        "index_version": revision.index.version,
        "index_hash": revision.index.hash,
        "model_version": model,
        "model_hash": revision.model.hash,
    }
    context.facts |= told
    if context.span.recording:  # the request's own span is told by `telemetry`
        context.span.share({ATTRIBUTES[name]: told[name] for name in _VERSIONS})


def _text(value: str) -> bytes:
    """As a header may hold it: anything that is not plain is percent-encoded."""
    return quote(value, safe="/@:+,=").encode()
