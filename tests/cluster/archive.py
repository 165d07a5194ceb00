"""A container image of one static program, written as an archive without any engine."""

from __future__ import annotations

import hashlib
import io
import json
import tarfile
from pathlib import Path


def write(target: Path, image: str, program: Path, architecture: str) -> None:
    """Write to `target` what ``docker load`` and ``ctr import`` read: `image` FROM scratch with `program`."""
    layer = _tar({f"{program.name}": program.read_bytes()}, mode=0o755)
    config = {
        "architecture": architecture,
        "os": "linux",
        "config": {"Entrypoint": [f"/{program.name}"], "User": "65535:65535"},
        "rootfs": {"type": "layers", "diff_ids": [f"sha256:{hashlib.sha256(layer).hexdigest()}"]},
        "history": [{"created_by": "the bench"}],
    }
    text = json.dumps(config).encode()
    config_name = f"{hashlib.sha256(text).hexdigest()}.json"
    manifest = [{"Config": config_name, "RepoTags": [image], "Layers": ["layer.tar"]}]
    files = {config_name: text, "layer.tar": layer, "manifest.json": json.dumps(manifest).encode()}
    part = target.with_name(target.name + ".part")
    part.write_bytes(_tar(files, mode=0o644))
    part.rename(target)


def _tar(files: dict[str, bytes], mode: int) -> bytes:
    """A tar of `files` that is the same for the same content: no times, no owners."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        for name, content in files.items():
            entry = tarfile.TarInfo(name)
            entry.size = len(content)
            entry.mode = mode
            archive.addfile(entry, io.BytesIO(content))
    return buffer.getvalue()
