"""What is remembered of nodes, without an API server."""

from rag_operator.cluster.nodes import NodeWatch, keep_node
from rag_operator.runtime.client import Client
from rag_operator.runtime.login import Login, Token


async def test_a_node_that_is_gone_is_forgotten() -> None:
    login = Login(server="http://127.0.0.1:9", tls=None, token=Token(lambda: None))
    async with Client(login) as client:
        watch = NodeWatch(client, lambda everyone: None, retry_seconds=60)
        for informer in (watch.nodes, watch.pods):
            informer.synced.set()
        node = keep_node({"metadata": {"name": "gpu-1", "resourceVersion": "1"}})
        pod = {"metadata": {"namespace": "n", "name": "p", "resourceVersion": "2"}, "use": ["gpu-1", "n", [], False]}
        watch._node_changed(None, node)
        watch._pod_changed(None, pod)
        before = watch.snapshot()
        assert before is not None
        assert {"gpu-1"} == set(before.use)
        watch._pod_changed(pod, None)
        watch._node_changed(node, None)
        after = watch.snapshot()
        assert after is not None
        assert {} == after.use
        assert () == after.nodes
