"""Settings, the command line, and the commands that need no cluster."""

from pathlib import Path

import pytest
import yaml
from pydantic import ValidationError
from rag_operator.__main__ import main
from rag_operator.settings import PACKAGE_VERSION, PodAccess, Settings, variables

SAMPLES = Path(__file__).parents[3] / "config" / "samples"


def test_every_setting_is_documented_with_its_variable() -> None:
    rows = {variable: meaning for variable, _, meaning in variables()}
    assert len(Settings.model_fields) == len(rows)
    assert all(meaning for meaning in rows.values())
    assert {"KUBECONFIG", "RAG_OPERATOR_API_IMAGE", "RAG_OPERATOR_LEASE_NAMESPACE"} <= rows.keys()


def test_settings_come_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RAG_OPERATOR_POD_ACCESS", "proxy")
    monkeypatch.setenv("RAG_OPERATOR_WORKERS", "4")
    monkeypatch.setenv("RAG_OPERATOR_LOG_LEVEL", "debug")
    monkeypatch.setenv("RAG_OPERATOR_API_IMAGE", "")
    monkeypatch.setenv("KUBECONFIG", "some.kubeconfig")
    settings = Settings()
    assert (PodAccess.PROXY, 4, "DEBUG", "some.kubeconfig") == (
        settings.pod_access,
        settings.workers,
        settings.log_level,
        settings.kubeconfig,
    )
    assert f"rag-operator/api:{PACKAGE_VERSION}" == settings.api_image
    with pytest.raises(ValidationError):
        settings.workers = 5


def test_a_wrong_setting_is_named(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setenv("RAG_OPERATOR_WORKERS", "many")
    assert 2 == main(["run"])
    assert "workers" in capsys.readouterr().err


def test_no_cluster_is_said_plainly(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setenv("KUBECONFIG", "/nonexistent/kubeconfig")
    assert 1 == main(["run"])
    assert "/nonexistent/kubeconfig" in capsys.readouterr().err


@pytest.mark.parametrize("words", [["--help"], ["run", "--help"]])
def test_help_names_every_setting(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        main(words)
    assert 0 == caught.value.code
    text = capsys.readouterr().out
    assert [] == [variable for variable, _, _ in variables() if variable not in text]


def test_version(capsys: pytest.CaptureFixture[str]) -> None:
    assert 0 == main(["version"])
    assert f"{PACKAGE_VERSION}\n" == capsys.readouterr().out


def test_crds_are_written_and_checked(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert 1 == main(["crd", "--directory", str(tmp_path), "--check"])
    assert 0 == main(["crd", "--directory", str(tmp_path)])
    assert 0 == main(["crd", "--directory", str(tmp_path), "--check"])
    written = next(tmp_path.glob("ragservices.yaml"))
    written.write_text(written.read_text() + "# edited\n")
    capsys.readouterr()
    assert 1 == main(["crd", "--directory", str(tmp_path), "--check"])
    assert "ragservices.yaml" in capsys.readouterr().err


def test_render_prints_the_children(capsys: pytest.CaptureFixture[str]) -> None:
    assert 0 == main(["render", "-f", str(SAMPLES / "handbook.yaml")])
    children = list(yaml.safe_load_all(capsys.readouterr().out))
    kinds = {child["kind"] for child in children}
    assert {"Deployment", "StatefulSet", "Service", "Job", "ConfigMap", "ServiceAccount"} <= kinds
    assert "Secret" not in kinds


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "0 RagServices"),
        ("kind: RagService\n---\nkind: RagService\n", "2 RagServices"),
        ("a: [", "no YAML"),
        ("apiVersion: ragserving.dev/v1alpha1\nkind: RagService\nmetadata: {name: x}\nspec: {}\n", "prompt"),
    ],
)
def test_render_says_what_is_wrong(text: str, said: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "cr.yaml"
    file.write_text(text)
    assert 1 == main(["render", "-f", str(file)])
    assert said in capsys.readouterr().err
