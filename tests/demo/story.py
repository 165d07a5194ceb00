"""The demonstration from start to end, and the way back when it is interrupted."""

from collections.abc import Callable
from datetime import datetime

from . import going_back, guide, install, questions
from .kubectl import Json, Kubectl
from .place import Place
from .progress import wait_until_ready
from .screen import DemoError, Screen

READY_LIMIT = 300.0


class Story:
    """One run. `_undo` takes back what this run began in a cluster that was there before, newest last."""

    def __init__(self, place: Place, screen: Screen) -> None:
        self._place = place
        self._screen = screen
        self._undo: list[Callable[[], None]] = []
        self._started_cluster = False

    def tell(self, *, deploy_only: bool) -> None:
        """Run it. Raises DemoError for a failure or a wrong answer, KeyboardInterrupt after taking back."""
        try:
            kubectl = self._cluster()
            source = install.source_hash()
            self._operator(kubectl, source)
            if deploy_only:
                return
            try:
                self._sample(kubectl, source)
            except DemoError:
                guide.show_failure(self._screen, kubectl)
                raise
        except KeyboardInterrupt:
            self._take_back()
            raise

    def _cluster(self) -> Kubectl:
        self._screen.title(f"Cluster ({self._place.name})")
        running = self._place.answers()
        self._place.bench("up", "--parts", "node,dns")  # made GPU nodes (KWOK) are for tests alone
        if not running and self._place.managed:
            self._started_cluster = True
        if not self._place.answers():
            raise DemoError("no API server answers at the current kubeconfig")
        self._screen.title("Images")
        self._place.bench("images")
        return self._place.kubectl()

    def _operator(self, kubectl: Kubectl, source: str) -> None:
        self._screen.title("Operator")
        if not kubectl.get("namespace", install.OPERATOR_NAMESPACE):
            self._undo.append(lambda: install.undeploy(self._place, kubectl, self._screen))
        try:
            install.deploy(self._place, kubectl, self._screen, source)
        except DemoError:
            guide.show_failure(self._screen, kubectl)
            raise

    def _sample(self, kubectl: Kubectl, source: str) -> None:
        screen = self._screen
        screen.title(f"One RagService ({install.SAMPLE}, namespace {install.NAMESPACE})")
        install.prepare_namespace(kubectl, screen, source)
        existed = kubectl.get("ragservice", install.SERVICE, "-n", install.NAMESPACE) is not None
        if not existed:
            self._undo.append(lambda: install.remove_sample(kubectl))
        else:
            going_back.forget(kubectl)
        restarts = install.operator_restarts(kubectl)
        install.apply_sample(kubectl)
        service = wait_until_ready(kubectl, screen, READY_LIMIT)
        screen.step(f"Ready; {'it was there already, ' if existed else ''}{created_to_ready(service)}")
        wrong = self._ask(kubectl)
        if wrong:
            raise DemoError("wrong answers:\n" + "\n".join(f"  {line}" for line in wrong))
        again = install.operator_restarts(kubectl)
        if any(again.get(uid, 0) > count for uid, count in restarts.items()):
            raise DemoError("the operator's pod ended and was started again meanwhile")
        guide.show_next_steps(screen, self._place.name)

    def ask(self, text: str) -> None:
        """Ask the running sample one question. Raises DemoError."""
        kubectl = self._place.kubectl()
        with questions.service_url(kubectl, self._screen) as url:
            question = questions.Question(text, None)
            reply = questions.ask(url, questions.client_key(kubectl), question)
        questions.show(self._screen, question, reply)
        if reply.status != 200:
            raise DemoError(f"HTTP {reply.status}: {reply.body}")

    def _ask(self, kubectl: Kubectl) -> list[str]:
        self._screen.title("Questions")
        wrong: list[str] = []
        key = questions.client_key(kubectl)
        first: float | None = None
        with questions.service_url(kubectl, self._screen) as url:
            for question in questions.QUESTIONS:
                reply = questions.ask(url, key, question)
                first = first or reply.milliseconds
                questions.show(self._screen, question, reply)
                wrong += [f"{question.text}: {fault}" for fault in questions.faults(question, reply)]
            self._screen.line(f"\n  first POST /query: {first:.1f} ms")
            return wrong or going_back.show(kubectl, self._screen, url, key)

    def _take_back(self) -> None:
        if not (self._started_cluster or self._undo):
            return
        self._screen.line("\ninterrupted: taking back what this run began (Ctrl-C once more leaves it as it is)")
        if self._started_cluster:
            self._place.bench("down")  # and everything in it with it
            return
        for step in reversed(self._undo):
            step()


def created_to_ready(service: Json) -> str:
    """How long it took from creation to the Ready it has now, by the API server's own times (whole seconds)."""
    ready = next(c for c in service["status"]["conditions"] if c["type"] == "Ready")
    times = (service["metadata"]["creationTimestamp"], ready["lastTransitionTime"])
    created, became = (datetime.fromisoformat(text) for text in times)
    return f"created to Ready: {(became - created).total_seconds():.0f} s"
