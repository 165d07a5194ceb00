"""The table: how the code is broken, and which test has to notice. Releases and model servers have tables of their own."""

from .api_pods import API_PODS
from .clusterwide import CLUSTERWIDE
from .machinery import MACHINERY
from .models import MODELS
from .mutant import Mutant
from .node import NODE
from .placing import PLACING
from .refresh import REFRESHES
from .releases import RELEASES
from .served import SERVED

OPERATOR = "operator/rag_operator/"
RECONCILE = OPERATOR + "reconcile.py"
CLUSTER = OPERATOR + "cluster/"
CLIENT = OPERATOR + "runtime/client.py"
TRANSPORT = OPERATOR + "runtime/transport.py"
INFORMER = OPERATOR + "runtime/informer.py"
QUEUE = OPERATOR + "runtime/workqueue.py"
WORKERS = OPERATOR + "runtime/workers.py"
LEASE = OPERATOR + "runtime/lease.py"
PROGRAM = OPERATOR + "program.py"
CONTROLLER = OPERATOR + "controller.py"
STATUS = OPERATOR + "status/"
RETENTION = OPERATOR + "resources/retention.py"

KILLS = "tests/faults/test_kills.py::test_at_every_write_of_a_"
REPLIES = "tests/faults/test_replies.py::test_"
WATCHES = "tests/faults/test_watches.py::test_"
STREAMS = "tests/faults/test_streams.py::test_"
RACES = "tests/faults/test_races.py::test_"
LEADER = "tests/faults/test_leader.py::test_"
HAZARDS = "tests/faults/test_hazards.py::test_"
LEVEL = "tests/control_plane/reconcile/test_level_triggered.py::test_"
UNIT = "tests/unit/runtime/"
ROWS = "tests/unit/rag_operator/test_reconcile.py::test_"


OWNERSHIP = (
    Mutant(
        "adopt-by-name",
        "an object of a child's name is taken over whoever owns it",
        CLUSTER,
        """raise ApiError(409, "NameTaken", f"{kind.kind} {metadata['name']} exists and is not ours")""",
        "pass",
        LEVEL + "somebody_elses_object_is_left_alone",
    ),
    Mutant(
        "apply-over-a-stranger",
        "the first apply of a child may change what exists",
        CLUSTER,
        "self._client.apply(desired, only_new=True)",
        "self._client.apply(desired)",
        RACES + "a_child_whose_name_is_taken_in_the_last_moment",
    ),
    Mutant(
        "own-by-label",
        "whatever carries the service's label counts as its child",
        CLUSTER,
        "return owner == uid or (owner is None and bool(applied_by(obj, names.FIELD_MANAGER)))",
        "return True",
        RACES + "what_only_looks_like_a_child_is_neither_changed_nor_pruned",
    ),
    Mutant(
        "delete-by-name",
        "a delete names no uid and no version",
        CLIENT,
        '"preconditions": {"uid": uid} | ({"resourceVersion": resource_version} if resource_version else {}),',
        '"preconditions": {},',
        RACES + "a_prune_spares_what_took_the_place_of_the_old",
    ),
    Mutant(
        "status-by-name",
        "a status may land on a later object of the same name",
        CLUSTER,
        '"metadata": {key: metadata[key] for key in ("name", "namespace", "resourceVersion")},',
        '"metadata": {key: metadata[key] for key in ("name", "namespace")},',
        RACES + "a_status_never_lands_on_the_next_service_of_that_name",
    ),
    Mutant(
        "secret-applied",
        "a generated Secret is written again when it exists",
        CLUSTER,
        "await self._client.create(make(_token))",
        "await self._client.apply(make(_token))",
        KILLS + "creation",
    ),
    Mutant(
        "secret-on-every-pass",
        "that a Secret was made is forgotten",
        CLUSTER,
        "if secret in self._made or (known and secret not in self._missing):",
        "if known and secret not in self._missing:",
        STREAMS + "late_events_cost_no_write_twice",
    ),
    Mutant(
        "secret-exists-is-an-error",
        "the 409 of a create ends the pass",
        CLUSTER,
        "if not error.is_already_exists:\n                self._forget(secret)",
        "if True:\n                self._forget(secret)",
        KILLS + "creation",
    ),
    Mutant(
        "work-on-the-dying",
        "a RagService that is being deleted is reconciled",
        CLUSTER,
        'return None if body is None or "deletionTimestamp" in body["metadata"] else body',
        "return body",
        HAZARDS + "nothing_is_made_for_a_service_that_is_going",
    ),
)
PASSES = (
    Mutant(
        "refusal-is-a-crash",
        "one refused write ends the pass, and nobody is told",
        RECONCILE,
        "REFUSALS = frozenset({400, 403, 409, 422})",
        "REFUSALS: frozenset[int] = frozenset()",
        REPLIES + "a_refused_write_is_told_and_keeps_no_other_back",
    ),
    Mutant(
        "table-without-record",
        "the release table names a revision of which no record could be written",
        RECONCILE,
        "return is_table and any(",
        "return False and any(",
        REPLIES + "without_its_record_a_release_is_not_served",
    ),
    Mutant(
        "table-beside-record",
        "table and record are written at the same moment",
        RECONCILE,
        'return "template" in child.get("spec", {}) or component_of(child) == names.COMPONENT_RELEASES',
        'return "template" in child.get("spec", {})',
        REPLIES + "without_its_record_a_release_is_not_served",
    ),
    Mutant(
        "nothing-is-pruned",
        "what is unwanted stays",
        RECONCILE,
        "refusals += await _prune(gone, cluster)",
        "pass",
        KILLS + "change",
    ),
    Mutant(
        "pods-not-touched",
        "no pod is told to refresh its volumes",
        RECONCILE,
        "await cluster.touch(pod, mark)",
        "pass",
        KILLS + "change",
    ),
    Mutant(
        "stuck-pod-stays",
        "a pod that an earlier template left behind is waited for",
        RECONCILE,
        "gone = [*resources.unwanted(observed, plan, built, age), *resources.stuck_pods(observed)]",
        "gone = [*resources.unwanted(observed, plan, built, age)]",
        HAZARDS + "a_store_that_never_started_is_healed_by_the_edit_alone",
    ),
    Mutant(
        "status-of-the-world-before",
        "the status is computed from what was seen before the writes",
        RECONCILE,
        "return observed.with_children(written), built, refusals",
        "return observed, built, refusals",
        HAZARDS + "ready_waits_for_the_controllers_to_see_the_change",
    ),
    Mutant(
        "status-written-once",
        "a status is written only when there is none",
        RECONCILE,
        "if wait == 0:",
        'if wait == 0 and not observed.body.get("status"):',
        KILLS + "creation",
    ),
    Mutant(
        "observed-generation-stays",
        "the status keeps the generation that it was first made for",
        STATUS + "__init__.py",
        '"observedGeneration": body["metadata"].get("generation", 0),\n        "conditions": _stamped(verdicts, body, facts.now),',
        '"observedGeneration": 1,\n        "conditions": _stamped(verdicts, body, facts.now),',
        HAZARDS + "ready_waits_for_the_controllers_to_see_the_change",
    ),
    Mutant(
        "conditions-come-and-go",
        "a condition that is unknown is left out",
        STATUS + "__init__.py",
        "    for name, verdict in verdicts.items():\n        old",
        "    for name, verdict in ((n, v) for n, v in verdicts.items() if v.status != UNKNOWN):\n        old",
        HAZARDS + "the_set_of_conditions_is_constant",
    ),
    Mutant(
        "ready-unasked",
        "a pod that says nothing counts as one that agrees",
        STATUS + "release.py",
        "        if answer.models is None:\n            return Verdict(",
        "        if answer.models is None:\n            continue\n            return Verdict(",
        HAZARDS + "ready_needs_the_word_of_the_pods",
    ),
    Mutant(
        "restart-looks-at-nothing",
        "what exists when the caches fill is taken for done",
        CONTROLLER,
        "on_change=self._changed,",
        "on_change=lambda old, new: self._changed(old, new) if self.working else None,",
        KILLS + "creation",
    ),
    Mutant(
        "restart-looks-at-nothing-of-a-change",
        "what exists when the caches fill is taken for done",
        CONTROLLER,
        "on_change=self._changed,",
        "on_change=lambda old, new: self._changed(old, new) if self.working else None,",
        KILLS + "change",
    ),
    Mutant(
        "bug-without-back-off",
        "a pass that failed by a bug is tried again at once",
        WORKERS,
        '            pause = self._queue.retry(key)\n            log.exception("reconcile failed',
        '            pause = 0.0\n            self._queue.add(key)\n            log.exception("reconcile failed',
        "tests/faults/test_bugs.py::test_only_the_service_that_meets_the_bug_is_unknown",
    ),
    Mutant(
        "bug-untold",
        "a pass that failed by a bug leaves the old status",
        WORKERS,
        "            await self._tell(key, error)\n",
        "",
        "tests/faults/test_bugs.py::test_only_the_service_that_meets_the_bug_is_unknown",
    ),
)
RUNTIME = (
    Mutant(
        "no-second-list",
        "after a 410 the watch goes on, and no LIST is compared",
        INFORMER,
        "if gone or resumes >= RESUMES_BEFORE_LIST or await self._rewound():",
        "if await self._rewound():",
        WATCHES + "a_deletion_that_history_has_forgotten_is_found",
    ),
    Mutant(
        "replay-wins",
        "an event that is older than what was seen is taken over",
        INFORMER,
        "        if version <= self._version:\n            return\n",
        "",
        UNIT + "test_informer.py::test_a_replayed_event_does_not_raise_the_dead",
    ),
    Mutant(
        "event-beats-own-write",
        "an event that is older than our own write is taken over",
        INFORMER,
        "if cached is not None and cached.version >= version:",
        "if False:",
        UNIT + "test_informer.py::test_our_own_write_is_in_the_cache_at_once_and_stays",
    ),
    Mutant(
        "missed-deletion",
        "a LIST is not searched for what is gone",
        INFORMER,
        "for key in [key for key in self._objects if key not in found]:",
        "for key in list[Key]():",
        WATCHES + "a_deletion_that_history_has_forgotten_is_found",
    ),
    Mutant(
        "missed-deletion-after-a-torn-line",
        "a torn line ends nothing: the stream is read on, and the event is lost",
        CLIENT,
        "            yield event_of(line)",
        "            try:\n                yield event_of(line)\n            except Unreachable:\n                continue",
        STREAMS + "an_event_that_is_torn_in_the_middle_of_a_stream_is_not_lost",
    ),
    Mutant(
        "no-resync",
        "what no event told is never found",
        CONTROLLER,
        "                informer.resync()",
        "                pass",
        STREAMS + "an_event_that_never_comes_is_found_by_the_resync",
    ),
    Mutant(
        "expired-token-for-ever",
        "a LIST whose continue token expires is tried page by page for ever",
        INFORMER,
        "if not error.is_gone or attempt == PAGED_TRIES:",
        "if True:",
        STREAMS + "pages_whose_token_expires_are_read_anew",
    ),
    Mutant(
        "rewound-unnoticed",
        "a LIST that is older than the cache changes nothing",
        INFORMER,
        "rewound = version < self._version",
        "rewound = False",
        UNIT + "test_informer.py::test_a_rewound_server_is_noticed_after_a_break",
    ),
    Mutant(
        "rewound-unasked",
        "a server that could not be asked whether its versions went back is watched on",
        INFORMER,
        "            await self._pause(error)\n        return True",
        "            await self._pause(error)\n        return False",
        "tests/faults/test_rewind.py::test_a_server_that_was_away_is_compared_whole[behind]",
    ),
    Mutant(
        "rewound-overtaken",
        "a rewound server is known by its version alone, which may have grown past ours",
        INFORMER,
        "and (rewound or cached.version <= version)",
        "and rewound",
        "tests/faults/test_rewind.py::test_a_server_that_was_away_is_compared_whole[ahead]",
    ),
    Mutant(
        "watch-without-back-off",
        "a broken watch is tried again at once",
        INFORMER,
        "        await asyncio.sleep(pause)",
        "        await asyncio.sleep(0)",
        WATCHES + "a_broken_watch_is_no_storm",
    ),
    Mutant(
        "silence-is-borne",
        "a watch that says nothing is believed for ever",
        TRANSPORT,
        "sock_read=silence_seconds)",
        "sock_read=None)",
        UNIT + "test_informer.py::test_a_silent_stream_is_noticed",
    ),
    Mutant(
        "own-write-unread",
        "the answer to our own write is not put into the cache",
        INFORMER,
        "if cached is None or version_of(obj) > cached.version:",
        "if False:",
        STREAMS + "late_events_cost_no_write_twice",
    ),
    Mutant(
        "own-delete-unknown",
        "what we deleted is taken for alive until the watch tells",
        CLUSTER,
        'return obj["metadata"]["uid"] in self._deleted and "deletionTimestamp" not in obj["metadata"]',
        "return False",
        STREAMS + "late_events_cost_no_write_twice",
    ),
    Mutant(
        "retry-after-ignored",
        "the server's wish to be left alone is not heard",
        TRANSPORT,
        "self._close_gate(error.retry_after if error.retry_after is not None else 1.0)",
        "self._close_gate(0.0)",
        REPLIES + "retry_after_is_obeyed",
    ),
    Mutant(
        "no-time-out",
        "a request that is never answered is waited for",
        TRANSPORT,
        "self._timeout = aiohttp.ClientTimeout(total=request_seconds, connect=CONNECT_SECONDS)",
        "self._timeout = aiohttp.ClientTimeout(total=None, connect=CONNECT_SECONDS)",
        UNIT + "test_client.py::test_a_request_that_hangs_ends",
    ),
    Mutant(
        "no-back-off",
        "a key that failed comes again at once",
        QUEUE,
        "        self.add(key, pause)",
        "        self.add(key, 0.0)",
        REPLIES + "a_server_that_is_in_trouble_is_asked_at_a_growing_distance",
    ),
    Mutant(
        "two-workers-one-key",
        "a key may be with two workers at once",
        QUEUE,
        "        if key in self._active:",
        "        if False:",
        UNIT + "test_workqueue.py::test_every_change_is_seen_and_no_key_is_with_two_workers",
    ),
)
LEADING = (
    Mutant(
        "lease-lost-workers-go-on",
        "the loss of the Lease ends nothing",
        PROGRAM,
        'lost=lambda: supervisor.stop("the Lease is lost"),',
        "lost=lambda: None,",
        LEADER + "a_lease_taken_by_somebody_else_ends_the_process",
    ),
    Mutant(
        "no-fence",
        "a write is sent although the Lease is not held",
        TRANSPORT,
        "if request.writes and not request.urgent and not self.fence():",
        "if False:",
        LEADER + "a_leader_that_was_frozen_writes_nothing_when_it_wakes",
    ),
    Mutant(
        "old-lease-is-held",
        "a Lease that was not renewed counts as held",
        LEASE,
        "return self._renewed_at is not None and self._clock() < self._ends_at",
        "return self._renewed_at is not None",
        UNIT + "test_lease.py::test_a_leader_that_cannot_renew_stops_before_others_may_start",
    ),
    Mutant(
        "lease-of-another-taken",
        "a Lease is taken while its holder renews it",
        LEASE,
        "return self._clock() - self._seen.at >= duration",
        "return True",
        UNIT + "test_lease.py::test_one_leads_and_keeps_leading",
    ),
    Mutant(
        "lease-kept-after-the-end",
        "a renewal that was cut off by the end keeps the next one waiting for the whole duration",
        LEASE,
        "if self._seen.body is not None and not self._held_by_other():",
        "if False:",
        UNIT + "test_lease.py::test_a_lease_is_given_back_although_a_renewal_was_cut_off",
    ),
    Mutant(
        "lease-of-another-given-back",
        "who ends gives back a Lease that somebody else holds",
        LEASE,
        "if self._seen.body is not None and not self._held_by_other():",
        "if self._seen.body is not None:",
        UNIT + "test_lease.py::test_a_lease_that_another_one_took_is_not_given_back",
    ),
)
MUTANTS: tuple[Mutant, ...] = (
    *OWNERSHIP,
    *PASSES,
    *RUNTIME,
    *LEADING,
    *MACHINERY,
    *RELEASES,
    *REFRESHES,
    *SERVED,
    *PLACING,
    *MODELS,
    *NODE,
    *CLUSTERWIDE,
    *API_PODS,
)
