"""The demonstration's own judgement: what counts as a right answer, what it prints, what it tells people to type."""

import io
import json
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml
from rag_operator.api import RagService

from tests.demo import going_back, guide, install, place, progress, questions
from tests.demo.screen import DemoError, Screen

ANSWERABLE = questions.QUESTIONS[0]
UNANSWERABLE = questions.QUESTIONS[2]


def reply(status: int = 200, **overrides: Any) -> questions.Reply:
    """An answer of the RAG API as it must be for ANSWERABLE, with changes."""
    body = {
        "answer": "A full-time employee gets 18 days of paid annual leave. [S1]",
        "citations": [{"source_id": "S1", "document_id": "leave-en", "title": "Leave", "url": None}],
        "finish_reason": "stop",
        "latency_ms": {"total": 4.2},
        "revision": 1,
        "prompt_version": "answer-v1",
        "index_version": "handbook-2026-11",
        "model_version": "extractive-v1",
    }
    return questions.Reply(status, body | overrides, 7.5)


REFUSAL: dict[str, Any] = {"answer": "I could not find that.", "citations": [], "finish_reason": "refused"}


class TestJudgement:
    def test_a_cited_answer_with_the_fact_is_right(self) -> None:
        assert questions.faults(ANSWERABLE, reply()) == []

    @pytest.mark.parametrize(
        ("change", "word"),
        [
            ({"citations": []}, "citations"),
            ({"answer": "A full-time employee gets 18 days."}, "markers"),
            ({"answer": "18 days [S1] [S2]"}, "S2"),
            ({"answer": "A full-time employee gets 30 days. [S1]"}, "18 days"),
            (REFUSAL, "refused"),
        ],
    )
    def test_an_answer_without_its_evidence_is_wrong(self, change: dict[str, Any], word: str) -> None:
        assert any(word in fault for fault in questions.faults(ANSWERABLE, reply(**change)))

    def test_a_refusal_of_the_unanswerable_is_right(self) -> None:
        assert questions.faults(UNANSWERABLE, reply(**REFUSAL)) == []

    def test_an_answer_to_the_unanswerable_is_wrong(self) -> None:
        assert questions.faults(UNANSWERABLE, reply()) != []

    def test_an_error_is_wrong_whatever_was_asked(self) -> None:
        error = reply(503, error={"code": "NOT_READY"})
        assert ["NOT_READY" in questions.faults(q, error)[0] for q in questions.QUESTIONS] == [True] * 3

    def test_the_facts_stand_in_the_sample(self) -> None:
        sample = (place.ROOT / install.SAMPLE).read_text()
        assert all(question.fact in sample for question in questions.QUESTIONS if question.fact)


class TestProgress:
    def test_documents_are_cut_out_of_a_stream_wherever_it_is_torn(self) -> None:
        documents = [{"a": "đ}{"}, {"b": [1, {"c": "]"}]}]
        text = "\n".join(json.dumps(d, indent=2, ensure_ascii=False) for d in documents)
        for cut in range(len(text) + 1):
            first, rest = progress.objects(text[:cut])
            second, left = progress.objects(rest + text[cut:])
            assert (documents, "") == (first + second, left)

    def test_a_status_of_an_older_generation_shows_no_readiness(self) -> None:
        ready = {"type": "Ready", "status": "True", "reason": "AllChecksPassed", "message": "ok"}
        status = {"observedGeneration": 1, "conditions": [ready], "revision": 3}
        service = {"metadata": {"generation": 1}, "status": status}
        assert (progress.row(service).ready, progress.row(service).revision) == ("True", "3")
        assert progress.row({"metadata": {"generation": 2}, "status": status}).ready == "-"

    def test_an_object_without_status_shows_dashes(self) -> None:
        assert set(progress.row({"metadata": {"generation": 1}}).text(0.0).replace("0.0s", "").split()) == {"-"}


class TestCommands:
    @pytest.mark.parametrize("cluster", ["bench", "kind", "current"])
    @pytest.mark.parametrize("curl", [True, False])
    def test_what_is_printed_is_shell(self, cluster: str, curl: bool) -> None:
        script = "\n".join(line for _, lines in guide.next_steps(cluster, curl) for line in lines)
        assert subprocess.run(["bash", "-n"], input=script, text=True, check=False).returncode == 0
        assert curl == ("curl " in script)

    def test_the_users_own_cluster_is_never_stopped(self) -> None:
        script = "\n".join(line for _, lines in guide.next_steps("current", True) for line in lines)
        assert "cluster-down" not in script
        assert "cluster-env" not in script

    def test_the_patches_go_back_to_the_samples_prompt_and_forward_again(self) -> None:
        script = [line for _, lines in guide.next_steps("bench", False) for line in lines if "kubectl patch" in line]
        back, forward = (json.loads(line.split("'")[1])["spec"]["rollback"] for line in script)
        _, service = yaml.safe_load_all((place.ROOT / install.SAMPLE).read_text())
        assert back == {"prompt": service["spec"]["prompt"]["version"]}
        assert forward is None


class TestGoingBack:
    def test_every_step_is_a_valid_edit_of_the_sample(self) -> None:
        _, service = yaml.safe_load_all((place.ROOT / install.SAMPLE).read_text())
        for step in (*going_back.EDITS, *going_back.BACK):
            service = merged(service, json.loads(step.command()[-1]))
            spec = RagService.model_validate(service | {"metadata": METADATA}).spec
            assert step.prompt == (spec.rollback.prompt or spec.prompt.version)
            assert step.index == (spec.rollback.index or spec.index.version)

    def test_the_second_documents_say_something_else_in_both_languages(self) -> None:
        text = json.dumps(going_back.second_documents(), ensure_ascii=False)
        assert ("20 days of paid annual leave" in text, "20 ngày nghỉ phép" in text) == (True, True)
        assert "gets 18 days" not in text

    def test_an_answer_from_another_release_or_without_the_fact_is_wrong(self) -> None:
        step = going_back.BACK[1]
        right = {"answer": "She gets 18 days.", "prompt_version": step.prompt, "index_version": step.index}
        assert going_back.faults(step, right) == []
        assert len(going_back.faults(step, right | {"answer": "20 days", "prompt_version": "answer-v2"})) == 2

    def test_waiting_ends(self) -> None:
        with pytest.raises(DemoError, match="never"):
            going_back.wait_until(lambda: False, 0.0, "never")


METADATA = {"name": "handbook", "namespace": "rag-demo", "uid": "1", "generation": 1}


def merged(old: Any, change: Any) -> Any:
    """A JSON merge patch, applied."""
    if not isinstance(change, dict):
        return change
    base = dict(old) if isinstance(old, dict) else {}
    for key, value in change.items():
        if value is None:
            base.pop(key, None)
        else:
            base[key] = merged(base.get(key), value)
    return base


class TestPlace:
    def test_exports_are_read_with_the_path_filled_in(self) -> None:
        text = "export KUBECONFIG='/tmp/a b/kube config'\nexport PATH=/opt/bin:$PATH\n"
        expected = {"KUBECONFIG": "/tmp/a b/kube config", "PATH": "/opt/bin:/usr/bin"}
        assert expected == place.exports(text, {"PATH": "/usr/bin"})

    def test_images_from_a_registry_reach_the_operator_and_its_settings(self) -> None:
        overlay = yaml.safe_load(place.registry_overlay(place.Images("registry.example.com/team", "1.2")))
        assert overlay["images"][0]["newName"] == "registry.example.com/team/operator"
        assert (
            "RAG_OPERATOR_API_IMAGE=registry.example.com/team/api:1.2" in overlay["configMapGenerator"][0]["literals"]
        )

    def test_other_code_is_another_source(self, tmp_path: Path) -> None:
        (tmp_path / "operator").mkdir()
        for name in ("requirements", "workloads", "tests/qdrant_standin", "config/samples"):
            (tmp_path / name).mkdir(parents=True)
        (tmp_path / "Dockerfile").write_text("FROM scratch")
        (tmp_path / install.SAMPLE).write_text("kind: RagService")
        before = install.source_hash(tmp_path)
        (tmp_path / "operator" / "main.py").write_text("print()")
        assert before != install.source_hash(tmp_path)

    def test_the_source_reaches_the_pods(self) -> None:
        deployment = {"kind": "Deployment", "spec": {"template": {"metadata": {"labels": {}}}}}
        text = install.stamped(yaml.safe_dump_all([deployment, {"kind": "Service"}]), "abc")
        stamped, service = yaml.safe_load_all(text)
        assert stamped["spec"]["template"]["metadata"]["annotations"] == {install.SOURCE: "abc"}
        assert service == {"kind": "Service"}


def test_an_answer_is_shown_with_citation_latency_and_provenance() -> None:
    out = io.StringIO()
    questions.show(Screen(out), ANSWERABLE, reply())
    shown = out.getvalue()
    assert all(
        part in shown for part in ("[S1] Leave (leave-en)", "7.5 ms", "revision 1", "answer-v1", "handbook-2026-11")
    )
