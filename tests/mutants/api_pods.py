"""How the API's pods are broken: exchanged by going back, not taken back when they fail, ready too early, silent about what answered."""

from .mutant import Mutant

OPERATOR = "operator/rag_operator/"
PLAN = OPERATOR + "releases/plan.py"
CHILDREN = OPERATOR + "resources/__init__.py"
KEPT = OPERATOR + "resources/kept.py"
API = "workloads/api/rag_api/"

ROWS = "tests/unit/rag_operator/"
PODS = ROWS + "test_api_pods.py::test_"
IMAGE = ROWS + "test_release_image.py::test_"
UPGRADE = "tests/faults/test_upgrade.py::test_two_builds_of_the_operator_restart_and_release_nothing_of_each_other"
RETURNED = (
    "tests/faults/test_hazards.py::test_an_api_image_that_does_not_start_in_time_is_taken_back_and_no_former_pod_goes"
)
SMOKE = "tests/unit/rag_api/test_smoke.py::test_"
READY = "tests/unit/rag_api/test_ready.py::test_"
TRACES = "tests/unit/rag_api/test_tracing.py::test_"

EXCHANGED = (
    Mutant(
        "keys-of-today",
        "a key that no kept revision names any more exchanges every pod in the middle of a move",
        CHILDREN,
        "return mounted if enough and kept.is_made_of(live, subject(mounted)) else needed",
        "return needed",
        PODS + "a_key_that_no_kept_revision_names_any_more_exchanges_no_pods",
    ),
    Mutant(
        "keys-of-today-on-the-server",
        "a key that no record names any more exchanges every pod in the middle of a move",
        CHILDREN,
        "return mounted if enough and kept.is_made_of(live, subject(mounted)) else needed",
        "return needed",
        "tests/faults/test_hazards.py::test_a_model_key_that_no_record_names_any_more_exchanges_no_pod",
    ),
    Mutant(
        "keys-for-ever",
        "a key that nothing names is mounted also by pods that are exchanged anyway",
        CHILDREN,
        "return mounted if enough and kept.is_made_of(live, subject(mounted)) else needed",
        "return mounted if enough else needed",
        PODS + "a_key_that_nothing_names_goes_with_the_next_edit_of_the_api",
    ),
    Mutant(
        "keys-too-few",
        "a key that no pod mounts is not mounted",
        CHILDREN,
        "enough = set(mounted.models) >= set(needed.models)",
        "enough = True",
        PODS + "another_key_exchanges_the_pods_once_and_takes_what_nothing_names_with_it",
    ),
    Mutant(
        "keys-in-another-order",
        "keys are read back in another order, which makes another template of them",
        OPERATOR + "resources/model_keys.py",
        'files = sorted(item["path"] for source in sources for item in source["items"])',
        'files = [item["path"] for source in sources for item in source["items"]]',
        PODS + "keys_are_read_from_a_template_as_they_were_written_there",
    ),
    Mutant(
        "overlay-renews",
        "a release beside what is gone back to takes another operator's template",
        PLAN,
        "if serving is None or serving.number in self.records or self.overlay.active:",
        "if serving is None or serving.number in self.records:",
        PODS + "new_content_beside_what_is_gone_back_to_waits_with_the_new_template",
    ),
    Mutant(
        "revert-renews",
        "a new combination of what was released takes another operator's template",
        PLAN,
        "return any(all(getattr(serving, part) != getattr(was, part) for was in self.history) for part in PARTS)",
        "return True",
        PODS + "going_back_to_a_new_combination_after_an_upgrade_exchanges_no_pods[revert]",
    ),
    Mutant(
        "going-back-renews-on-the-server",
        "after an upgrade going back exchanges every API pod",
        PLAN,
        "serving.number in self.records or self.overlay.active:\n            return False\n        return any(",
        "serving.number in self.records:\n            return False\n        return True or any(",
        UPGRADE,
    ),
    Mutant(
        "former-default-image",
        "a revision that was released by default comes back with the default image of its time",
        PLAN,
        "        image=wish.image,\n        faults=faults,",
        "        image=(overlay.record.image if overlay.record is not None else None) or wish.image,\n"
        "        faults=faults,",
        PODS + "a_revision_by_a_former_default_image_is_served_by_the_pods_that_run[release]",
    ),
    Mutant(
        "named-image-stays-away",
        "going back to a revision leaves its API image out",
        PLAN,
        "image=overlay.record.declared_image if overlay.record is not None else spec.api.image,",
        "image=spec.api.image,",
        PODS + "an_image_that_a_revision_names_comes_back_with_it",
    ),
    Mutant(
        "render-version-of-nobody",
        "a record does not say which operator rendered it",
        CHILDREN,
        "render_version=PACKAGE_VERSION,",
        'render_version="0",',
        UPGRADE,
    ),
)
TAKEN_BACK = (
    Mutant(
        "failed-image-stays",
        "pods that do not start are tried for ever",
        KEPT,
        "former is not None and live is not None and _failed(live):",
        "former is not None and live is not None and False:",
        IMAGE + "image_that_does_not_start_in_time_is_taken_back_and_stays_so",
    ),
    Mutant(
        "failed-image-stays-on-the-server",
        "pods that do not start are tried for ever",
        KEPT,
        "former is not None and live is not None and _failed(live):",
        "former is not None and live is not None and False:",
        RETURNED,
    ),
    Mutant(
        "returned-at-once-tried-again",
        "a template that was taken back is tried again by the next pass",
        KEPT,
        "written(now._replace(template=former.template)),",
        "written(now._replace(template=former.template, subject=former.subject)),",
        RETURNED,
    ),
    Mutant(
        "returned-unsaid",
        "that a template was taken back is not told",
        KEPT,
        'returned = "true"',
        'returned = "false"',
        RETURNED,
    ),
    Mutant(
        "returned-for-ever",
        "that a template was taken back is told also of the next one",
        KEPT,
        '        returned = "false"\n',
        "",
        IMAGE + "the_next_edit_tries_again[placement]",
    ),
    Mutant(
        "half-rolled-out-is-good",
        "a template of which no pod became ready is what is gone back to",
        KEPT,
        "if then is not None and live is not None and _rolled_out(live):",
        "if then is not None and live is not None:",
        IMAGE + "an_image_that_fails_twice_goes_back_to_the_one_that_was_good",
    ),
    Mutant(
        "taken-back-while-all-is-down",
        "what former pods need too is blamed on the new ones",
        KEPT,
        'return seen and late and 0 < replicas <= status.get("availableReplicas", 0)',
        "return seen and late and 0 < replicas",
        IMAGE + "nothing_is_taken_back_while_the_former_pods_are_down_too",
    ),
    Mutant(
        "deadline-of-the-one-before",
        "an edit is taken back for the deadline that the one before it missed",
        KEPT,
        'return seen and late and 0 < replicas <= status.get("availableReplicas", 0)',
        'return late and 0 < replicas <= status.get("availableReplicas", 0)',
        IMAGE + "the_deadline_of_an_earlier_edit_takes_nothing_back",
    ),
)
FIRST_QUESTION = (
    Mutant(
        "ready-unasked-of-itself",
        "a pod whose own question is not answered yet is ready",
        API + "smoke.py",
        'return ReadyCheck(name="smoke", ok=False, message="A first question of this pod\'s own is not answered yet.")',
        'return ReadyCheck(name="smoke", ok=True)',
        SMOKE + "pod_that_cannot_answer_is_not_ready[hangs]",
    ),
    Mutant(
        "nothing-is-an-answer",
        "a generator that says nothing has answered",
        API + "smoke.py",
        'return "A first question of this pod\'s own was answered by nothing."',
        'return ""',
        SMOKE + "pod_that_cannot_answer_is_not_ready[says nothing]",
    ),
    Mutant(
        "bug-is-an-answer",
        "a pod whose own question meets a bug is ready",
        API + "smoke.py",
        'return f"A first question of this pod\'s own failed ({type(error).__name__}): see its log."',
        'return ""',
        SMOKE + "pod_that_cannot_answer_is_not_ready[has a bug]",
    ),
    Mutant(
        "asked-at-every-probe",
        "each probe puts a question",
        API + "smoke.py",
        "if self._answered or loaded is None or not revisions:",
        "if loaded is None or not revisions:",
        SMOKE + "pod_is_ready_once_it_has_tried_to_answer_and_asks_no_more[answers]",
    ),
    Mutant(
        "models-fault-is-the-images",
        "a model server that is busy keeps new pods from being ready",
        API + "smoke.py",
        '"message": "the model did not answer", "code": error.code})\n            return ""',
        '"message": "the model did not answer", "code": error.code})\n            return error.message',
        SMOKE + "pod_is_ready_once_it_has_tried_to_answer_and_asks_no_more[its model server does not]",
    ),
    Mutant(
        "found-nothing-is-well",
        "a pod that finds nothing in words of the collection is ready",
        API + "smoke.py",
        'return "A question in words of the collection finds nothing in it." if asked else ""',
        'return ""',
        SMOKE + "pod_that_finds_nothing_in_words_of_the_collection_is_not_ready",
    ),
    Mutant(
        "asks-as-nobody",
        "a collection of which each piece has its readers never lets a pod be ready",
        API + "smoke.py",
        "principal = Principal.of(NAME, sample.tenant, sample.roles)",
        'principal = Principal.of(NAME, "default", ())',
        SMOKE + "pieces_are_found_as_those_who_may_read_them",
    ),
    Mutant(
        "own-words-score-too-little",
        "the release's least score is asked of the pod's own question",
        API + "smoke.py",
        'retrieval = revision.retrieval.model_copy(update={"minimum_score": None})',
        "retrieval = revision.retrieval",
        SMOKE + "pieces_may_score_little",
    ),
)
WRONG_COLLECTION = tuple(
    Mutant(
        f"collection-{name}",
        breaks,
        API + "collections_check.py",
        old,
        new,
        READY + f"a_collection_that_is_not_the_right_one_is_not_queried[{row}]",
    )
    for name, breaks, old, new, row in (
        (
            "without-stamp",
            "a collection that no indexer made is queried",
            '    if stamp is None:\n        return f"',
            '    if stamp is None:\n        return "" and f"',
            "None-1-stamp",
        ),
        (
            "half-built",
            "a collection whose index Job has not finished is queried",
            "(not stamp.complete,",
            "(False,",
            "changes1-1-not complete",
        ),
        (
            "of-another-identity",
            "a collection that another analyzer or embedder built is queried",
            "stamp.identity.fingerprint() != index.identity.fingerprint(),",
            "False,",
            "changes2-1-another identity",
        ),
        (
            "of-another-count",
            "a collection with other pieces than were verified is queried",
            "stamp.chunks != index.chunks,",
            "False,",
            "changes3-2-the release names 2",
        ),
    )
)
TOLD = (
    Mutant(
        "headers-untold",
        "an answer does not say which release it is from",
        API + "provenance.py",
        '        (b"x-rag-revision", b"%d" % revision.number),\n',
        "",
        "tests/unit/rag_api/test_query.py::test_the_answer_has_the_fields_and_headers_of_the_contract",
    ),
    Mutant(
        "log-untold",
        "a request's log line does not say which release answered",
        API + "provenance.py",
        "    context.facts |= told\n",
        "",
        "tests/unit/rag_api/test_leaks.py::test_one_line_per_request_says_what_happened",
    ),
    Mutant(
        "spans-untold",
        "only the request's own span says which release answered",
        API + "provenance.py",
        "context.span.share({ATTRIBUTES[name]: told[name] for name in _VERSIONS})",
        "pass",
        TRACES + "each_span_says_which_release_it_was_and_the_requests_own_says_the_rest",
    ),
    Mutant(
        "weights-untold",
        "two revisions of a model's weights bear one name",
        API + "provenance.py",
        'return f"{model.name}@{model.revision}" if model.revision else model.name',
        "return model.name",
        TRACES + "each_span_says_which_release_it_was_and_the_requests_own_says_the_rest",
    ),
)
API_PODS: tuple[Mutant, ...] = (*EXCHANGED, *TAKEN_BACK, *FIRST_QUESTION, *WRONG_COLLECTION, *TOLD)
