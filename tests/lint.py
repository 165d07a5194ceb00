"""``python -m tests.lint``: the rules of the code base that no other tool checks. See CONTRIBUTING.md.

Each rule is a pure function from the tracked files to complaints; the table at the end is what is run.
"""

import ast
import re
import statistics
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

import yaml

ROOT = Path(__file__).resolve().parents[1]
OPERATOR = "operator/rag_operator"
PRODUCTION = ("operator/", "workloads/")
ENVIRONMENT_READERS = ("settings.py", "__main__.py")
CLOCK_READERS = ("__main__.py", "program.py", "handlers.py", "controller.py", "runtime/")
PURE = (
    "resources/",
    "releases/",
    "scheduling/",
    "api/",
    "status/",
    "status.py",
    "checks.py",
    "names.py",
    "observed.py",
    "faults/",
    "crd.py",
)
CLOCKS = {"time.time", "time.monotonic", "time.perf_counter", "datetime.now", "datetime.utcnow", "date.today"}
LONG = re.compile(r"#\s*long:\s*\S")

# Written in pieces, so that this file does not hold what it looks for.
_HOSTS = "|".join(
    rf"{name}\.{end}"
    for name, end in (
        ("pypi", "org"),
        ("pythonhosted", "org"),
        ("golang", "org"),
        ("npmjs", "org"),
        ("crates", "io"),
        ("debian", "org"),
        ("docker", "io"),
    )
)
# After "//" or a name that such hosts have; a module path like golang's /x/net or an image's name is none.
_REGISTRY = re.compile(rf"(?://|(?<![\w.-])(?:files|proxy|sum|registry|index|static|deb)\.)(?:[\w-]+\.)*(?:{_HOSTS})\b")
_MACHINE = re.compile("|".join(rf"(?<![\w./$}}])/{start}/\w" for start in ("wor" + "k", "roo" + "t", "hom" + "e")))

FILE_P90, FILE_MAX = 350, 600
FUNCTION_P90, FUNCTION_MAX = 30, 60


@dataclass(frozen=True)
class File:
    """One tracked text file; `path` is relative to the project's root."""

    path: str
    text: str

    @property
    def is_python(self) -> bool:
        """Whether it is a module."""
        return self.path.endswith(".py")

    def tree(self) -> ast.Module:
        """Its syntax tree."""
        return ast.parse(self.text, self.path)


Rule = Callable[[Sequence[File]], Iterator[str]]


def environment_is_read_in_settings(files: Sequence[File]) -> Iterator[str]:
    """Settings are made once, in one place, and passed in."""
    for file in _production(files):
        if PurePosixPath(file.path).name not in ENVIRONMENT_READERS:
            for node in ast.walk(file.tree()):
                if isinstance(node, ast.Attribute) and _dotted(node) in {"os.environ", "os.getenv"}:
                    yield f"{file.path}:{node.lineno}: the environment is read outside settings.py and __main__.py"


def clock_is_read_at_the_edge(files: Sequence[File]) -> Iterator[str]:
    """The operator's decisions take the time as an argument."""
    for file in _operator(files):
        if not _inside(file, CLOCK_READERS):
            for node in ast.walk(file.tree()):
                if isinstance(node, ast.Attribute) and ".".join(_dotted(node).split(".")[-2:]) in CLOCKS:
                    yield f"{file.path}:{node.lineno}: a clock outside __main__, handlers, controller and runtime"


def decisions_do_not_wait(files: Sequence[File]) -> Iterator[str]:
    """No I/O where something is decided or built."""
    waits = (ast.Await, ast.AsyncFor, ast.AsyncWith, ast.AsyncFunctionDef)
    for file in _operator(files):
        if _inside(file, PURE):
            for node in ast.walk(file.tree()):
                if isinstance(node, waits):
                    yield f"{file.path}:{node.lineno}: async code in a pure module"


def no_registry_addresses(files: Sequence[File]) -> Iterator[str]:
    """Where packages come from is the machine's configuration, not the project's."""
    yield from _lines_with(files, _REGISTRY, "names the host of a package registry")


def no_paths_of_one_machine(files: Sequence[File]) -> Iterator[str]:
    """Nothing depends on where somebody keeps the checkout."""
    yield from _lines_with(files, _MACHINE, "holds an absolute path of one machine")


def files_are_small(files: Sequence[File]) -> Iterator[str]:
    """Modules that fit in a head."""
    sizes = {file.path: file.text.count("\n") for file in files if file.is_python}
    for path, size in sizes.items():
        if size > FILE_MAX:
            yield f"{path}: {size} lines, the most is {FILE_MAX}"
    yield from _percentile("files", list(sizes.values()), FILE_P90)


def functions_are_small(files: Sequence[File]) -> Iterator[str]:
    """Functions that fit on a screen; a longer one says why, by `# long: ...` in its first lines or above it."""
    sizes: list[int] = []
    for file in files:
        if not file.is_python:
            continue
        lines = file.text.splitlines()
        for node in ast.walk(file.tree()):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.end_lineno is not None:
                size = node.end_lineno - node.lineno + 1
                sizes.append(size)
                head = lines[max(0, node.lineno - 2) : node.body[0].lineno + 1]
                if size > FUNCTION_MAX and not any(LONG.search(line) for line in head):
                    yield f"{file.path}:{node.lineno}: {node.name} has {size} lines, the most is {FUNCTION_MAX}"
    yield from _percentile("functions", sizes, FUNCTION_P90)


def rights_are_least(files: Sequence[File]) -> Iterator[str]:
    """What a broken operator could do is bounded by its roles."""
    for file in files:
        if file.path.startswith("config/") and file.path.endswith((".yaml", ".yml")):
            for document in yaml.safe_load_all(file.text):
                if isinstance(document, dict) and document.get("kind") in {"Role", "ClusterRole"}:
                    name = document["metadata"]["name"]
                    yield from (f"{file.path}: {name}: {fault}" for fault in _faults_of(document.get("rules") or []))


def _faults_of(rules: Sequence[dict[str, Any]]) -> Iterator[str]:
    for rule in rules:
        verbs, resources = set(rule.get("verbs", [])), set(rule.get("resources", []))
        if any("*" in value for values in rule.values() for value in values):
            yield f"a wildcard in {rule}"
        if "secrets" in resources and verbs != {"create"}:
            yield f"Secrets may be created, nothing else: {sorted(verbs)}"
        for resource in sorted(resources & {"pods/exec", "pods/attach", "pods/portforward", "pods/proxy"}):
            yield f"{resource} is not needed"
        if resources & {"nodes", "nodes/status", "nodes/proxy"} and (
            resources != {"nodes"} or verbs != {"list", "watch"}
        ):
            yield f"Nodes may be looked at, nothing else: {sorted(verbs)}"
        for verb in sorted(verbs & {"escalate", "bind", "impersonate"}):
            yield f"the verb {verb} is not needed"


def _percentile(what: str, sizes: Sequence[int], most: int) -> Iterator[str]:
    if len(sizes) > 1 and (found := statistics.quantiles(sizes, n=10)[-1]) >= most:
        yield f"nine of ten {what} should be under {most} lines; now it is {found:.0f}"


def _lines_with(files: Sequence[File], pattern: re.Pattern[str], fault: str) -> Iterator[str]:
    for file in files:
        for number, line in enumerate(file.text.splitlines(), 1):
            if match := pattern.search(line):
                yield f"{file.path}:{number}: {fault}: {match.group()}"


def _production(files: Sequence[File]) -> Iterator[File]:
    return (file for file in files if file.is_python and file.path.startswith(PRODUCTION))


def _operator(files: Sequence[File]) -> Iterator[File]:
    return (file for file in files if file.is_python and file.path.startswith(OPERATOR + "/"))


def _inside(file: File, places: Sequence[str]) -> bool:
    inner = file.path.removeprefix(OPERATOR + "/")
    return any(inner.startswith(place) if place.endswith("/") else inner == place for place in places)


def _dotted(node: ast.AST) -> str:
    if isinstance(node, ast.Attribute):
        return f"{_dotted(node.value)}.{node.attr}"
    return node.id if isinstance(node, ast.Name) else ""


RULES: tuple[Rule, ...] = (
    environment_is_read_in_settings,
    clock_is_read_at_the_edge,
    decisions_do_not_wait,
    no_registry_addresses,
    no_paths_of_one_machine,
    files_are_small,
    functions_are_small,
    rights_are_least,
)


def tracked(root: Path = ROOT) -> list[File]:
    """Every text file that git tracks and the working tree has."""
    names = subprocess.run(
        ["git", "ls-files", "-z"], cwd=root, capture_output=True, text=True, check=True
    ).stdout.split("\0")
    files: list[File] = []
    for name in filter(None, names):
        path = root / name
        if path.is_file():
            data = path.read_bytes()
            if b"\0" not in data:
                files.append(File(name, data.decode(errors="replace")))
    return files


def main() -> int:
    """Print every complaint; returns 1 when there is one."""
    files = tracked()
    complaints = [f"{complaint}  ({rule.__name__})" for rule in RULES for complaint in rule(files)]
    print("\n".join(complaints) if complaints else f"{len(RULES)} rules hold for {len(files)} files")
    return 1 if complaints else 0


if __name__ == "__main__":
    sys.exit(main())
