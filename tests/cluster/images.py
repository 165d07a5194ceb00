"""The project's images: built by Docker Engine, put on the node without a registry."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
import tempfile
from collections.abc import Sequence
from pathlib import Path

from .commands import Words, run
from .engine import Docker
from .report import BenchError, Report
from .settings import ROOT, Settings

STANDIN, MODEL_DOUBLE = "qdrant-standin", "model-server-double"
OF_TESTS = {STANDIN: "tests/qdrant_standin", MODEL_DOUBLE: "tests/model_server_double"}
"""Images that only tests use, and the folder of each one's Dockerfile."""
BUNDLE = "/etc/ssl/certs/ca-certificates.crt"
BASE_LABEL = "rag-bench.base"
BASE_REVISION = "1"


def names(settings: Settings) -> tuple[str, ...]:
    """Every image that can be built here."""
    return (*settings.image_targets.split(), *OF_TESTS)


def tag(settings: Settings, name: str) -> str:
    """Full name of the project's image `name`."""
    return f"{settings.image_prefix}/{name}:{settings.image_tag}"


class Builder:
    """Builds images with one engine. `python_image` None takes the Dockerfile's public default."""

    def __init__(self, settings: Settings, docker: Docker, report: Report, python_image: str | None) -> None:
        self._settings = settings
        self._docker = docker
        self._report = report
        self._python_image = python_image

    def build(self, wanted: Sequence[str]) -> list[str]:
        """Build `wanted` (all when empty); returns their full names. Unchanged layers come from the engine's cache."""
        unknown = sorted(set(wanted) - set(names(self._settings)))
        if unknown:
            raise BenchError(f"unknown image {', '.join(unknown)}; there are: {', '.join(names(self._settings))}")
        return [self._build(name) for name in wanted or names(self._settings)]

    def _build(self, name: str) -> str:
        image = tag(self._settings, name)
        if name in OF_TESTS:
            which: Words = ["--file", ROOT / OF_TESTS[name] / "Dockerfile"]
        else:
            which = ["--file", ROOT / "Dockerfile", "--target", name]
        base = ["--build-arg", f"PYTHON_IMAGE={self._python_image}"] if self._python_image else []
        with self._report.step(f"image {image}"):
            self._docker("build", "--network=host", "--tag", image, *base, *which, ROOT)
        return image


def ensure_base(settings: Settings, docker: Docker, report: Report) -> str:
    """Make the local Python base image unless the engine has it; returns its name.

    A Debian of the same release and Python as the public one, with this machine's
    certificate bundle, so that installs inside a build trust what this machine trusts.
    """
    image = settings.python_image
    bundle = Path(os.environ.get("SSL_CERT_FILE", BUNDLE)).read_bytes()
    stamp = hashlib.sha256(f"{BASE_REVISION} {settings.debian_release}\n".encode() + bundle).hexdigest()[:16]
    have = docker("image", "inspect", f'--format={{{{index .Config.Labels "{BASE_LABEL}"}}}}', image, check=False)
    if have == stamp:
        return image
    settings.cache.mkdir(parents=True, exist_ok=True)
    folder = Path(tempfile.mkdtemp(prefix=".base-", dir=settings.cache))
    try:
        with report.step(f"base image {image} (debootstrap, once)"):
            root = folder / "root"
            _debootstrap(settings, root)
            (root / BUNDLE.removeprefix("/")).write_bytes(bundle)
            _import_root(docker, root, image, stamp)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    return image


def _debootstrap(settings: Settings, root: Path) -> None:
    include = "--include=python3,python3-venv,ca-certificates"
    # In a mount namespace of its own: what it mounts inside `root` ends with it.
    namespace = ["unshare", "--mount", "--propagation", "private"]
    run([*namespace, "debootstrap", "--variant=minbase", include, settings.debian_release, root])
    for pattern in ("var/cache/apt/archives/*.deb", "var/cache/apt/*.bin", "var/lib/apt/lists/*", "var/log/*.log"):
        for path in root.glob(pattern):
            if path.is_file():
                path.unlink()


def _import_root(docker: Docker, root: Path, image: str, stamp: str) -> None:
    changes = [
        f"ENV SSL_CERT_FILE={BUNDLE} PIP_CERT={BUNDLE} LANG=C.UTF-8",
        f"LABEL {BASE_LABEL}={stamp}",
        'CMD ["python3"]',
    ]
    words = [word for change in changes for word in ("--change", change)]
    pack = ["tar", "--create", "--one-file-system", "--numeric-owner", "--directory", str(root), "."]
    _pipe(pack, docker.words("import", *words, "-", image), docker)


def load(docker: Docker, images: Sequence[str], ctr: Sequence[str], report: Report) -> None:
    """Put `images` on the node whose containerd client is `ctr`; what is there already is skipped."""
    present = _on_node(ctr)
    wanted = [image for image in images if docker.image_id(image) != present.get(image)]
    absent = [image for image in wanted if docker.image_id(image) is None]
    if absent:
        raise BenchError(f"the engine has no image {', '.join(absent)}")
    if not wanted:
        report.line("the node has these images already")
        return
    with report.step(f"loading {', '.join(wanted)} on the node"):
        _pipe(docker.words("save", *wanted), [*ctr, "images", "import", "-"], docker)
        _forget_old(ctr)
    docker("image", "prune", "--force", check=False)


def _forget_old(ctr: Sequence[str]) -> None:
    """Drop the node's images that no name leads to any more: each build would leave one. What runs goes on."""
    listed = [line.split()[0] for line in run([*ctr, "images", "list"]).stdout.splitlines()[1:]]
    current = set(_on_node(ctr).values())
    old = [name for name in listed if name.startswith("sha256:") and name not in current]
    if old:
        run([*ctr, "images", "remove", *old], check=False)


def _on_node(ctr: Sequence[str]) -> dict[str, str]:
    """Name as Docker says it -> digest of the configuration, of every image on the node."""
    found: dict[str, str] = {}
    for line in run([*ctr, "images", "list"]).stdout.splitlines()[1:]:
        name, _kind, digest = line.split()[:3]
        if not name.startswith("sha256:"):
            manifest = json.loads(run([*ctr, "content", "get", digest]).stdout)
            found[_short(name)] = manifest.get("config", {}).get("digest", "")
    return found


def _short(name: str) -> str:
    """The name by which Docker knows an image of containerd's: without the default registry's host."""
    host, _, rest = name.partition("/")
    return rest if "." in host else name


def _pipe(producer: Sequence[str], consumer: Sequence[str], docker: Docker) -> None:
    """Run ``producer | consumer``. Raises BenchError with what either of them said."""
    environment = dict(docker.environment)
    with (
        tempfile.TemporaryFile() as said,
        subprocess.Popen(producer, stdout=subprocess.PIPE, stderr=said, env=environment) as first,
        subprocess.Popen(consumer, stdin=first.stdout, stdout=said, stderr=said, env=environment) as second,
    ):
        if first.stdout is not None:
            first.stdout.close()
        codes = (second.wait(), first.wait())
        if any(codes):
            said.seek(0)
            text = said.read().decode(errors="replace")[-2000:]
            raise BenchError(f"{producer[0]} | {consumer[0]} ended with {codes}:\n{text}")
