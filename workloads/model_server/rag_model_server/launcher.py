"""The life of one model server, from the first check to the termination message.

GPUs visible? -> start the engine -> loads -> answers one token -> Serving -> SIGTERM -> drains -> ended
                      |                |                             |
                 it ends by itself  deadline                    no steps: Stalled
"""

import asyncio
import json
import sys
import time
from collections.abc import Awaitable, Callable, Sequence

import aiohttp
from rag_contract.model_server import ModelServerEnvironment, ModelServerResult

from . import ending, gpus
from .ending import LaunchError
from .engine import Engine, Sink
from .questions import NoAnswerError, Pulse, Questions
from .state import State, served
from .vitals import HangWatch

GPU_CHECK_SECONDS = 60.0
TEARDOWN_SECONDS = 5.0
"""Left to the engine after its time to drain. The pod's grace must be longer than the drain by more than this."""
IDLE_SECONDS = 3.0
"""While draining: without a request for so long, nothing is left to lose, and the GPUs are wanted."""

SeeGpus = Callable[[], Awaitable[gpus.Seen]]


async def ask_driver() -> gpus.Seen:
    """In a process of its own, so that a hanging driver is a finding and not a hang."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", f"{__package__}.gpus", stdout=asyncio.subprocess.PIPE, stdin=asyncio.subprocess.DEVNULL
    )
    try:
        output, _ = await asyncio.wait_for(process.communicate(), GPU_CHECK_SECONDS)
        return gpus.Seen(**json.loads(output))
    except TimeoutError:
        process.kill()
        return gpus.Seen(0, f"the driver did not answer within {GPU_CHECK_SECONDS:.0f} s")
    except (ValueError, TypeError):
        return gpus.Seen(0, f"the check of the driver ended with exit code {process.returncode}")


class Launcher:
    """One run. `run` never raises LaunchError: it returns how it ended."""

    def __init__(
        self, settings: ModelServerEnvironment, arguments: Sequence[str], sink: Sink, see_gpus: SeeGpus = ask_driver
    ) -> None:
        self._settings = settings
        self._arguments = arguments
        self._sink = sink
        self._see_gpus = see_gpus
        self._started = time.monotonic()
        self.state = State()

    async def run(self) -> ModelServerResult:
        try:
            async with served(self.state, self._settings.port), aiohttp.ClientSession() as session:
                await self._check_gpus()
                questions = Questions(session, self._settings)
                engine = await self._start()
                try:
                    return await self._live(engine, questions)
                finally:
                    engine.kill()
        except LaunchError as error:
            return ending.failed(error, self._seconds())
        finally:
            self.state.stage = "Ended"

    def _seconds(self) -> float:
        return time.monotonic() - self._started

    async def _check_gpus(self) -> None:
        if self._settings.gpus == 0:
            return
        seen = await self._see_gpus()
        if seen.devices < self._settings.gpus:
            raise ending.too_few_gpus(self._settings.gpus, seen)

    async def _start(self) -> Engine:
        try:
            engine = await Engine.start(self._arguments, self._sink)
        except OSError as error:
            raise LaunchError(
                "EngineCrashed", "The image has no vLLM: use one made from a vLLM image.", str(error)
            ) from error
        self.state.doing = engine.tail.last
        self.state.stage = "Loading"
        return engine

    async def _live(self, engine: Engine, questions: Questions) -> ModelServerResult:
        """Until the engine ends, the watch gives it up, or somebody says stop."""
        tasks = {
            asyncio.create_task(engine.ended()),
            asyncio.create_task(self._watch(questions)),
            asyncio.create_task(self.state.stop.wait()),
        }
        try:
            done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in tasks:
                task.cancel()
        if self.state.stop.is_set():
            return await self._end(engine, questions)
        if engine.code is None:
            for task in done:
                task.result()  # the watch has given up: this raises why
        raise ending.crashed(engine.code or 0, engine.tail.lines())

    async def _watch(self, questions: Questions) -> None:
        """Loading, then the heartbeat. Returns never; raises LaunchError."""
        try:
            await asyncio.wait_for(self._until_answered(questions), self._settings.load_deadline_seconds)
        except TimeoutError:
            raise ending.too_slow(self._settings.load_deadline_seconds, self.state.report().doing) from None
        self.state.load_seconds = round(self._seconds(), 1)
        self.state.stage = "Serving"
        pulse = Pulse(questions)
        try:
            await self._heartbeat(questions, pulse)
        finally:
            pulse.stop()

    async def _heartbeat(self, questions: Questions, pulse: Pulse) -> None:
        watch = HangWatch(time.monotonic())
        while True:
            await asyncio.sleep(self._settings.poll_seconds)
            vitals = await questions.figures()
            now = time.monotonic()
            silent = watch.saw(vitals, now, asked=pulse.waits)
            hangs = silent >= self._settings.stall_seconds
            self.state.stalled_seconds = silent if hangs else 0.0
            self.state.stage = "Stalled" if hangs else "Serving"
            if watch.still(now) >= self._settings.stall_seconds / 2:
                pulse.ask()

    async def _until_answered(self, questions: Questions) -> None:
        """An engine that listens may still fail at its first answer: only an answer proves it."""
        while True:
            if await questions.listening():
                try:
                    await questions.one_token()
                    await questions.figures()
                    return
                except NoAnswerError as error:
                    self.state.refusal = str(error)
                except ValueError as error:
                    raise LaunchError(
                        "EngineCrashed", f"{error}: hangs could not be seen. Use the vLLM image of the operator.", ""
                    ) from error
            await asyncio.sleep(min(self._settings.poll_seconds, 1.0))

    async def _end(self, engine: Engine, questions: Questions) -> ModelServerResult:
        """Told to stop. What is in flight is finished, unless nothing moves or nothing was served yet."""
        stage, self.state.stage = self.state.stage, "Draining"
        engine.terminate()
        budget = TEARDOWN_SECONDS + (self._settings.drain_seconds if stage == "Serving" else 0)
        in_time = await self._drained(engine, questions, budget)
        if stage == "Stalled":
            raise ending.stalled(self._settings.stall_seconds)
        if stage == "Serving" and not in_time:
            return self._stopped(f"Answers were cut off after {self._settings.drain_seconds} s: raise drainSeconds.")
        return self._stopped("")

    async def _drained(self, engine: Engine, questions: Questions, budget: float) -> bool:
        """Whether every answer was finished within `budget` seconds."""
        ended = asyncio.create_task(engine.ended())
        start = last_busy = time.monotonic()
        while not ended.done():
            await asyncio.wait({ended}, timeout=0.5)
            vitals, now = await questions.figures(), time.monotonic()
            if vitals is None or vitals.requests:
                last_busy = now
            if now - last_busy >= IDLE_SECONDS:
                break
            if now - start >= budget:
                ended.cancel()
                return engine.code is not None
        ended.cancel()
        return True

    def _stopped(self, message: str) -> ModelServerResult:
        return ModelServerResult(outcome="Stopped", seconds=round(self._seconds(), 1), message=message)
