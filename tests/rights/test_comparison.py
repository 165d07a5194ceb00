"""The comparison finds what it is there to find."""

from .comparison import Json, Right, missing, released, uncovered, unused

RULES = [
    {"apiGroups": [""], "resources": ["pods", "services"], "verbs": ["list"]},
    {"apiGroups": ["apps"], "resources": ["deployments"], "verbs": ["create", "patch"]},
    {"apiGroups": ["coordination.k8s.io"], "resources": ["leases"], "verbs": ["get"], "resourceNames": ["mine"]},
]


def manifests(account: str = "robot") -> list[Json]:
    """A role and its binding."""
    return [
        {"kind": "ClusterRole", "metadata": {"name": "r"}, "rules": RULES},
        {"kind": "ClusterRole", "metadata": {"name": "other"}, "rules": [{**RULES[0], "verbs": ["delete"]}]},
        {
            "kind": "ClusterRoleBinding",
            "metadata": {"name": "b"},
            "roleRef": {"kind": "ClusterRole", "name": "r"},
            "subjects": [{"kind": "ServiceAccount", "name": account}],
        },
    ]


def event(verb: str, resource: str, group: str = "", *, name: str = "", code: int = 200, allowed: bool = True) -> Json:
    """An audit event, as far as it is looked at."""
    reference = {"resource": resource} | ({"apiGroup": group} if group else {}) | ({"name": name} if name else {})
    decision = "allow" if allowed else "forbid"
    return {
        "verb": verb,
        "requestURI": f"/{resource}",
        "objectRef": reference,
        "responseStatus": {"code": code},
        "annotations": {"authorization.k8s.io/decision": decision},
    }


ALL = [
    event("list", "pods"),
    event("list", "services"),
    event("patch", "deployments", "apps", name="x", code=201),
    event("get", "leases", "coordination.k8s.io", name="mine"),
]


def test_only_what_is_bound_to_the_account_is_released() -> None:
    assert Right("", "pods", "list") in released(manifests(), "robot")
    assert Right("", "pods", "delete") not in released(manifests(), "robot")
    assert set() == released(manifests("somebody"), "robot")


def test_rights_that_were_all_taken_are_no_finding() -> None:
    rights = released(manifests(), "robot")
    assert ([], [], []) == (missing(ALL), uncovered(ALL, rights), unused(ALL, rights))


def test_an_apply_that_changed_something_takes_no_right_to_create() -> None:
    events = [*ALL[:2], event("patch", "deployments", "apps", name="x", code=200), ALL[3]]
    assert [Right("apps", "deployments", "create")] == unused(events, released(manifests(), "robot"))


def test_a_right_that_was_refused_is_missing_and_not_used() -> None:
    events = [*ALL[1:], event("list", "pods", code=403, allowed=False)]
    assert ["list /pods"] == missing(events)
    assert [Right("", "pods", "list")] == unused(events, released(manifests(), "robot"))


def test_a_refusal_for_another_reason_is_no_missing_right() -> None:
    assert [] == missing([event("create", "secrets", code=403)])


def test_a_request_that_only_somebody_elses_role_allows_is_found() -> None:
    found = uncovered(
        [*ALL, event("get", "leases", "coordination.k8s.io", name="other")], released(manifests(), "robot")
    )
    assert ["get coordination.k8s.io/leases other"] == found
