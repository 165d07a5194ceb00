"""Released roles against recorded requests. Pure: manifests and audit events in, findings out."""

from collections.abc import Iterable, Iterator
from typing import Any, NamedTuple

Json = dict[str, Any]


class Right(NamedTuple):
    """One verb on one resource (`pods`, `ragservices/status`); `name` empty: objects of any name."""

    group: str
    resource: str
    verb: str
    name: str = ""

    def covers(self, request: "Right") -> bool:
        """Whether this right lets the request pass."""
        return self[:3] == request[:3] and self.name in {"", request.name}


def released(objects: Iterable[Json], account: str) -> set[Right]:
    """Every right that the manifests bind to the service account of that name."""
    found = list(objects)
    roles = {(o["kind"], o["metadata"]["name"]): o for o in found if o["kind"] in {"Role", "ClusterRole"}}
    bindings = [o for o in found if o["kind"] in {"RoleBinding", "ClusterRoleBinding"}]
    rights: set[Right] = set()
    for binding in bindings:
        subjects = {(s["kind"], s["name"]) for s in binding.get("subjects") or ()}
        if ("ServiceAccount", account) in subjects:
            role = roles[binding["roleRef"]["kind"], binding["roleRef"]["name"]]
            rights.update(right for rule in role["rules"] for right in _of_rule(rule))
    return rights


def _of_rule(rule: Json) -> Iterator[Right]:
    for group in rule.get("apiGroups") or ():
        for resource in rule.get("resources") or ():
            for verb in rule["verbs"]:
                for name in rule.get("resourceNames") or [""]:
                    yield Right(group, resource, verb, name)


def used(event: Json) -> list[Right]:
    """The rights that one audited request took; none for paths that are no objects (discovery)."""
    reference = event.get("objectRef")
    if not reference:
        return []
    resource = "/".join(filter(None, (reference["resource"], reference.get("subresource"))))
    right = Right(reference.get("apiGroup", ""), resource, event["verb"], reference.get("name", ""))
    # A server-side apply that makes the object is authorised twice: to patch, and to create.
    made = event["verb"] == "patch" and (event.get("responseStatus") or {}).get("code") == 201
    return [right, right._replace(verb="create")] if made else [right]


def denied(event: Json) -> bool:
    """RBAC refused it. Other refusals (quota, a namespace that ends) have the same HTTP status."""
    return bool((event.get("annotations") or {}).get("authorization.k8s.io/decision") == "forbid")


def missing(events: Iterable[Json]) -> list[str]:
    """Requests that were refused for want of a right, each once."""
    return sorted(
        {f"{right.verb} {right.group}/{right.resource}" for e in events if denied(e) for right in used(e)}
        | {f"{e['verb']} {e['requestURI']}" for e in events if denied(e) and not e.get("objectRef")}
    )


def uncovered(events: Iterable[Json], rights: Iterable[Right]) -> list[str]:
    """Requests that passed by a right that the released roles do not hold: the cluster grants it by other means."""
    known = list(rights)
    took = {right for event in events if not denied(event) for right in used(event)}
    return sorted(f"{r.verb} {r.group}/{r.resource} {r.name}" for r in took if not any(k.covers(r) for k in known))


def unused(events: Iterable[Json], rights: Iterable[Right]) -> list[Right]:
    """Released rights that no request took."""
    took = {right for event in events if not denied(event) for right in used(event)}
    return sorted(right for right in rights if not any(right.covers(request) for request in took))
