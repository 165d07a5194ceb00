"""How what stands between the passes and the cluster is broken: warnings, Events, children that were taken away, the host."""

from .mutant import Mutant

OPERATOR = "operator/rag_operator/"
CLUSTER = OPERATOR + "cluster/"

ROWS = "tests/unit/rag_operator/"
WARNINGS = ROWS + "test_warnings.py::test_"
CHILDREN = ROWS + "test_children.py::test_"
HOST = "tests/unit/runtime/test_kopf_host.py::test_"
EVENTS = ROWS + "test_event_log.py::test_"
SECRETS = ROWS + "test_secret_maker.py::test_"
RECONCILE = ROWS + "test_reconcile.py::test_"

CLUSTERWIDE = (
    Mutant(
        "warnings-of-models-unheard",
        "what Kubernetes warns about model pods, their claim and their downloads is thrown away",
        CLUSTER,
        "names.COMPONENT_INDEX, names.COMPONENT_MODEL)",
        "names.COMPONENT_INDEX)",
        WARNINGS + "warnings_about_every_component_are_kept",
    ),
    Mutant(
        "other-owners-removed",
        "a child that is taken back loses the owners that others gave it",
        CLUSTER,
        'mine["ownerReferences"] = _with_others(mine["ownerReferences"], live)',
        "pass",
        CHILDREN + "owners_that_others_gave_stay",
    ),
    Mutant(
        "unknown-untold",
        "nobody is told that Ready became Unknown",
        OPERATOR + "status/follow_up.py",
        'known = condition["status"] == FALSE or condition["type"] == "Ready"',
        'known = condition["status"] == FALSE',
        RECONCILE + "that_ready_becomes_unknown_is_told_and_that_it_comes_back",
    ),
    Mutant(
        "recovery-untold",
        "nobody is told that Ready is True again",
        OPERATOR + "status/follow_up.py",
        'yield "Normal", condition["reason"], condition["message"]',
        "pass",
        RECONCILE + "each_turn_of_ready_is_told_once",
    ),
    Mutant(
        "bug-forgets-the-parts",
        "a bug takes away what is known of the parts",
        OPERATOR + "status/__init__.py",
        "verdicts = {name: missing for name in ALWAYS if name not in before}",
        "verdicts = dict.fromkeys(ALWAYS, missing)",
        RECONCILE + "bug_makes_ready_unknown_and_the_next_pass_puts_it_right",
    ),
    Mutant(
        "bug-tells-ready-alone",
        "after a bug in its first pass a service has one condition",
        OPERATOR + "status/__init__.py",
        '"conditions": [*(found.pop(name) for name in ALWAYS), *found.values()],',
        '"conditions": [found["Ready"], *before.values()],',
        RECONCILE + "bug_in_the_first_pass_of_all_leaves_no_condition_out",
    ),
    Mutant(
        "key-made-before-the-roll",
        "a key that was lost is made anew before those who hold the old one are rolled",
        OPERATOR + "reconcile.py",
        "later = names.qdrant_key(svc.metadata.name) if lost else None",
        "later = None",
        RECONCILE + "missing_secret_is_made_again_and_everybody_gets_the_new_key",
    ),
    Mutant(
        "key-made-anew-unstamped",
        "who is killed while it makes the key anew leaves API pods that go on with the old one",
        OPERATOR + "reconcile.py",
        "observed = replace(observed, new_key=lost)",
        "pass",
        "tests/faults/test_lost_key.py::test_nobody_goes_on_with_the_old_key",
    ),
    Mutant(
        "every-try-another-stamp",
        "a loss that lasts rolls the pods again and again",
        CLUSTER,
        "if secret not in self._missing:",
        "if True:",
        SECRETS + "one_loss_has_one_name_until_it_is_made_up_for",
    ),
    Mutant(
        "secret-there-rolled-all-the-same",
        "that a pod misses some Secret rolls the vector store and the API although the key is there",
        CLUSTER,
        'self._is_there(secret)\n            return ""',
        "return loss",
        SECRETS + "what_is_there_was_not_lost",
    ),
    Mutant(
        "key-made-while-one-is-not-rolled",
        "the key is made although somebody who holds the old one could not be rolled",
        OPERATOR + "reconcile.py",
        "if later is not None and not any(refusal.child.kind in ROLLED for refusal in refusals):",
        "if later is not None:",
        RECONCILE + "a_key_is_not_made_before_all_who_hold_it_are_rolled",
    ),
    Mutant(
        "event-lost-with-its-write",
        "an Event that a broken server did not take is never told",
        CLUSTER,
        "            if refused or owed.tries >= MAX_TRIES:",
        "            if True:",
        EVENTS + "what_a_broken_server_did_not_take_is_told_later",
    ),
    Mutant(
        "event-owed-for-ever",
        "an Event that nobody takes fails every pass from then on",
        CLUSTER,
        "            if refused or owed.tries >= MAX_TRIES:",
        "            if refused:",
        EVENTS + "an_event_that_nobody_takes_is_let_go_after_some_tries",
    ),
    Mutant(
        "gpu-series-for-ever",
        "a model server that outlives its service leaves a series that no service explains",
        CLUSTER,
        "        ended = self._gone - holding",
        "        ended: set[tuple[str, str]] = set()",
        ROWS + "test_gpu_use.py::test_a_model_server_that_outlives_its_service_leaves_no_series_behind",
    ),
    Mutant(
        "nodes-remembered-for-ever",
        "a node that is gone stays in the snapshot",
        CLUSTER,
        "if pods or name in self._facts:",
        "if True:",
        ROWS + "test_node_watch.py::test_a_node_that_is_gone_is_forgotten",
    ),
    Mutant(
        "state-without-versions",
        "/debug/state does not say what is cached",
        OPERATOR + "controller.py",
        '"versions": dict(sorted(_versions(informer.items()))),',
        '"versions": {},',
        "tests/unit/runtime/test_controller.py::test_the_state_names_what_is_cached_and_its_version_and_nothing_else",
    ),
    Mutant(
        "kopf-not-started-again",
        "the second witness is gone after its first end",
        OPERATOR + "handlers.py",
        "await self._pause(self._backoff.next())",
        "return",
        HOST + "kopf_is_started_again_however_often_it_ends",
    ),
    Mutant(
        "kopf-over-unseen",
        "nobody is told that kopf is not started again any more",
        OPERATOR + "handlers.py",
        "            self._over.set()",
        "            pass",
        HOST + "a_supervision_that_ended_is_a_fault",
    ),
)
