"""The Lua that Argo CD runs, run by Lua, on statuses that the operator wrote."""

from pathlib import Path
from typing import Any

import pytest
from lupa import LuaRuntime

from .statuses import recorded

SCRIPT = Path(__file__).resolve().parents[3] / "config" / "gitops" / "argocd" / "health.lua"
STATUSES = recorded()


def health(body: dict[str, Any]) -> tuple[str, str]:
    """Status and message, in a Lua with nothing but the object and the basic library, as Argo CD has it."""
    lua = LuaRuntime(unpack_returned_tuples=True, register_eval=False, register_builtins=False)
    lua.globals()["obj"] = lua.table_from(body, recursive=True)
    result = lua.execute(SCRIPT.read_text())
    return str(result["status"]), str(result["message"])


@pytest.mark.parametrize(
    ("name", "expected", "words"),
    [
        ("ready", "Healthy", "every API pod"),
        ("new", "Progressing", "not looked"),
        ("starting", "Progressing", "QdrantStarting"),
        ("edited", "Progressing", "last edit"),
        ("silent", "Progressing", "ApiUnreachable"),
        ("broken", "Degraded", '"nowhere"'),
        ("suspended", "Suspended", "spec.suspend"),
    ],
)
def test_health_is_what_the_status_says(name: str, expected: str, words: str) -> None:
    status, message = health(STATUSES[name])
    assert expected == status, STATUSES[name].get("status")
    assert words in message
