"""What the operator tells Prometheus. One registry, made in the composition root; nothing is registered at import."""

from collections.abc import Callable, Iterable, Iterator
from typing import Protocol

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, ProcessCollector, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

PREFIX = "rag_operator"
WRITES = frozenset({"apply", "create", "update", "patch", "delete"})
MOVE_SECONDS = (0.1, 0.25, 0.5, 1, 2, 5, 15, 60, 300, 1800, 7200)
SECONDS = (0.001, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 15, 60)


class CacheFacts(Protocol):
    """What is measured of an informer."""

    lists: int
    last_contact: float

    def __len__(self) -> int: ...


class Metrics:
    """All metrics of the process."""

    def __init__(self, version: str) -> None:
        self.registry = CollectorRegistry()
        ProcessCollector(registry=self.registry)
        self.requests = self._counter("api_requests", "Requests to the API server.", "verb", "kind", "code")
        self.errors = self._counter(
            "api_errors", "Requests that failed: HTTP status, or `unreachable`.", "verb", "kind", "code"
        )
        self.writes = self._counter("writes", "Writes of objects, by how they ended.", "kind", "verb", "result")
        self.conflicts = self._counter("conflicts", "Writes refused because the object was another by then.", "kind")
        self.reconciles = self._counter("reconciles", "Passes over one RagService.", "result")
        self.lost = self._counter("lost_events", "Changes that kopf's watch told before our own informer knew.")
        self.host_exits = self._counter("host_exits", "Times that kopf ended and was started anew.")
        self.seconds = Histogram(
            f"{PREFIX}_reconcile_seconds", "Duration of a pass.", ["result"], registry=self.registry, buckets=SECONDS
        )
        self.waited = Histogram(
            f"{PREFIX}_queue_wait_seconds",
            "Time from a key's turn to its worker.",
            registry=self.registry,
            buckets=SECONDS,
        )
        self.moves = Histogram(
            f"{PREFIX}_move_seconds",
            "Time from the first look at an edit until every API pod has confirmed what it releases, or until it was refused.",
            ["kind", "result"],
            registry=self.registry,
            buckets=MOVE_SECONDS,
        )
        self.leader = Gauge(f"{PREFIX}_leader", "1 while this process may write.", registry=self.registry)
        build = Gauge(f"{PREFIX}_build_info", "Version of the operator.", ["version"], registry=self.registry)
        build.labels(version).set(1)

    def _counter(self, name: str, text: str, *labels: str) -> Counter:
        return Counter(f"{PREFIX}_{name}", text, labels, registry=self.registry)

    def request(self, verb: str, kind: str, status: int) -> None:
        """One request was answered; status 0: it was not."""
        self.requests.labels(verb, kind, str(status)).inc()
        if status == 0 or status >= 400:
            self.errors.labels(verb, kind, str(status or "unreachable")).inc()
        if verb in WRITES:
            self.writes.labels(kind, verb, result_of(status)).inc()
            if status == 409 and verb != "create":  # a create's 409 says that the object is there already
                self.conflicts.labels(kind).inc()

    def moved(self, kind: str, result: str, seconds: float) -> None:
        """A service moved to another revision, or was refused to."""
        self.moves.labels(kind, result).observe(seconds)

    def scrape(self) -> bytes:
        """The text that Prometheus reads."""
        return generate_latest(self.registry)

    def observe(self, collect: Callable[[], Iterable[Metric]]) -> None:
        """Ask `collect` at each scrape."""
        self.registry.register(_Asked(collect))


def result_of(status: int) -> str:
    """How a write ended, from its HTTP status (0: no answer)."""
    if status == 0 or status >= 500 or status == 429:
        return "error"
    if status < 400:
        return "ok"
    return {404: "gone", 409: "conflict"}.get(status, "refused")


class _Asked(Collector):
    def __init__(self, collect: Callable[[], Iterable[Metric]]) -> None:
        self._collect = collect

    def describe(self) -> Iterable[Metric]:
        """Nothing is asked when it is registered: the names are ours alone."""
        return ()

    def collect(self) -> Iterable[Metric]:
        return self._collect()


def of_caches(caches: dict[str, CacheFacts], now: float) -> Iterator[Metric]:
    """Size, lag and re-lists of the caches, by kind."""
    objects = GaugeMetricFamily(f"{PREFIX}_cache_objects", "Objects in the cache.", labels=["kind"])
    silent = GaugeMetricFamily(
        f"{PREFIX}_cache_silent_seconds", "Time since the server was last heard of.", labels=["kind"]
    )
    lists = CounterMetricFamily(f"{PREFIX}_cache_lists", "LISTs taken over.", labels=["kind"])
    for kind, cache in caches.items():
        objects.add_metric([kind], len(cache))
        silent.add_metric([kind], now - cache.last_contact)
        lists.add_metric([kind], cache.lists)
    yield from (objects, silent, lists)


def of_values(values: dict[str, tuple[str, float]]) -> Iterator[Metric]:
    """Single gauges: name to (meaning, value)."""
    for name, (text, value) in values.items():
        yield GaugeMetricFamily(f"{PREFIX}_{name}", text, value=value)


def of_conditions(name: str, text: str, counts: dict[str, int]) -> Iterator[Metric]:
    """Objects by the status of their Ready condition."""
    family = GaugeMetricFamily(f"{PREFIX}_{name}", text, labels=["ready"])
    for status, count in sorted(counts.items()):
        family.add_metric([status], count)
    yield family
