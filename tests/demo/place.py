"""Where the demonstration runs: the bench, a kind cluster, or the cluster that kubectl points at."""

import os
import shlex
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from .kubectl import Kubectl
from .screen import DemoError, Terminated

ROOT = Path(__file__).resolve().parents[2]
OVERLAYS = {"bench": "tests/demo/overlay", "kind": "tests/demo/overlay-local-images", "current": "config/default"}
OPERATOR_IMAGE = "rag-operator/operator"


@dataclass(frozen=True)
class Images:
    """Images for CLUSTER=current: `prefix`/operator, `prefix`/api and `prefix`/indexer with `tag`, from a registry."""

    prefix: str
    tag: str


@dataclass(frozen=True)
class Place:
    """One cluster, by the name that Make knows it by."""

    name: str
    environment: Mapping[str, str]
    images: Images | None = None

    @property
    def managed(self) -> bool:
        """Whether the cluster is ours to start, stop and give images to."""
        return self.name != "current"

    def bench(self, *args: str) -> None:
        """Run the bench's command line, its progress on this terminal. Raises DemoError when it fails."""
        # Ctrl-C reaches it too, and it takes back what it started: so it is waited for to the end.
        with subprocess.Popen(self._bench_command(args), env=dict(self.environment), cwd=ROOT) as process:
            try:
                code = process.wait()
            except KeyboardInterrupt as stop:
                if isinstance(stop, Terminated):
                    process.terminate()
                process.wait()
                raise
        if code == 130:
            raise KeyboardInterrupt
        if code != 0:
            raise DemoError(f"the cluster's command `{' '.join(args)}` failed (see above)")

    def kubectl(self) -> Kubectl:
        """kubectl for this cluster, with the kubeconfig and the programs that belong to it."""
        done = subprocess.run(
            self._bench_command(("env",)),
            capture_output=True,
            text=True,
            env=dict(self.environment),
            cwd=ROOT,
            check=False,
        )
        if done.returncode != 0:
            raise DemoError(f"the cluster's environment is not known: {done.stderr.strip()}")
        return Kubectl({**self.environment, **exports(done.stdout, self.environment)}, str(ROOT))

    def answers(self) -> bool:
        """Whether an API server answers now."""
        return self.kubectl().works("get", "--raw=/readyz", "--request-timeout=3s")

    def manifest(self) -> str:
        """Everything that is installed, as YAML."""
        return self.kubectl().run("kustomize", str(self._overlay()))

    def _overlay(self) -> Path:
        if self.images is None:
            return ROOT / OVERLAYS[self.name]
        folder = ROOT / "out" / "demo"
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "kustomization.yaml").write_text(registry_overlay(self.images))
        return folder

    def _bench_command(self, args: Sequence[str]) -> list[str]:
        return [sys.executable, "-m", "tests.cluster", "--cluster", self.name, *args]


def exports(text: str, environment: Mapping[str, str]) -> dict[str, str]:
    """The variables in lines of the form ``export NAME=value``; $PATH in a value is the one of `environment`."""
    found: dict[str, str] = {}
    for line in text.splitlines():
        words = shlex.split(line)
        if len(words) == 2 and words[0] == "export":
            name, _, value = words[1].partition("=")
            found[name] = value.replace("$PATH", environment.get("PATH", os.defpath))
    return found


def registry_overlay(images: Images) -> str:
    """A kustomization of the released installation with images from a registry."""
    return f"""\
apiVersion: kustomize.config.k8s.io/v1beta1
kind: Kustomization
resources: [../../config/default]
images:
  - {{name: {OPERATOR_IMAGE}, newName: {images.prefix}/operator, newTag: "{images.tag}"}}
configMapGenerator:
  - name: rag-operator-settings
    namespace: rag-operator-system
    behavior: merge
    literals:
      - RAG_OPERATOR_API_IMAGE={images.prefix}/api:{images.tag}
      - RAG_OPERATOR_INDEXER_IMAGE={images.prefix}/indexer:{images.tag}
"""
