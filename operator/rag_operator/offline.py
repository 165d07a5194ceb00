"""`render`: what one RagService becomes, printed by the code that applies it, without a cluster.

The file may hold, beside the RagService, the ConfigMaps that it names; without them the parts that need them are left out,
as the operator leaves them out until they exist.
"""

import asyncio
from collections.abc import Iterable
from typing import Any

import yaml
from pydantic import ValidationError

from .api import RagService
from .api.reasons import Reason
from .checks import first_problem
from .cluster.references import References
from .errors import InvalidSpec
from .observed import Observed
from .releases import make_plan
from .resources import build_all
from .settings import Settings

Json = dict[str, Any]
PLACEHOLDER_UID = "00000000-0000-0000-0000-000000000000"


def render(text: str, settings: Settings) -> str:
    """YAML documents of all children, as the first pass applies them. Raises InvalidSpec for what would be refused."""
    try:
        documents = [document for document in yaml.safe_load_all(text) if isinstance(document, dict)]
    except yaml.YAMLError as error:
        raise InvalidSpec(Reason.InvalidObject, f"the file is no YAML: {error}") from error
    services = [document for document in documents if document.get("kind") == "RagService"]
    if len(services) != 1:
        raise InvalidSpec(Reason.InvalidObject, f"the file holds {len(services)} RagServices; render takes one.")
    observed = _observed(services[0], documents)
    plan = make_plan(observed)
    problem = first_problem(observed, plan)
    if problem is not None:
        raise problem
    children = build_all(observed.service, observed, plan, settings)
    return yaml.safe_dump_all(children, sort_keys=False, allow_unicode=True)


def _observed(body: Json, documents: Iterable[Json]) -> Observed:
    """The world before the first pass: the service, and the ConfigMaps of the same file."""
    metadata = {"namespace": "default", "uid": PLACEHOLDER_UID, "generation": 1, **(body.get("metadata") or {})}
    body = {**body, "metadata": metadata}
    try:
        service = RagService.model_validate(body)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        field = ".".join(str(part) for part in first["loc"])
        raise InvalidSpec(Reason.InvalidObject, f"{field}: {first['msg']}") from error
    maps = {doc["metadata"]["name"]: doc for doc in documents if doc.get("kind") == "ConfigMap"}

    async def get(_: str, name: str) -> Json | None:
        return maps.get(name)

    references = asyncio.run(References(get, lambda: 0.0).of(service))
    return Observed(service=service, body=body, references=references)
