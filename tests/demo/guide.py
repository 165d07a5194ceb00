"""What to try after the demonstration, how to stop it, and what to look at when it failed."""

import shutil

from .install import NAMESPACE, OPERATOR_NAMESPACE, SERVICE
from .kubectl import Kubectl
from .screen import Screen

_KEY = f"$(kubectl get secret {SERVICE}-client-key -n {NAMESPACE} -o go-template='{{{{index .data \"api-key\" | base64decode}}}}')"
_FORWARD = f"kubectl port-forward -n {NAMESPACE} service/{SERVICE}-api 8000:80 >/dev/null & sleep 2"
_CURL = """curl -s localhost:8000/query -H "authorization: Bearer $KEY" -H 'content-type: application/json' \\
  -d '{"question": "When is salary paid?"}'; echo; kill $!"""
_BACK = '{"spec":{"rollback":{"prompt":"answer-v1"}}}'
_FORWARD_AGAIN = '{"spec":{"rollback":null}}'


def next_steps(cluster: str, curl: bool) -> list[tuple[str, list[str]]]:
    """(what for, commands) in the order in which they work when pasted into one shell at the project's root."""
    make = "" if cluster == "bench" else f" CLUSTER={cluster}"
    demo = "" if cluster == "bench" else f" --cluster {cluster}"
    space = f"-n {NAMESPACE}"
    patch = f"kubectl patch ragservice {SERVICE} {space} --type=merge -p"
    served = f"kubectl wait ragservice/{SERVICE} {space} --for=jsonpath='{{.status.prompt}}'"
    look = [
        f"kubectl get ragservices {space} -o wide",
        f"kubectl describe ragservice {SERVICE} {space}",
        f"kubectl get pods,services,jobs,ragrevisions {space}",
        f"kubectl logs deployment/{SERVICE}-api {space} --tail=3",
    ]
    by_curl = [f"KEY={_KEY}", _FORWARD, _CURL] if curl else []
    return [
        ("Look at it", [*([] if cluster == "current" else [f'eval "$(make -s cluster-env{make})"']), *look]),
        ("Ask it yourself", [f'.venv/bin/python -m tests.demo{demo} --ask "When is salary paid?"', *by_curl]),
        (
            "Go back to the first prompt, and forward again: the same pods, no restart",
            [
                f"{patch} '{_BACK}'",
                f"{served}=answer-v1 --timeout=30s && kubectl get ragservices,ragrevisions {space}",
                f"{patch} '{_FORWARD_AGAIN}'",
                f"{served}=answer-v2 --timeout=30s && kubectl get ragservices,pods {space}",
            ],
        ),
        (
            "Break it: it comes back",
            [
                f"kubectl delete deployment {SERVICE}-api {space}",
                f"kubectl get deployments {space}",
                f"kubectl wait ragservice/{SERVICE} {space} --for=condition=Ready --timeout=60s",
            ],
        ),
        ("Stop", [f"make undeploy{make}", *([] if cluster == "current" else [f"make cluster-down{make}"])]),
    ]


def show_next_steps(screen: Screen, cluster: str) -> None:
    """Print them, with curl where this machine has it."""
    screen.title("What to try next")
    for purpose, commands in next_steps(cluster, shutil.which("curl") is not None):
        screen.line(f"  {purpose}:")
        screen.block("\n".join(commands))


def show_failure(screen: Screen, kubectl: Kubectl) -> None:
    """Conditions, pods, events and the operator's log: where a failed demonstration is looked into."""
    screen.title("What the cluster says")
    conditions = 'jsonpath={range .status.conditions[*]}{.type}={.status} {.reason}: {.message}{"\\n"}{end}'
    looks = (
        ("conditions", ("get", "ragservice", SERVICE, "-n", NAMESPACE, "-o", conditions)),
        ("pods", ("get", "pods,jobs", "-n", NAMESPACE, "-o", "wide")),
        ("warnings", ("get", "events", "-n", NAMESPACE, "--field-selector=type=Warning", "--sort-by=.lastTimestamp")),
        ("operator", ("get", "pods", "-n", OPERATOR_NAMESPACE, "-o", "wide")),
        ("operator's log", ("logs", "deployment/rag-operator", "-n", OPERATOR_NAMESPACE, "--tail=30")),
    )
    for name, command in looks:
        screen.line(f"  {name}:")
        screen.block("\n".join(kubectl.attempt(*command, seconds=15).splitlines()[-30:]))
