"""The processes of one run: two model servers behind their launchers, the index Job, the RAG API.

service.yaml --> rendered Deployment --> launcher --> vLLM (generates) <--- API <--- test
                                         launcher --> vLLM (embeds) <------ API, index Job
"""

import re
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from rag_contract.model_server import ModelServerEnvironment
from rag_contract.release_table import FILE_NAME, ReleaseTable
from rag_operator import names

from tests.model_server_double.fixture import free_port
from tests.model_server_double.launched import TERMINATION, Launched

from . import differences, environment
from .rendering import Rendered

START_SECONDS = 600.0
WEIGHTS_PATH = "/var/lib/rag-model"
PACKAGES = ("contract/rag_contract", "model_server/rag_model_server")


def packages(folder: Path) -> Path:
    """The two packages that the image holds beside vLLM's Python, and nothing else of ours."""
    made = folder / "packages"
    made.mkdir(exist_ok=True)
    for package in PACKAGES:
        link = made / Path(package).name
        if not link.exists():
            link.symlink_to(environment.ROOT / "workloads" / package)
    return made


def make_tiny(folder: Path) -> Path:
    """The model's folder."""
    program = environment.HERE / "tiny_llama.py"
    python = environment.folder() / "bin" / "python"
    subprocess.run([python, program, folder], check=True, capture_output=True, timeout=START_SECONDS)
    return folder


def launch(folder: Path, arguments: list[str], variables: dict[str, str]) -> Launched:
    """The image's entry point, with what its container is told and no other variable but those of the image."""
    folder.mkdir()
    programs = environment.folder() / "bin"
    image = {**differences.IMAGE, "PATH": f"{programs}:/usr/bin:/bin", "PYTHONPATH": str(packages(folder.parent))}
    told = {**image, **differences.ENGINE, **variables, "RAG_MODEL_TERMINATION_PATH": str(folder / TERMINATION)}
    return Launched(folder, [str(programs / "python3"), "-m", "rag_model_server", *arguments], told, START_SECONDS)


def rendered_server(first: Rendered, folder: Path, tiny: Path, *more: str, **changes: str) -> Launched:
    """The model server of the rendered Deployment; `more` are arguments, `changes` variables that it does not have."""
    kind, component = "Deployment", names.COMPONENT_MODEL
    volumes = {path: folder / path.strip("/").replace("/", "-") for path in first.mounts(kind, component)}
    volumes[WEIGHTS_PATH] = tiny
    port = free_port()
    variables = {
        name: differences.relocated(text, volumes) for name, text in first.variables(kind, component).items()
    } | {
        "RAG_MODEL_ENGINE_PORT": str(port),
        "RAG_MODEL_PORT": str(free_port()),
        "RAG_MODEL_STALL_SECONDS": str(differences.STALL_SECONDS),
        **changes,
    }
    arguments = differences.engine_arguments(first.container(kind, component)["args"], volumes, port)
    launched = launch(folder, [*arguments, *more], variables)
    for path in set(volumes.values()) - {tiny}:
        path.mkdir(exist_ok=True)
    return launched


def embedding_server(folder: Path, tiny: Path, port: int) -> Launched:
    """A server of embeddings, as somebody would run it elsewhere: the operator renders none."""
    settings = ModelServerEnvironment(task="Embed", engine_port=port, port=free_port(), load_deadline_seconds=900)
    arguments = [str(tiny), "--runner=pooling", f"--host={differences.LOOPBACK}", f"--port={port}"]
    arguments += ["--served-model-name=rag", "--max-model-len=2048", "--dtype=float32", "--enforce-eager"]
    return launch(folder, arguments, {**settings.to_env(), "HF_HUB_OFFLINE": "1", "VLLM_NO_USAGE_STATS": "1"})


def run_index_job(first: Rendered, folder: Path) -> str:
    """The Job's program with the Job's variables; its termination message."""
    kind, component = "Job", names.COMPONENT_INDEX
    documents, message = folder / "documents", folder / TERMINATION
    documents.mkdir(parents=True)
    for name, text in first.documents().items():
        (documents / name).write_text(text, encoding="utf-8")
    variables = {
        name: differences.relocated(text, {"/documents": documents})
        for name, text in first.variables(kind, component).items()
    } | {"RAG_INDEXER_TERMINATION_PATH": str(message), "RAG_INDEXER_PORT": "0"}
    words = [sys.executable, "-m", "rag_indexer", "build"]
    done = subprocess.run(words, env=variables, capture_output=True, timeout=START_SECONDS, check=False)
    assert done.returncode == 0, done.stderr.decode()
    return message.read_text(encoding="utf-8")


def with_model_at(table: ReleaseTable, url: str) -> ReleaseTable:
    """The table with the address of this run in the place of the Service's name."""
    (revision,) = table.revisions
    (endpoint,) = revision.model.endpoints
    assert re.fullmatch(r"http://handbook-model-[0-9a-f]{8}\.team-a\.svc:8000", endpoint.url)
    model = revision.model.model_copy(update={"endpoints": (endpoint.model_copy(update={"url": url}),)})
    return table.model_copy(update={"revisions": (revision.model_copy(update={"model": model}),)})


@contextmanager
def running_api(first: Rendered, folder: Path, table: ReleaseTable) -> Iterator[str]:
    """The API's program with the Deployment's settings; its address."""
    releases = folder / "releases"
    releases.mkdir(parents=True)
    (releases / FILE_NAME).write_text(table.to_json(), encoding="utf-8")
    variables = {
        name: differences.relocated(text, {"/etc/rag/releases": releases})
        for name, text in first.variables("Deployment", names.COMPONENT_API).items()
    } | {"RAG_API_HOST": differences.LOOPBACK, "RAG_API_PORT": "0"}
    log = folder / "log"
    with log.open("wb") as output:
        process = subprocess.Popen([sys.executable, "-m", "rag_api"], env=variables, stdout=output, stderr=output)
    try:
        yield _address(log)
    finally:
        process.terminate()
        process.wait(60)


def _address(log: Path) -> str:
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        if found := re.search(r"running on (http://[\w.:]+)", log.read_text(encoding="utf-8")):
            return found[1]
        time.sleep(0.05)
    raise AssertionError(f"the API did not start:\n{log.read_text(encoding='utf-8')}")
