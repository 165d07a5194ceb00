"""How model servers are broken: what is rendered and refused, what they cost, their weights, their launcher."""

from .mutant import Mutant

OPERATOR = "operator/rag_operator/"
RELEASED = OPERATOR + "releases/"
BUILT = OPERATOR + "resources/"
STATUS = OPERATOR + "status/"
FETCHER = "workloads/model_fetch/rag_model_fetch/"
LAUNCHER = "workloads/model_server/rag_model_server/"

ROWS = "tests/unit/rag_operator/"
DEPLOYMENT = ROWS + "test_model_deployment.py::test_"
MODEL = ROWS + "test_model_status.py::test_"
CHECKS = ROWS + "test_model_checks.py::test_"
COST = ROWS + "test_gpu_use.py::test_"
WEIGHTS = ROWS + "test_model_fetch.py::test_"
HUB = "tests/unit/rag_model_fetch/test_hub.py::test_"
FOLDER = "tests/unit/rag_model_fetch/test_folder.py::test_"
LAUNCH = "tests/unit/rag_model_server/test_launcher.py::test_"
LAUNCH_PARTS = "tests/unit/rag_model_server/test_parts.py::test_"
LOGS = "tests/unit/contract/test_engine_logs.py::test_"

RENDERING = (
    Mutant(
        "drain-outlasts-the-grace",
        "the kubelet ends a pod before its answers",
        BUILT,
        "grace = pod.PRE_STOP_SECONDS + spec.drain_seconds + TEARDOWN_SECONDS",
        "grace = pod.PRE_STOP_SECONDS + TEARDOWN_SECONDS",
        DEPLOYMENT + "times_fit_together_whatever_the_two_fields_say",
    ),
    Mutant(
        "startup-probe-before-the-engine",
        "the kubelet ends a pod before its engine can say why it does not load",
        BUILT,
        "budget = spec.load_deadline_seconds + STARTUP_MARGIN_SECONDS",
        "budget = spec.load_deadline_seconds",
        DEPLOYMENT + "times_fit_together_whatever_the_two_fields_say",
    ),
    Mutant(
        "shared-memory-uncounted",
        "what is in /dev/shm is not part of the pod's memory",
        BUILT,
        'part["memory"] = quantities.total(part["memory"], shared)',
        "pass",
        DEPLOYMENT + "shared_memory_of_several_gpus_is_memory_of_the_pod",
    ),
    Mutant(
        "code-forbidden-and-run",
        "the setting that forbids code of models forbids nothing",
        OPERATOR + "checks_model.py",
        "if judged.settings.allow_remote_code:",
        "if True:",
        CHECKS + "setting_forbids_code_of_models",
    ),
    Mutant(
        "plugins-run-code",
        "a plugin's file is run although code is forbidden",
        OPERATOR + "checks_model.py",
        "if stands_for(argument) & CODE_FLAGS",
        "if False",
        CHECKS + "setting_forbids_code_by_arguments_too",
    ),
    Mutant(
        "short-form-passes",
        "the beginning of a flag of the operator's goes past its rule",
        OPERATOR + "api/engine.py",
        "for meant in sorted(stands_for(argument) & owned.keys()):",
        "for meant in ():",
        CHECKS + "short_form_of_an_owned_flag_is_refused_as_the_flag",
    ),
    Mutant(
        "any-runtime-class",
        "a runtime class that nobody allowed is used",
        OPERATOR + "checks_model.py",
        "if wanted is not None and wanted not in allowed:",
        "if False:",
        CHECKS + "runtime_classes_are_those_of_the_setting",
    ),
    Mutant(
        "context-unjudged",
        "a context that holds no answer is taken",
        OPERATOR + "checks_model.py",
        "    if context < least:",
        "    if False:",
        CHECKS + "context_must_hold_prompt_source_and_answer",
    ),
    Mutant(
        "unknown-flag-unsaid",
        "a flag that vLLM does not know is no word worth",
        STATUS,
        "    if not unknown:",
        "    if True:",
        MODEL + "unpinned_revision_and_unknown_flag_are_warned_of_from_the_first_pass_on",
    ),
    Mutant(
        "stand-in-unsaid",
        "a model that a fallback answers for counts as ready",
        STATUS,
        'return facts.noted("model") if _serves(facts, model) else None',
        "return None",
        MODEL + "external_model_that_a_fallback_stands_in_for_is_not_ready_although_questions_are_answered",
    ),
    Mutant(
        "stand-in-not-looked-for",
        "nobody looks whether a fallback has begun to answer",
        STATUS,
        "if facts.suspended or not has_stand_in(facts.plan.table):",
        "if True:",
        MODEL + "external_model_that_a_fallback_stands_in_for_is_not_ready_although_questions_are_answered",
    ),
    Mutant(
        "refused-cache-unsaid",
        "a cache that may not be made is not told where weights are mounted",
        STATUS,
        "refused = facts.refusal(names.COMPONENT_MODEL, names.COMPONENT_MODEL_CACHE)",
        "refused = facts.refusal(names.COMPONENT_MODEL)",
        MODEL + "a_refused_cache_is_told_also_where_the_weights_are_mounted",
    ),
)
COSTS = (
    Mutant(
        "waiting-gpus-paid",
        "GPUs of pods that are not ready count",
        OPERATOR + "cluster/gpu_meter.py",
        "passed * held.ready",
        "passed * held.wanted",
        COST + "gpu_seconds_are_those_of_ready_pods_between_changes",
    ),
    Mutant(
        "standby-counts-too",
        "GPU time counts before the process leads",
        OPERATOR + "cluster/gpu_meter.py",
        "        self._since: float | None = None",
        "        self._since: float | None = monotonic()",
        COST + "gpu_seconds_are_those_of_ready_pods_between_changes",
    ),
    Mutant(
        "series-stay-for-ever",
        "the GPU time of a service that is gone stays",
        OPERATOR + "cluster/gpu_meter.py",
        "            self._forget(*place)",
        "            pass",
        COST + "gpu_seconds_outlive_the_model_server_and_go_with_the_service",
    ),
    Mutant(
        "busy-engine-idles",
        "what an engine is working on does not count",
        OPERATOR + "cluster/engine_use.py",
        "return 1.0 if last.running else (last.spent - first.spent) / passed",
        "return (last.spent - first.spent) / passed",
        COST + "what_is_being_worked_on_counts_as_busy_and_looks_are_seldom",
    ),
    Mutant(
        "judged-too-early",
        "a pod that was seen for a minute is judged",
        OPERATOR + "cluster/engine_use.py",
        "    if passed < WINDOW_SECONDS:",
        "    if passed <= 0:",
        COST + "an_engine_is_judged_by_an_hour_of_its_own_figures",
    ),
    Mutant(
        "unseen-pod-idles",
        "a pod of which nothing is known counts as idle",
        STATUS,
        "facts.engine_use.get(pod.name, 1.0)",
        "facts.engine_use.get(pod.name, 0.0)",
        COST + "idle_gpus_are_worth_a_word",
    ),
    Mutant(
        "written-tokens-at-the-price-of-read-ones",
        "an answer costs what its prompt costs",
        "workloads/api/rag_api/telemetry.py",
        "usage.completion_tokens * prices.completion_per_million",
        "usage.completion_tokens * prices.prompt_per_million",
        "tests/unit/rag_api/test_model_servers.py::test_tokens_and_costs_are_counted",
    ),
)
FETCH = (
    Mutant(
        "gpu-waits-for-a-download",
        "pods with GPUs are made before the weights are there",
        BUILT,
        "if live is None and not weights_ready(observed, model):",
        "if False:",
        WEIGHTS + "no_gpu_is_asked_for_before_the_weights_are_there",
    ),
    Mutant(
        "lost-volume-trusted",
        "weights on a volume that was deleted count as there",
        RELEASED,
        "return made is not None and datetime.fromisoformat(made) > ended",
        "return False",
        WEIGHTS + "a_volume_that_was_deleted_is_filled_again",
    ),
    Mutant(
        "progress-grows-old",
        "a download is asked how far it is as seldom as everything else",
        STATUS,
        "pace = min(pace, FETCHING_SECONDS)",
        "pass",
        WEIGHTS + "how_far_it_is_stands_in_the_status",
    ),
    Mutant(
        "engine-asks-the-hub",
        "an engine with its weights before it asks the hub all the same",
        BUILT,
        'OFFLINE = {"HF_HUB_OFFLINE": "1"',
        'OFFLINE = {"HF_HUB_OFFLINE": "0"',
        WEIGHTS + "no_gpu_is_asked_for_before_the_weights_are_there",
    ),
    Mutant(
        "marker-believed-blindly",
        "weights whose files are gone count as whole",
        FETCHER,
        "whole = found.key == self.key and all(_size(self.path / file.path) == file.size for file in found.files)",
        "whole = found.key == self.key",
        FOLDER + "a_marker_without_its_files_counts_for_nothing",
    ),
    Mutant(
        "space-not-looked-at",
        "the download fills the volume before it fails",
        FETCHER,
        "if missing + SPARE_BYTES <= disk.free or missing == 0:",
        "if True:",
        FOLDER + "space_is_looked_at_before_a_byte_is_downloaded",
    ),
    Mutant(
        "download-begins-anew",
        "a transfer that broke off begins at its first byte",
        FETCHER,
        '        if have:\n            headers["Range"]',
        '        if False:\n            headers["Range"]',
        HUB + "a_transfer_that_breaks_off_goes_on_where_it_was",
    ),
    Mutant(
        "everybody-downloads",
        "two that download at once do not know of each other",
        FETCHER,
        "fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)",
        "fcntl.flock(handle, fcntl.LOCK_SH | fcntl.LOCK_NB)",
        FOLDER + "two_at_once_make_one_download",
    ),
    Mutant(
        "token-for-the-store",
        "the hub's token is sent to the store behind it",
        FETCHER,
        "build_hf_headers(token=self._token if same else False)",
        "build_hf_headers(token=self._token)",
        HUB + "the_token_stays_with_the_hub",
    ),
    Mutant(
        "refusal-without-a-reason",
        "a token that may not read the model is tried for ever",
        FETCHER + "hub.py",
        "if status in {401, 403}:",
        "if status in {401}:",
        HUB + "a_token_that_may_not_read_the_model",
    ),
)
LAUNCHING = (
    Mutant(
        "gpu-not-looked-for",
        "an engine without its GPU is started",
        LAUNCHER,
        "if seen.devices < self._settings.gpus:",
        "if False:",
        LAUNCH + "a_gpu_that_is_not_there_is_told_before_the_engine_starts",
    ),
    Mutant(
        "listening-is-ready",
        "an engine that listens counts as ready without an answer",
        LAUNCHER,
        "                    await questions.one_token()\n                    await questions.figures()",
        "                    await questions.figures()",
        LAUNCH + "an_engine_that_listens_and_cannot_answer_is_never_ready",
    ),
    Mutant(
        "hang-unnoticed",
        "an engine that makes no step is alive",
        LAUNCHER,
        "hangs = silent >= self._settings.stall_seconds",
        "hangs = False",
        LAUNCH + "a_hang_fails_liveness_and_is_told_at_the_end",
    ),
    Mutant(
        "idle-hang-unnoticed",
        "a question of our own that waits counts for nothing",
        LAUNCHER,
        "vitals.requests == 0 and not asked",
        "vitals.requests == 0",
        LAUNCH_PARTS + "a_question_of_our_own_that_waits_is_a_request_that_the_figures_do_not_show",
    ),
    Mutant(
        "restarted-count-hangs",
        "a count that began anew is no movement",
        LAUNCHER,
        "vitals.steps != self._steps",
        "vitals.steps > self._steps",
        LAUNCH_PARTS + "a_restarted_count_is_a_movement",
    ),
    Mutant(
        "drain-cuts-off",
        "an engine that serves has no time to finish its answers",
        LAUNCHER,
        'self._settings.drain_seconds if stage == "Serving" else 0',
        "-TEARDOWN_SECONDS",
        LAUNCH + "sigterm_finishes_what_runs_and_takes_nothing_new",
    ),
    Mutant(
        "what-followed-is-the-cause",
        "the last line of the table that is found wins instead of the first",
        "workloads/contract/rag_contract/engine_logs.py",
        "for signature, pattern in _COMPILED:",
        "for signature, pattern in reversed(_COMPILED):",
        LOGS + "what_the_configuration_says_is_told_by_its_own_sentence",
    ),
)
MODELS: tuple[Mutant, ...] = (*RENDERING, *COSTS, *FETCH, *LAUNCHING)
