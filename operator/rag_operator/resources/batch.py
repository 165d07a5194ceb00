"""What every Job of the stack shares. A Job's template is immutable, so an annotation says what it was made from."""

from typing import Any

from rag_contract.jobs import EXIT_FINAL

from .. import names
from ..releases.identity import digest

Json = dict[str, Any]


def job(service: str, component: str, name: str, made_from: object, pod: Json, **more: Any) -> Json:
    """One run of `pod`. `made_from` is everything whose change asks for another Job; `more` are further fields of the spec."""
    return {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": {
            "name": name,
            "labels": {names.LABEL_COMPONENT: component},
            "annotations": {names.ANNOTATION_TEMPLATE: digest(made_from)},
        },
        "spec": {
            "parallelism": 1,
            "completions": 1,
            "suspend": False,
            **more,
            "template": {"metadata": {"labels": names.labels(service, component)}, "spec": pod},
        },
    }


def failure_policy(pod: Json) -> Json:
    """An evicted pod is not a failed try; what its program says that trying again cannot help is not tried again."""
    program = pod["containers"][0]["name"]
    return {
        "rules": [
            {"action": "Ignore", "onPodConditions": [{"type": "DisruptionTarget", "status": "True"}]},
            {
                "action": "FailJob",
                "onExitCodes": {"containerName": program, "operator": "In", "values": [EXIT_FINAL]},
            },
        ]
    }


def template(job: Json) -> str:
    """What it was made from, to compare with another's."""
    return str((job["metadata"].get("annotations") or {}).get(names.ANNOTATION_TEMPLATE, ""))
