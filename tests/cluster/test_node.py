"""Real containers on the bench's node: names, Services, volumes, logs, exec, settings that change."""

from __future__ import annotations

import json
import os
import time
import urllib.request
from collections.abc import Iterator
from typing import Any

import pytest

from .bench import Bench
from .fixtures import Cluster, new_namespace
from .report import Report
from .settings import Settings

pytestmark = [
    pytest.mark.node,
    pytest.mark.skipif(os.geteuid() != 0, reason="a node needs root"),
]
SERVER = """
import functools, http.server
print("serving", flush=True)
handler = functools.partial(http.server.SimpleHTTPRequestHandler, directory="/data")
http.server.ThreadingHTTPServer(("", 8000), handler).serve_forever()
"""
ASK = """
import time, urllib.request
for attempt in range(50):
    try:
        print(urllib.request.urlopen("http://files", timeout=5).status)
        break
    except OSError:
        time.sleep(0.1)
"""


@pytest.fixture(scope="module")
def python_image(bench_settings: Settings, node_cluster: Cluster) -> str:
    """Name of an image with Python that is on the node."""
    bench = Bench(bench_settings, Report())
    bench.load([bench.base_image()])
    return bench_settings.python_image


@pytest.fixture(scope="module")
def served(node_cluster: Cluster, python_image: str) -> Iterator[str]:
    """Namespace in which a StatefulSet `files` serves its volume behind the Service `files`."""
    with new_namespace(node_cluster, "node") as namespace:
        node_cluster.apply(*(with_namespace(item, namespace) for item in stack(python_image)))
        words = ["rollout", "status", "statefulset/files", f"--namespace={namespace}", "--timeout=60s"]
        node_cluster.kubectl(*words)
        yield namespace


def with_namespace(item: dict[str, Any], namespace: str) -> dict[str, Any]:
    """`item` placed in `namespace`."""
    return {**item, "metadata": {**item["metadata"], "namespace": namespace}}


def stack(image: str) -> list[dict[str, Any]]:
    """A settings ConfigMap, a Service and a StatefulSet with a volume, all as restricted as can be."""
    container = {
        "name": "main",
        "image": image,
        "imagePullPolicy": "IfNotPresent",
        "command": ["python3", "-c", SERVER],
        "readinessProbe": {"httpGet": {"path": "/", "port": 8000}, "periodSeconds": 1},
        "securityContext": {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
        },
        "volumeMounts": [{"name": "data", "mountPath": "/data"}, {"name": "settings", "mountPath": "/settings"}],
    }
    pod = {
        "securityContext": {
            "runAsNonRoot": True,
            "runAsUser": 10001,
            "fsGroup": 10001,
            "seccompProfile": {"type": "RuntimeDefault"},
        },
        "containers": [container],
        "volumes": [{"name": "settings", "configMap": {"name": "files"}}],
        "terminationGracePeriodSeconds": 1,
    }
    claim = {
        "metadata": {"name": "data"},
        "spec": {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Mi"}}},
    }
    labels = {"app": "files"}
    stateful_set = {
        "serviceName": "files",
        "selector": {"matchLabels": labels},
        "template": {"metadata": {"labels": labels}, "spec": pod},
        "volumeClaimTemplates": [claim],
    }
    service = {"selector": labels, "ports": [{"port": 80, "targetPort": 8000}]}
    return [
        {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "files"}, "data": {"value": "one"}},
        {"apiVersion": "v1", "kind": "Service", "metadata": {"name": "files"}, "spec": service},
        {"apiVersion": "apps/v1", "kind": "StatefulSet", "metadata": {"name": "files"}, "spec": stateful_set},
    ]


def python(cluster: Cluster, namespace: str, code: str) -> str:
    """What `code` prints inside the pod."""
    return cluster.kubectl("exec", "files-0", f"--namespace={namespace}", "--", "python3", "-c", code).strip()


def test_logs_are_those_of_the_container(node_cluster: Cluster, served: str) -> None:
    assert "serving" in node_cluster.kubectl("logs", "files-0", f"--namespace={served}")


def test_a_pod_reaches_a_service_and_the_api_server_by_name(node_cluster: Cluster, served: str) -> None:
    # Ready comes before the Service's rules, here as on any cluster: so it may be refused at first.
    assert "200" == python(node_cluster, served, ASK)

    code = "import socket; print(socket.create_connection(('kubernetes.default.svc', 443), 5).getpeername()[1])"
    assert "443" == python(node_cluster, served, code)


def test_this_machine_reaches_pods_and_services(node_cluster: Cluster, served: str) -> None:
    pod = node_cluster.get("pod", "files-0", f"--namespace={served}")["status"]["podIP"]
    service = node_cluster.get("service", "files", f"--namespace={served}")["spec"]["clusterIP"]

    for url in (f"http://{pod}:8000/", f"http://{service}/"):
        with urllib.request.urlopen(url, timeout=5) as answer:
            assert 200 == answer.status


def test_a_volume_belongs_to_the_group_of_the_pod_and_outlives_it(node_cluster: Cluster, served: str) -> None:
    python(node_cluster, served, "open('/data/kept', 'w').write('still here')")

    node_cluster.kubectl("delete", "pod", "files-0", f"--namespace={served}")
    words = ["rollout", "status", "statefulset/files", f"--namespace={served}", "--timeout=60s"]
    node_cluster.kubectl(*words)

    assert "still here" == python(node_cluster, served, "print(open('/data/kept').read())")


def test_a_changed_setting_arrives_soon_after_the_pod_is_annotated(node_cluster: Cluster, served: str) -> None:
    change = json.dumps({"data": {"value": "two"}})
    node_cluster.kubectl("patch", "configmap", "files", f"--namespace={served}", "--type=merge", f"--patch={change}")
    began = time.monotonic()
    node_cluster.kubectl("annotate", "pod", "files-0", f"--namespace={served}", "settings-changed=now")

    code = "import time\nwhile open('/settings/value').read() != 'two': time.sleep(0.02)"
    python(node_cluster, served, code)

    assert time.monotonic() - began < 10


def test_a_volume_goes_with_its_claim(node_cluster: Cluster, bench_settings: Settings, python_image: str) -> None:
    with new_namespace(node_cluster, "volume") as namespace:
        node_cluster.apply(*(with_namespace(item, namespace) for item in stack(python_image)))
        words = ["rollout", "status", "statefulset/files", f"--namespace={namespace}", "--timeout=60s"]
        node_cluster.kubectl(*words)
        volume = node_cluster.get("pvc", "data-files-0", f"--namespace={namespace}")["spec"]["volumeName"]
        folder = bench_settings.state / "volumes" / volume
        assert folder.is_dir()

    deadline = time.monotonic() + 60
    while folder.exists():
        assert time.monotonic() < deadline, "the volume's folder stayed"
        time.sleep(0.2)
