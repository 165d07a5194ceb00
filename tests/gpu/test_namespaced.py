"""What is left to say of GPUs where the operator may not look at nodes: the scheduler's own words."""

import pytest

from tests.control_plane.reconcile.harness import until

from .nodes_double import GpuNodesDouble

pytestmark = pytest.mark.control_plane


def test_without_the_nodes_the_schedulers_own_words_are_shown(namespaced: GpuNodesDouble) -> None:
    namespaced.add("nvidia-2", labels={"pool": "other"}, nvidia="1")
    namespaced.declare("blind", nodeSelector={"pool": "mine"})
    until(lambda: namespaced.said("blind", "GpuSchedulable")[1] == "Unschedulable", 90)
    assert "didn't match Pod's node affinity/selector" in namespaced.said("blind", "GpuSchedulable")[2]
    namespaced.edit("nvidia-2", {"metadata": {"labels": {"pool": "mine"}}})
    until(lambda: namespaced.said("blind", "GpuSchedulable")[0] == "True", 60)
    until(lambda: "The operator may not look at nodes" in namespaced.status("blind")["modelRollOut"]["message"], 60)
