"""Rows about runtime/, the machinery under the control loop that knows nothing of RAG, and about the controller's use of it."""

from .mutant import Mutant

RUNTIME = "operator/rag_operator/runtime/"
CLIENT = RUNTIME + "client.py"
LOGIN = RUNTIME + "login.py"
LEASE = RUNTIME + "lease.py"
TRANSPORT = RUNTIME + "transport.py"
WORKERS = RUNTIME + "workers.py"
QUEUE = RUNTIME + "workqueue.py"
INFORMER = RUNTIME + "informer.py"
CONTROLLER = "operator/rag_operator/controller.py"
UNIT = "tests/unit/runtime/"

MACHINERY = (
    Mutant(
        "lead-comes-back",
        "a renewal that is answered after the lead lapsed brings it back, and what was refused meanwhile is forgotten",
        LEASE,
        "if not mine or self._clock() >= self._ends_at:",
        "if not mine:",
        UNIT + "test_lease.py::test_a_process_that_was_frozen_with_the_answer_in_its_hand_does_not_lead_again",
    ),
    Mutant(
        "loss-told-late",
        "the loss of the lead is told when the last call has ended",
        LEASE,
        "asyncio.timeout_at(min(began + self.times.call, self._ends_at))",
        "asyncio.timeout_at(began + self.times.call)",
        UNIT + "test_lease.py::test_the_loss_is_told_when_it_happens_although_a_call_hangs",
    ),
    Mutant(
        "gate-before-the-slot",
        "what waits for a slot is sent although the server has asked to wait meanwhile",
        TRANSPORT,
        """            async with contextlib.nullcontext() if alone else self._slots.one():
                if not request.urgent:
                    await self._gate()  # in the slot, for it may have closed while we waited
""",
        """            if not request.urgent:
                await self._gate()
            async with contextlib.nullcontext() if alone else self._slots.one():
""",
        UNIT + "test_retry_after.py::test_a_request_that_waited_for_a_slot_looks_anew",
    ),
    Mutant(
        "last-refusal-unheard",
        "the 429 that ends a request is kept from the others",
        TRANSPORT,
        """            self._heed(status, error)
            if status != 429 or request.urgent or attempt == MAX_TRIES:
                raise error
""",
        """            if status != 429 or request.urgent or attempt == MAX_TRIES:
                raise error
            self._heed(status, error)
""",
        UNIT + "test_retry_after.py::test_the_last_refusal_of_a_request_is_heard_too",
    ),
    Mutant(
        "watch-refusal-unheard",
        "the 429 of a watch is kept from the others",
        TRANSPORT,
        "                    self._heed(status, error)\n                    raise error\n",
        "                    raise error\n",
        UNIT + "test_retry_after.py::test_what_a_watch_is_told_is_heard_by_all",
    ),
    Mutant(
        "wish-of-the-server-forgotten",
        "a key comes back before the server wants to hear of it",
        WORKERS,
        "self._queue.retry(key, at_least=error.retry_after or 0.0)",
        "self._queue.retry(key)",
        UNIT + "test_retry_after.py::test_a_key_comes_back_when_the_server_wants_it",
    ),
    Mutant(
        "overtaken-plans-pile-up",
        "each plan that was overtaken stays in memory until its time",
        QUEUE,
        "if len(self._heap) > 2 * len(self._later) + OVERTAKEN:",
        "if False:",
        UNIT + "test_workqueue.py::test_a_wish_for_next_month_that_is_told_at_each_pass_is_kept_once",
    ),
    Mutant(
        "waited-since-the-start",
        "after a fail-over the queue seems to have kept its keys waiting for hours",
        QUEUE,
        "now - max(since, self._began)",
        "now - since",
        UNIT + "test_workqueue.py::test_nothing_waits_for_a_worker_before_there_are_any",
    ),
    Mutant(
        "long-list-is-stuck",
        "a LIST of many pages counts as a loop that does nothing",
        INFORMER,
        '            self._heard()\n            version = int(page["metadata"]["resourceVersion"])\n',
        '            version = int(page["metadata"]["resourceVersion"])\n',
        UNIT + "test_informer.py::test_a_list_of_many_pages_is_no_stuck_loop",
    ),
    Mutant(
        "any-list-is-one",
        "a JSON answer that is no List ends the informer and with it the process",
        CLIENT,
        "a_page(decode(await self._transport.call(request)))",
        "decode(await self._transport.call(request))",
        UNIT + "test_wrong_shapes.py::test_a_list_that_is_none_is_asked_for_again",
    ),
    Mutant(
        "any-event-is-one",
        "a JSON line that is no event ends the informer and with it the process",
        CLIENT,
        "return an_event(event)",
        "return event",
        UNIT + "test_wrong_shapes.py::test_an_event_that_is_none_breaks_the_watch_and_no_more",
    ),
    Mutant(
        "any-answer-is-an-object",
        "a JSON answer to a write that is no object is a bug of the pass",
        CLIENT,
        "content_type=APPLY)\n        return an_object(await self._write(request, obj), stored=not dry_run)",
        "content_type=APPLY)\n        return await self._write(request, obj)",
        UNIT + "test_wrong_shapes.py::test_an_object_that_is_none_is_no_answer",
    ),
    Mutant(
        "any-answer-is-a-lease",
        "a JSON answer that is no Lease ends the election and with it the process",
        LEASE,
        "old, body = self._seen.body, an_object(body)",
        "old = self._seen.body",
        UNIT + "test_wrong_shapes.py::test_a_lease_that_is_none_ends_no_election",
    ),
    Mutant(
        "plugin-run-by-all",
        "an exec plugin is run by every request that finds its token old",
        LOGIN,
        "if reading is None:",
        "if True:",
        UNIT + "test_login.py::test_a_slow_source_is_asked_once_for_all_who_wait",
    ),
    Mutant(
        "renewal-cancelled-for-all",
        "a request that gives up takes the renewal of the token from the others",
        LOGIN,
        "                reading.set_running_or_notify_cancel()  # so that nobody who gives up can cancel it for the others\n",
        "",
        UNIT + "test_login.py::test_who_gives_up_takes_the_answer_from_nobody",
    ),
    Mutant(
        "token-for-ever",
        "a token is read once",
        LOGIN,
        "self._clock() - self._read_at > TOKEN_FRESH_SECONDS",
        "False",
        UNIT + "test_login.py::test_a_token_is_read_again_after_five_seconds",
    ),
    Mutant(
        "token-read-for-each-refusal",
        "a token that is new already is read again for each request that carried the old one",
        LOGIN,
        "if refused == self._value:",
        "if True:",
        UNIT + "test_login.py::test_many_refusals_of_one_token_are_one_reason_to_read_it",
    ),
    Mutant(
        "unreadable-token-is-the-end",
        "a token that cannot be read anew fails requests that the old one would have passed",
        LOGIN,
        "            if self._value is None:\n                raise Unreachable",
        "            if True:\n                raise Unreachable",
        UNIT + "test_login.py::test_a_token_that_cannot_be_read_stays",
    ),
    Mutant(
        "resync-first",
        "who wants something waits until all have been looked at once",
        CONTROLLER,
        "self.queue.add(key, level=Level.IDLE)",
        "self.queue.add(key, level=Level.FOLLOW)",
        UNIT + "test_promises.py::test_a_resync_keeps_nobody_waiting",
    ),
    Mutant(
        "endless-pass-is-healthy",
        "a pass that does not end is not told",
        CONTROLLER,
        "self.queue.longest_active() > LONGEST_PASS_SECONDS",
        "False",
        UNIT + "test_promises.py::test_a_pass_that_does_not_end_is_a_fault",
    ),
    Mutant(
        "silence-is-borne-longer",
        "a dead stream is noticed after more than 75 s",
        CLIENT,
        "SILENCE_SECONDS: Final = 70.0",
        "SILENCE_SECONDS: Final = 75.0",
        UNIT + "test_promises.py::test_a_silent_watch_is_begun_anew_within_75_seconds",
    ),
    Mutant(
        "lease-renewed-late",
        "a leader may lead until others may, too",
        LEASE,
        "renew: float = 10.0",
        "renew: float = 15.0",
        UNIT + "test_promises.py::test_the_times_of_the_lease_are_those_of_kubernetes",
    ),
)
