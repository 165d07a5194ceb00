"""Asking the API pods what they serve, fetch pods how far they are, and engines how busy they were. The only traffic of the operator that does not go to the API server.

    direct   http://<pod IP>:<port>          the operator runs in the cluster
    proxy    .../pods/http:<pod>:<port>/proxy  the operator runs far from the pods (`make run`); needs the right pods/proxy

An answer that agrees with the release table is remembered until the container, its readiness or the table changes, or until
it is older than the resync: so a settled service is not asked. Where a fallback may answer for the model, which keeps pods ready,
they are asked closely: what their readiness says, too, again after half a minute, and each time while it has something to say.
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field

import aiohttp
import orjson
from pydantic import ValidationError
from rag_contract.environment import API_PORT
from rag_contract.model_fetch import FETCH_PORT, FetchProgress
from rag_contract.reports import ModelsCurrent, ReadyCheck

from .. import names
from ..observed import Pod, PodAnswer
from ..runtime import kinds
from ..runtime.bounded import Bounded
from ..runtime.client import Client
from ..runtime.errors import ApiError, RuntimeFault

TIMEOUT_SECONDS = 2.0
AT_ONCE = 8
CLOSE_SECONDS = 30.0
MAX_REMEMBERED = 16384
MAX_BYTES = 1 << 20
PORTS = {
    names.COMPONENT_API: API_PORT,
    names.COMPONENT_MODEL_FETCH: FETCH_PORT,
    names.COMPONENT_MODEL: names.MODEL_PORT,
}

Fetch = Callable[[Pod, str], Awaitable[bytes]]


class PodLine:
    """Fetches what a pod answers, directly at its address or through the API server's proxy."""

    def __init__(self, client: Client, *, direct: bool) -> None:
        self._client = client
        self._direct = direct
        self._session: aiohttp.ClientSession | None = None

    async def close(self) -> None:
        """Close the connections to pods."""
        if self._session is not None:
            await self._session.close()

    async def fetch(self, pod: Pod, path: str) -> bytes:
        """The body at `path`, whatever the HTTP status."""
        if not self._direct:
            return await self._by_proxy(pod, path)
        if self._session is None:
            self._session = aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=TIMEOUT_SECONDS))
        host = f"[{pod.ip}]" if ":" in pod.ip else pod.ip
        async with self._session.get(f"http://{host}:{PORTS[pod.component]}{path}") as response:
            return await response.content.read(MAX_BYTES)

    async def _by_proxy(self, pod: Pod, path: str) -> bytes:
        port = PORTS[pod.component]
        proxy = kinds.POD.path(pod.raw["metadata"]["namespace"], f"http:{pod.name}:{port}", "proxy")
        try:
            return await self._client.get_bytes(proxy + path, seconds=TIMEOUT_SECONDS)
        except ApiError as error:
            if isinstance(error.body, dict) and error.body.get("kind") != "Status":
                return orjson.dumps(error.body)  # the pod's own answer: "not ready", with the checks that fail
            raise


@dataclass(slots=True)
class PodDoor:
    """`fetch(pod, path)` gives the body, whatever the HTTP status; it raises OSError, TimeoutError, aiohttp.ClientError or
    RuntimeFault."""

    fetch: Fetch
    monotonic: Callable[[], float]
    remember_seconds: float
    _memory: Bounded[str, tuple[tuple[str, str], float, PodAnswer]] = field(
        default_factory=lambda: Bounded(MAX_REMEMBERED)
    )
    asked: int = 0

    async def ask(self, pods: Sequence[Pod], table_hash: str, *, closely: bool = False) -> Mapping[str, PodAnswer]:
        """Answers by pod name, of the pods whose container runs."""
        running = [pod for pod in pods if pod.running and pod.ip]
        limit = asyncio.Semaphore(AT_ONCE)

        async def one(pod: Pod) -> PodAnswer:
            async with limit:
                return await self._answer(pod, table_hash, closely=closely)

        answers = await asyncio.gather(*(one(pod) for pod in running))
        return {pod.name: answer for pod, answer in zip(running, answers, strict=True)}

    async def _answer(self, pod: Pod, table_hash: str, *, closely: bool) -> PodAnswer:
        state = (pod.incarnation, table_hash)
        known = self._memory.get(pod.uid)
        if pod.ready and known is not None and known[0] == state and known[1] > self.monotonic():
            return known[2]
        self._memory.drop(pod.uid)
        self.asked += 1
        answer = await self._really_ask(pod, closely=closely)
        agrees = answer.models is not None and answer.models.table_hash == table_hash and not answer.checks
        if pod.ready and agrees:
            seconds = min(self.remember_seconds, CLOSE_SECONDS) if closely else self.remember_seconds
            self._memory.set(pod.uid, (state, self.monotonic() + seconds, answer))
        return answer

    async def _really_ask(self, pod: Pod, *, closely: bool) -> PodAnswer:
        try:
            # At the same time: a pod whose store does not answer takes its time for the second, and a pass waits for both.
            told, checks = await asyncio.gather(
                self.fetch(pod, "/models/current"), self._checks(pod) if closely or not pod.ready else _none()
            )
            # A pod of a later release, kept when the operator went back to an earlier one, may say more than is known here.
            models = ModelsCurrent.model_validate_json(told, extra="ignore")
        except ValidationError:
            return PodAnswer(error="its answer is not one of this operator's API; is spec.api.image right?")
        except (OSError, TimeoutError, aiohttp.ClientError, RuntimeFault) as error:
            return PodAnswer(error=type(error).__name__)
        return PodAnswer(models=models, checks=checks)

    async def _checks(self, pod: Pod) -> tuple[ReadyCheck, ...]:
        return parse_checks(await self.fetch(pod, "/ready"))


async def _none() -> tuple[ReadyCheck, ...]:
    return ()


async def ask_progress(fetch: Fetch, pods: Sequence[Pod]) -> Mapping[str, FetchProgress]:
    """How far each running pod is; one that does not answer is left out, and asked again by the next pass."""
    asked = [pod for pod in pods if pod.running and pod.ip]

    async def one(pod: Pod) -> FetchProgress | None:
        try:
            return FetchProgress.model_validate_json(await fetch(pod, "/progress"))
        except (OSError, TimeoutError, ValidationError, aiohttp.ClientError, RuntimeFault):
            return None

    told = await asyncio.gather(*map(one, asked))
    return {pod.name: found for pod, found in zip(asked, told, strict=True) if found is not None}


def parse_checks(body: bytes) -> tuple[ReadyCheck, ...]:
    """What `GET /ready` has to say: failing checks, and those that hold with a word. They lie under `checks` in the report as in
    the error body. One that is not known here, as of a later release, is left out."""
    try:
        checks = [_check(raw) for raw in orjson.loads(body)["checks"]]
    except (ValueError, KeyError, TypeError):
        return ()
    return tuple(check for check in checks if check is not None and (check.message or not check.ok))


def _check(raw: object) -> ReadyCheck | None:
    try:
        return ReadyCheck.model_validate(raw, extra="ignore")
    except ValidationError:
        return None
