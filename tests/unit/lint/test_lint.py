"""Every rule of tests/lint.py finds what it is for, and leaves alone what it is not for."""

import pytest

from tests import lint
from tests.lint import File

CORE = "operator/rag_operator"


def complaints(rule: lint.Rule, *files: File) -> list[str]:
    return list(rule(files))


@pytest.mark.parametrize("line", ["x = os.environ['A']", "x = os.getenv('A')"])
def test_the_environment_is_read_in_settings_alone(line: str) -> None:
    rule = lint.environment_is_read_in_settings
    assert len(complaints(rule, File(f"{CORE}/status.py", f"import os\n{line}\n"))) == 1
    assert complaints(rule, File(f"{CORE}/settings.py", f"import os\n{line}\n")) == []
    assert complaints(rule, File("tests/cluster/x.py", f"import os\n{line}\n")) == []


@pytest.mark.parametrize("line", ["time.time()", "time.monotonic()", "datetime.now(UTC)", "datetime.datetime.now()"])
def test_a_clock_is_read_at_the_edge_alone(line: str) -> None:
    rule = lint.clock_is_read_at_the_edge
    assert len(complaints(rule, File(f"{CORE}/reconcile.py", line))) == 1
    assert complaints(rule, File(f"{CORE}/runtime/lease.py", line)) == []
    assert complaints(rule, File("workloads/api/rag_api/app.py", line)) == []


def test_a_builder_does_not_wait() -> None:
    rule = lint.decisions_do_not_wait
    text = "async def f(g):\n    await g()\n"
    assert len(complaints(rule, File(f"{CORE}/resources/api.py", text))) == 2
    assert complaints(rule, File(f"{CORE}/cluster/apply.py", text)) == []


@pytest.mark.parametrize(
    "host",
    [
        "https://" + "py" + "pi.org/simple",
        "https://files." + "pythonhosted.org/x",
        "registry." + "npmjs.org",
        "//docker" + ".io/a",
    ],
)
def test_a_registry_has_no_address_here(host: str) -> None:
    assert len(complaints(lint.no_registry_addresses, File("requirements/a.lock", f"url = {host}\n"))) == 1


@pytest.mark.parametrize("text", ["golang.org/x/net v0.1.0 h1:abc=", 'f"docker.io/{image}"', "deb bookworm"])
def test_names_of_modules_and_images_are_no_addresses(text: str) -> None:
    assert complaints(lint.no_registry_addresses, File("go.sum", text)) == []


def test_a_path_of_one_machine_is_found() -> None:
    rule = lint.no_paths_of_one_machine
    assert len(complaints(rule, File("README.md", "cd /" + "work/main"))) == 1
    assert len(complaints(rule, File("README.md", "see /" + "home/anna/x"))) == 1
    assert complaints(rule, File("README.md", "see https://example.com/home/x and framework/x")) == []


def test_files_and_functions_have_a_size() -> None:
    long_function = "def f():\n" + "    x = 1\n" * 70
    assert len(complaints(lint.files_are_small, File("a.py", "x = 1\n" * 601), File("b.py", ""))) == 2
    assert any("f has 71 lines" in c for c in complaints(lint.functions_are_small, File("a.py", long_function)))
    reasoned = long_function.replace("def f():", "def f():  # long: one table")
    assert complaints(lint.functions_are_small, File("a.py", reasoned)) == []


@pytest.mark.parametrize(
    "rule",
    [
        '{apiGroups: ["*"], resources: [pods], verbs: [get]}',
        '{apiGroups: [""], resources: [secrets], verbs: [create, get]}',
        '{apiGroups: [""], resources: [pods/exec], verbs: [create]}',
        '{apiGroups: [""], resources: [nodes], verbs: [list, watch, patch]}',
        '{apiGroups: [""], resources: [nodes/status], verbs: [list]}',
        "{apiGroups: [rbac.authorization.k8s.io], resources: [roles], verbs: [escalate]}",
    ],
)
def test_a_right_too_many_is_found(rule: str) -> None:
    role = f"kind: ClusterRole\nmetadata: {{name: r}}\nrules:\n  - {rule}\n"
    assert len(complaints(lint.rights_are_least, File("config/rbac/role.yaml", role))) == 1


def test_the_project_has_roles_to_look_at() -> None:
    roles = [file for file in lint.tracked() if file.path.startswith("config/rbac/")]
    assert any("kind: ClusterRole\n" in file.text for file in roles)
