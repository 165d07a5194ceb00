"""When did it become a fact? Each function makes a probe of what Kubernetes itself shows: lateness is counted from there."""

from collections.abc import Callable
from datetime import UTC, datetime

from .place import Json, Place

Fact = Callable[[Place], bool]


def done(place: Place) -> bool:
    """The edit itself is the fact."""
    return True


def _states(place: Place, component: str) -> list[Json]:
    return [
        status
        for pod in place.list("pods", component)
        if "deletionTimestamp" not in pod["metadata"]
        for status in pod["status"].get("containerStatuses") or ()
    ]


def waiting(component: str, *reasons: str) -> Fact:
    """A container of the component waits for one of these reasons."""

    def probe(place: Place) -> bool:
        return any(
            (status["state"].get("waiting") or {}).get("reason") in reasons for status in _states(place, component)
        )

    return probe


def ended(component: str) -> Fact:
    """A container of the component has ended badly."""

    def probe(place: Place) -> bool:
        for status in _states(place, component):
            for state in (status["state"], status.get("lastState") or {}):
                if (state.get("terminated") or {}).get("exitCode", 0) != 0:
                    return True
            if "OOM" in ((status["state"].get("waiting") or {}).get("message") or ""):
                return True
        return False

    return probe


def unplaced(component: str) -> Fact:
    """The scheduler says that a pod fits nowhere."""

    def probe(place: Place) -> bool:
        return any(
            condition["type"] == "PodScheduled" and condition["status"] == "False"
            for pod in place.list("pods", component)
            for condition in pod["status"].get("conditions") or ()
        )

    return probe


def unready(component: str) -> Fact:
    """A pod of the component runs and is not ready."""

    def probe(place: Place) -> bool:
        return any("running" in status["state"] and not status["ready"] for status in _states(place, component))

    return probe


def listening(component: str) -> Fact:
    """A pod of the component has answered its first probe, and is not ready: now it can say why."""

    def probe(place: Place) -> bool:
        return any(status.get("started") and not status["ready"] for status in _states(place, component))

    return probe


def silent(component: str, seconds: float) -> Fact:
    """A container of the component has had this long to answer for the first time, and has not."""

    def probe(place: Place) -> bool:
        return any(not status.get("started") and _running_for(status) > seconds for status in _states(place, component))

    return probe


def _running_for(status: Json) -> float:
    started = (status["state"].get("running") or {}).get("startedAt")
    return (datetime.now(UTC) - datetime.fromisoformat(started)).total_seconds() if started else 0.0


def warned(reason: str) -> Fact:
    """Kubernetes has warned about something of the service."""

    def probe(place: Place) -> bool:
        return any(
            event.get("reason") == reason and place.name in event["regarding"].get("name", "")
            for event in place.list("events")
        )

    return probe


def refused_pods(place: Place) -> bool:
    """The Deployment's controller says that it may not make pods."""
    body = place.get("deployments", f"{place.name}-api") or {}
    conditions = (body.get("status") or {}).get("conditions") or ()
    return any(c["type"] == "ReplicaFailure" and c["status"] == "True" for c in conditions)


def job_failed(place: Place) -> bool:
    """An index Job has failed for good."""
    return any(
        condition["type"] == "Failed" and condition["status"] == "True"
        for job in place.list("jobs")
        for condition in job["status"].get("conditions") or ()
    )


def no_pods(place: Place) -> bool:
    """Deployment, StatefulSet and their pods are told to be none."""
    body = place.get("deployments", f"{place.name}-api") or {"spec": {}}
    return bool(body["spec"].get("replicas") == 0)
