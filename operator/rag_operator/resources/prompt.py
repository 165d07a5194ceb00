"""Prompt contents as immutable ConfigMaps, one for each content that a kept revision names: what was said, on the record."""

from typing import Any

from rag_contract.release_table import PromptRelease

from .. import names
from ..api import RagService

Json = dict[str, Any]


def config_map(svc: RagService, prompt: PromptRelease) -> Json:
    """One prompt content. The version is a label only: several versions may name the same content."""
    return {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {
            "name": names.prompt(svc.metadata.name, prompt.hash),
            "labels": {names.LABEL_COMPONENT: names.COMPONENT_PROMPT, names.LABEL_PROMPT: prompt.version},
        },
        "immutable": True,
        "data": {names.PROMPT_SYSTEM_KEY: prompt.system, names.PROMPT_REFUSAL_KEY: prompt.refusal},
    }
