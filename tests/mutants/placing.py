"""How placing model servers is broken: what is said of the nodes, and how pods are exchanged when GPUs are scarce."""

from .mutant import Mutant

OPERATOR = "operator/rag_operator/"
PLACES = OPERATOR + "scheduling/"
RELEASED = OPERATOR + "releases/"
STATUS = OPERATOR + "status/"

EXPLAIN = "tests/unit/scheduling/test_explain.py::test_"
OBSTACLE = EXPLAIN + "each_obstacle_is_named"
AMOUNTS = "tests/unit/scheduling/test_amounts.py::test_"
WAYS = "tests/unit/scheduling/test_strategy.py::test_"
ROLL_OUT = "tests/unit/scheduling/test_roll_out.py::test_"
ROWS = "tests/unit/rag_operator/"
CONDITION = ROWS + "test_gpu_condition.py::test_"
DEPLOYMENT = ROWS + "test_model_deployment.py::test_"
MODEL = ROWS + "test_model_status.py::test_"

SCHEDULING = (
    Mutant(
        "leaving-pods-hold-nothing",
        "a pod that terminates counts as gone, and its GPU as free",
        PLACES,
        "taken = sum_of(pod.taken for pod in found)",
        "taken = sum_of(pod.taken for pod in found if not pod.terminating)",
        OBSTACLE + "[freed soon]",
    ),
    Mutant(
        "finished-soon-is-busy",
        "that a GPU is about to be freed is not told",
        PLACES,
        "if soon is not None:",
        "if False:",
        OBSTACLE + "[freed soon]",
    ),
    Mutant(
        "no-execute-is-borne",
        "a taint that also ends pods keeps nobody away",
        PLACES,
        'return self.effect in {"NoSchedule", "NoExecute"}',
        'return self.effect in {"NoSchedule"}',
        OBSTACLE + "[taint that also ends pods]",
    ),
    Mutant(
        "preference-repels",
        "a taint that only asks is an obstacle",
        PLACES,
        'return self.effect in {"NoSchedule", "NoExecute"}',
        "return True",
        EXPLAIN + "a_taint_that_only_asks_is_no_obstacle",
    ),
    Mutant(
        "cordoned-node-taken",
        "a cordoned node takes pods",
        PLACES,
        "if node.unschedulable and CORDONED not in taints:",
        "if False:",
        OBSTACLE + "[cordoned]",
    ),
    Mutant(
        "any-value-tolerated",
        "a toleration of another value of the taint is enough",
        PLACES,
        '(toleration.operator == "Equal" and toleration.value == taint.value)',
        'toleration.operator == "Equal"',
        EXPLAIN + "taints_are_tolerated_as_the_scheduler_does",
    ),
    Mutant(
        "all-alternatives-needed",
        "a node must match every term of an affinity instead of one",
        PLACES,
        "return failing + min((",
        "return failing + max((",
        EXPLAIN + "one_of_the_alternatives_is_enough_and_none_holds_nowhere",
    ),
    Mutant(
        "empty-affinity-holds",
        "a term without requirements holds on every node",
        PLACES,
        "if term else [NOWHERE]",
        "if term else []",
        EXPLAIN + "one_of_the_alternatives_is_enough_and_none_holds_nowhere",
    ),
    Mutant(
        "labels-compared-as-text",
        "Gt and Lt compare letters",
        PLACES,
        'return there > bound if operator == "Gt" else there < bound',
        'return str(there) > str(bound) if operator == "Gt" else str(there) < str(bound)',
        EXPLAIN + "labels_are_compared_as_the_scheduler_does",
    ),
    Mutant(
        "nearest-miss-is-any-node",
        "the node that is named is not the one that lacks least",
        PLACES,
        "nearest = min(nodes, key=lambda node: (len(failing[node.name]), node.name), default=None)",
        "nearest = next(iter(nodes), None)",
        OBSTACLE + "[product]",
    ),
    Mutant(
        "neighbours-uncounted",
        "who holds the GPUs is not told by namespace",
        PLACES,
        "spaces[pod.namespace] = spaces.get(pod.namespace, 0) + 1",
        "spaces[pod.namespace] = 1",
        OBSTACLE + "[busy]",
    ),
    Mutant(
        "number-of-pods-unbounded",
        "a node that may hold no more pods takes one",
        PLACES,
        "return [PODS, *short] if taken.get(PODS, 0) + 1 > there.get(PODS, 0) else short",
        "return short",
        OBSTACLE + "[pods]",
    ),
    Mutant(
        "start-uncounted",
        "what init containers need more than the others is not reserved",
        PLACES,
        "    _raise_to(running, hungriest)",
        "    pass",
        AMOUNTS + "a_start_that_takes_more_than_the_run_counts",
    ),
    Mutant(
        "limits-uncounted",
        "a limit without a request, as GPUs have it, asks for nothing",
        PLACES,
        'return amounts(resources.get("limits")) | amounts(resources.get("requests"))',
        'return amounts(resources.get("requests"))',
        AMOUNTS + "containers_add_up_and_a_limit_stands_for_its_request",
    ),
    Mutant(
        "nodes-guessed-at",
        "where the operator may not look at nodes it speaks of them all the same",
        STATUS,
        "if nodes is None or need.claims or fault.reason",
        "if fault.reason",
        CONDITION + "where_nobody_may_look_at_nodes_the_schedulers_words_are_shown",
    ),
    Mutant(
        "claims-taken-for-devices",
        "the nodes are asked for devices that come by claims",
        STATUS,
        "if nodes is None or need.claims or fault.reason",
        "if nodes is None or fault.reason",
        CONDITION + "what_is_not_looked_at_on_nodes_is_told_by_the_scheduler",
    ),
    Mutant(
        "scheduler-contradicted",
        "ModelReady repeats the scheduler beside what the nodes say",
        STATUS,
        "homeless = waiting(tuple(pods)) if gpu_schedulable(facts) is not None else ()",
        "homeless = ()",
        CONDITION + "gpus_that_are_freed_soon_are_progress_and_nothing_wrong",
    ),
    Mutant(
        "quota-unsaid",
        "pods that may not be made are waited for",
        STATUS,
        "return fault_verdict(made) if made is not None else _placed(facts, body)",
        "return _placed(facts, body)",
        CONDITION + "pods_that_may_not_be_made_are_told_in_the_words_of_the_refusal",
    ),
)
STRATEGY = (
    Mutant(
        "shared-volume-surges",
        "a second pod is started beside one whose volume it cannot mount",
        PLACES,
        "    if exclusive_cache:",
        "    if False:",
        ROLL_OUT + "a_volume_for_one_node_forces_recreate",
    ),
    Mutant(
        "served-given-up-for-nothing",
        "a pod that serves goes for one that would find no place",
        PLACES,
        "    elif obstacle:",
        "    elif False:",
        WAYS + "nothing_that_serves_is_given_up_for_a_pod_that_would_find_no_place_anyway",
    ),
    Mutant(
        "demanded-surge-is-an-outage",
        "a surge is demanded, no GPU is free, and the pod that serves goes",
        PLACES,
        "    elif wish is Wish.SURGE:",
        "    elif False:",
        WAYS + "the_way_follows_from_wish_replicas_cache_and_free_gpus",
    ),
    Mutant(
        "one-by-one-surges",
        "one by one is rendered as a surge, for which no GPU is free",
        PLACES,
        "surge = kind is not RollOut.ONE_BY_ONE",
        "surge = True",
        WAYS + "the_deployments_strategy_never_takes_away_what_a_surge_or_a_block_must_keep",
    ),
    Mutant(
        "choice-not-kept",
        "a surge whose own pod took the last GPU becomes another way",
        RELEASED,
        "if live is None or _mark(live)[1] != _subject(spec, template):",
        "if True:",
        ROLL_OUT + "a_surge_whose_own_pod_took_the_last_gpu_goes_on",
    ),
    Mutant(
        "stuck-surge-waits-for-ever",
        "a surge that finds no place is not chosen anew",
        RELEASED,
        "if still_blocked or _is_stuck(observed, need, live, pods):",
        "if still_blocked:",
        ROLL_OUT + "a_surge_that_finds_no_place_is_chosen_anew",
    ),
    Mutant(
        "no-patience-for-a-leaving-pod",
        "a surge is given up although a GPU is about to be freed",
        RELEASED,
        "return observed.nodes.explain(need).reason not in {None, Reason.GpuFreedSoon}",
        "return observed.nodes.explain(need).reason is not None",
        ROLL_OUT + "a_surge_waits_for_a_gpu_that_is_about_to_be_freed",
    ),
    Mutant(
        "former-model-keeps-its-gpu",
        "the model that must give way stays",
        RELEASED,
        "    if strategy.kind is RollOut.RECREATE:\n        return 0",
        "    if strategy.kind is RollOut.RECREATE:\n        return former",
        ROLL_OUT + "what_a_former_model_keeps",
    ),
    Mutant(
        "way-unannounced",
        "how pods are exchanged makes no event",
        STATUS,
        'if not new or old.get("strategy") == new["strategy"]:',
        "if True:",
        CONDITION + "the_way_of_the_next_exchange_and_its_cost_are_announced_in_status_and_event",
    ),
    Mutant(
        "one-replica-cannot-be-drained",
        "a budget for one pod keeps its node from being drained",
        OPERATOR + "resources/",
        'if made["spec"]["replicas"] > 1:',
        "if True:",
        DEPLOYMENT + "disruption_budget_and_spread_only_above_one_replica",
    ),
    Mutant(
        "loading-pod-may-be-evicted",
        "node autoscalers are not asked to leave a pod that loads",
        STATUS,
        "None if pod.ready or pod.ended else value for key",
        "None for key",
        MODEL + "pods_that_load_are_kept_from_node_autoscalers_until_they_are_ready",
    ),
    Mutant(
        "ready-pod-holds-its-node",
        "node autoscalers are asked for ever",
        STATUS,
        "None if pod.ready or pod.ended else value for key",
        "value for key",
        MODEL + "pods_that_load_are_kept_from_node_autoscalers_until_they_are_ready",
    ),
    Mutant(
        "no-patience-for-a-gpu",
        "what serves is stopped for a model although the former server's pod is about to leave its GPU",
        RELEASED,
        "return said.fits or said.reason is Reason.GpuFreedSoon",
        "return said.fits",
        ROLL_OUT + "another_template_is_rolled_out_by_what_is_free_now",
    ),
)
PLACING: tuple[Mutant, ...] = (*SCHEDULING, *STRATEGY)
