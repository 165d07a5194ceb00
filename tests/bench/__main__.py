"""Prints the project's figures, measured on the bench of this machine. `make bench`; some minutes.

    python -m tests.bench [--rest SECONDS] [--objects N] [--only NAME ...]

The vector store on the bench is the stand-in for Qdrant's server, so figures that include a search are figures of the
operator and the API with that stand-in, not of Qdrant.
"""

import argparse
import os
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

from tests.cluster.bench import Bench, expand
from tests.cluster.fixtures import Cluster, new_control_plane, new_namespace
from tests.cluster.report import Report
from tests.cluster.settings import from_environment
from tests.demo import install
from tests.demo.place import Place
from tests.demo.screen import Screen
from tests.e2e.kube import Kube, http
from tests.e2e.objects import QUESTION, documents, rag_service

from .processes import cpu_seconds, pod_processes, resident_mebibytes

OPERATOR_USER = "system:serviceaccount:rag-operator-system:rag-operator"
WRITES = {"create", "update", "patch", "delete", "deletecollection"}


def show(name: str, value: str, goal: str) -> None:
    """One line of the table."""
    print(f"{name:<58} {value:>14}   goal {goal}", flush=True)


def control_plane_ready() -> None:
    """etcd, API server, controller manager and scheduler from nothing, state in memory-backed or temporary folder."""
    with TemporaryDirectory() as folder:
        start = time.monotonic()
        settings = from_environment(os.environ)
        with new_control_plane(settings, Path(folder), controllers=True, scheduler=True):
            show("control plane ready (programs built)", f"{time.monotonic() - start:.1f} s", "<= 10 s")


@contextmanager
def operator_on_bench() -> Iterator[tuple[Cluster, Kube]]:
    """The bench with the operator of this tree installed as users install it."""
    bench = Bench(from_environment(os.environ), Report())
    bench.up(expand("all"))
    cluster = Cluster(bench.control_plane())
    place = Place("bench", os.environ)
    place.bench("images")
    install.deploy(place, place.kubectl(), Screen(sys.stderr), install.source_hash())
    yield cluster, kube_in(cluster, install.OPERATOR_NAMESPACE)


def kube_in(cluster: Cluster, namespace: str) -> Kube:
    """kubectl bound to the bench and a namespace."""
    return Kube(str(cluster.control_plane.plane.programs / "kubectl"), str(cluster.kubeconfig), namespace)


def created_to_ready(cluster: Cluster) -> None:
    """Three services one after another: from `kubectl apply` to Ready, then the first question."""
    ready: list[float] = []
    first: list[float] = []
    for _ in range(3):
        with new_namespace(cluster, "bench-ready") as namespace:
            kube = kube_in(cluster, namespace)
            kube.apply(documents())
            start = time.monotonic()
            kube.apply(rag_service())
            kube.wait_condition("faq", "Ready", "True", 120)
            ready.append(time.monotonic() - start)
            key, url = kube.secret("faq-client-key", "api-key"), kube.service_address("faq-api")
            start = time.monotonic()
            answer = http(f"{url}/query", body={"question": QUESTION}, key=key)
            first.append((time.monotonic() - start) * 1000)
            assert "14" in answer.body["answer"], answer
            healed = child_healed(kube)
    show("RagService created to Ready, median of 3", f"{sorted(ready)[1]:.1f} s", "<= 30 s")
    show("first POST /query after Ready, median of 3", f"{sorted(first)[1]:.0f} ms", "<= 100 ms")
    show("deleted Deployment made anew", f"{healed:.2f} s", "<= 2 s")


def child_healed(kube: Kube) -> float:
    """Seconds from the answer to the deletion of the API Deployment until another one is seen."""
    old = kube.get("deployment", "faq-api")
    assert old
    kube.run("delete", "deployment", "faq-api", "--wait=false")
    start = time.monotonic()
    while True:
        new = kube.get("deployment", "faq-api")
        if new and new["metadata"]["uid"] != old["metadata"]["uid"]:
            return time.monotonic() - start
        if time.monotonic() - start > 60:
            raise AssertionError("the Deployment did not come back")


def at_rest(cluster: Cluster, operator: Kube, objects: int, rest: float) -> None:
    """Memory, CPU and writes of the operator with `objects` settled services, over `rest` seconds."""
    with new_namespace(cluster, "bench-rest") as namespace:
        kube = kube_in(cluster, namespace)
        services = []
        for number in range(objects):
            service = rag_service(f"faq-{number}")
            # No CPU is asked for, so that as many stacks as wanted fit on one small node.
            service["spec"]["api"]["resources"] = {"requests": {"cpu": "5m", "memory": "64Mi"}}
            service["spec"]["vectorStore"]["qdrant"]["resources"] = {"requests": {"cpu": "5m", "memory": "64Mi"}}
            services.append(service)
        kube.apply(documents(), *services)
        for number in range(objects):
            kube.wait_condition(f"faq-{number}", "Ready", "True", 300)
        time.sleep(15)
        processes = leader_processes(operator)
        offset, cpu, start = cluster.audit_log.stat().st_size, cpu_seconds(processes), time.monotonic()
        time.sleep(rest)
        share = (cpu_seconds(processes) - cpu) / (time.monotonic() - start) * 100
        events = [e for e in cluster.audit(offset) if e["user"]["username"] == OPERATOR_USER]
        calls = [e for e in events if e["objectRef"]["resource"] != "leases"]
        show(f"operator memory (RSS), {objects} objects", f"{resident_mebibytes(processes):.0f} MiB", "<= 90 MiB")
        show(f"operator CPU at rest over {rest:.0f} s", f"{share:.2f} %", "<= 1 % of a core")
        show("writes at rest (without the Lease)", str(sum(e["verb"] in WRITES for e in calls)), "0")
        show("GETs at rest", str(sum(e["verb"] == "get" for e in calls)), "0")


def leader_processes(operator: Kube) -> list[int]:
    """Processes of the operator's pod that holds the Lease."""
    lease = operator.get("lease", "rag-operator")
    holder = lease["spec"]["holderIdentity"] if lease else ""
    pods = operator.list("pods", "app.kubernetes.io/name=rag-operator")
    chosen = [p for p in pods if holder.startswith(p["metadata"]["name"])] or pods
    found = pod_processes(chosen[0]["metadata"]["uid"])
    assert found, "no process of the operator's pod is visible on this machine"
    return found


def main() -> int:
    """Run the chosen measurements; 0 when all could be taken."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--rest", type=float, default=300, metavar="SECONDS", help="how long to watch the operator at rest (300)"
    )
    parser.add_argument("--objects", type=int, default=10, metavar="N", help="settled services at rest (10)")
    parser.add_argument("--only", nargs="+", choices=["control-plane", "ready", "rest"], help="some measurements only")
    args = parser.parse_args()
    wanted = set(args.only or ["control-plane", "ready", "rest"])
    cores = os.cpu_count()
    print(f"{cores} cores; the vector store is the stand-in for Qdrant's server\n", flush=True)
    if "control-plane" in wanted:
        control_plane_ready()
    steps: dict[str, Callable[[Cluster, Kube], None]] = {
        "ready": lambda cluster, _: created_to_ready(cluster),
        "rest": lambda cluster, operator: at_rest(cluster, operator, args.objects, args.rest),
    }
    if wanted & steps.keys():
        with operator_on_bench() as (cluster, operator):
            for name, step in steps.items():
                if name in wanted:
                    step(cluster, operator)
    return 0


if __name__ == "__main__":
    sys.exit(main())
