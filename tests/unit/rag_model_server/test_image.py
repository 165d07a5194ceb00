"""The Dockerfile's target `model-server`: vLLM's image with two packages that need nothing which vLLM has not."""

import ast
import json
import sys
from pathlib import Path

from rag_contract.model_server import ENGINE_PORT, LAUNCHER_PORT

from tests.vllm import environment
from tests.vllm.servers import PACKAGES

ROOT = Path(__file__).resolve().parents[3]
OF_VLLM = {"aiohttp", "pydantic"}
"""vllm's own requirements hold both."""


def instructions() -> list[tuple[str, str]]:
    """Of the target, after its FROM."""
    text = (ROOT / "Dockerfile").read_text(encoding="utf-8").replace("\\\n", " ")
    _, _, target = text.partition("FROM ${VLLM_IMAGE} AS model-server\n")
    lines = [line for line in target.partition("\nFROM ")[0].splitlines() if line and not line.startswith("#")]
    return [(word, rest.strip()) for word, _, rest in (line.partition(" ") for line in lines)]


def only(word: str) -> str:
    (found,) = [rest for name, rest in instructions() if name == word]
    return found


def test_it_is_made_from_the_vllm_that_was_tried() -> None:
    dockerfile = (ROOT / "Dockerfile").read_text(encoding="utf-8")
    assert f"ARG VLLM_IMAGE=vllm/vllm-openai:v{environment.VERSION.partition('+')[0]}\n" in dockerfile


def test_it_starts_the_launcher_as_an_ordinary_user_on_the_agreed_ports() -> None:
    assert ["python3", "-m", "rag_model_server"] == json.loads(only("ENTRYPOINT"))
    assert f"{ENGINE_PORT} {LAUNCHER_PORT}" == only("EXPOSE")
    assert "10001:10001" == only("USER")


def test_it_holds_the_packages_that_the_trial_runs() -> None:
    copied = [rest.split() for name, rest in instructions() if name == "COPY"]
    assert [f"workloads/{package}" for package in PACKAGES] == [origin for origin, _ in copied]
    (folder,) = {str(Path(target).parent) for _, target in copied}
    assert f"PYTHONPATH={folder}" in only("ENV").split()


def test_its_packages_need_nothing_that_vllm_has_not() -> None:
    files = [file for package in PACKAGES for file in (ROOT / "workloads" / package).glob("*.py")]
    assert files
    ours = {Path(package).name for package in PACKAGES}
    found = {(module, file.name) for file in files for module in imported(file)}
    assert set() == {(m, f) for m, f in found if m not in {*sys.stdlib_module_names, *ours, *OF_VLLM}}
    lock = (ROOT / "tests/vllm/requirements.lock").read_text(encoding="utf-8")
    assert [] == [name for name in OF_VLLM if f"\n{name}==" not in lock]


def imported(file: Path) -> set[str]:
    """Top-level modules that a file imports; none for its own package."""
    found = set()
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name.partition(".")[0] for alias in node.names}
        if isinstance(node, ast.ImportFrom) and node.level == 0:
            found.add(str(node.module).partition(".")[0])
    return found
