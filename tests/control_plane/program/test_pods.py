"""The operator's own pods: what selects them selects them, and nothing stands in the way of a drain."""

from typing import Any

import pytest
import yaml
from rag_operator import names
from rag_operator.observed import component_of

from tests.cluster.fixtures import Cluster
from tests.golden.rendering import children

from .conftest import ROOT, Json, built

pytestmark = pytest.mark.control_plane


@pytest.fixture(scope="module")
def objects(program_plane: Cluster) -> dict[str, Json]:
    """The objects of config/manager by kind."""
    return {o["kind"]: o for o in built(program_plane, "config/manager")}


def selects(selector: dict[str, str], objects: dict[str, Json]) -> bool:
    """Whether a selector takes the Deployment's pods."""
    labels: dict[str, str] = objects["Deployment"]["spec"]["template"]["metadata"]["labels"]
    return bool(selector) and selector.items() <= labels.items()


def test_two_replicas_may_lose_one(objects: dict[str, Json]) -> None:
    budget = objects["PodDisruptionBudget"]["spec"]
    assert selects(budget["selector"]["matchLabels"], objects)
    assert (2, 1) == (objects["Deployment"]["spec"]["replicas"], budget["maxUnavailable"])


def test_what_comes_in_is_what_is_served(objects: dict[str, Json]) -> None:
    policy = objects["NetworkPolicy"]["spec"]
    assert selects(policy["podSelector"]["matchLabels"], objects)
    assert ["Ingress"] == policy["policyTypes"]
    (container,) = objects["Deployment"]["spec"]["template"]["spec"]["containers"]
    served = {port["name"] for port in container["ports"]}
    assert served == {port["port"] for rule in policy["ingress"] for port in rule["ports"]}
    probed = {container[name]["httpGet"]["port"] for name in ("startupProbe", "readinessProbe", "livenessProbe")}
    assert probed <= served


def test_the_optional_way_out_leads_to_the_pods_that_are_asked(objects: dict[str, Json]) -> None:
    policy = yaml.safe_load((ROOT / "config/network-policy/network_policy.yaml").read_text())["spec"]
    assert selects(policy["podSelector"]["matchLabels"], objects)
    rules = [rule for rule in policy["egress"] if "to" in rule]
    asked = (
        (names.COMPONENT_API, "minimal"),
        (names.COMPONENT_MODEL, "hosted"),
        (names.COMPONENT_MODEL_FETCH, "hosted"),
    )
    assert len(rules) == len(asked)
    for rule, (component, case) in zip(rules, asked, strict=True):
        wanted = rule["to"][0]["podSelector"]["matchLabels"]
        assert wanted[names.LABEL_COMPONENT] == component
        template = template_of(case, component)
        assert wanted.items() <= template["metadata"]["labels"].items()
        ports = {port["containerPort"] for port in template["spec"]["containers"][0]["ports"]}
        assert {port["port"] for port in rule["ports"]} <= ports


def template_of(case: str, component: str) -> Any:
    """The pod template of a component's Deployment or Job."""
    (child,) = [c for c in children(case) if c["kind"] in {"Deployment", "Job"} and component_of(c) == component]
    return child["spec"]["template"]
