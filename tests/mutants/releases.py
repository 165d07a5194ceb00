"""How releases are broken: what is served, what is recorded, what is gone back to, and which models run."""

from .mutant import Mutant

OPERATOR = "operator/rag_operator/"
RELEASED = OPERATOR + "releases/"
RECORDS = RELEASED + "records.py"
PLAN = RELEASED + "plan.py"
STATUS = OPERATOR + "status/"
ROWS = "tests/unit/rag_operator/"
ROLLBACK = ROWS + "test_rollback.py::test_"
KEPT = ROWS + "test_kept_revisions.py::test_"
KILLED = ROWS + "test_killed_moves.py::test_after_each_write_of_a_move"
MODELS = ROWS + "test_model_status.py::test_"
MOVES = "tests/faults/test_moves.py::test_at_every_write_of_going_back_and_forward"
REUSE = ROWS + "test_revision_reuse.py::test_"
LEVEL = "tests/control_plane/reconcile/test_level_triggered.py::test_"
BUILDS = ROWS + "test_retention_refresh.py::test_a_"
MOVED = ROWS + "test_release_moves.py::test_"
UPGRADE = "tests/faults/test_upgrade.py::test_two_builds_of_the_operator_restart_and_release_nothing_of_each_other"

RELEASES = (
    Mutant(
        "unknown-target-ignored",
        "a name that is not kept is passed over, and the spec is served",
        RELEASED + "overlay.py",
        '        return Overlay(problem=" ".join(problems))',
        "        pass",
        ROLLBACK + "unknown_target_is_refused_with_the_choice_and_serves_on",
    ),
    Mutant(
        "half-an-overlay",
        "of two names, one of them unknown, the other is gone back to",
        RELEASED + "overlay.py",
        "    if problems:",
        "    if problems and not found:",
        ROLLBACK + "one_unknown_target_of_two_moves_nothing",
    ),
    Mutant(
        "overlay-of-the-newest-record",
        "which record is kept for a part hangs on whether its new combination is recorded yet",
        RELEASED + "overlay.py",
        "for revision in reversed(newest) if getattr(revision, field) == part",
        "for revision in newest if getattr(revision, field) == part",
        KILLED,
    ),
    Mutant(
        "number-not-reused",
        "content that was served before gets a new number",
        RECORDS,
        "        if record.hash == wanted:",
        "        if False:",
        ROLLBACK + "prompt_goes_back_in_one_pass_and_forward_again",
    ),
    Mutant(
        "number-used-twice",
        "a new release gets the number of one that exists, after an older one has gone",
        RECORDS,
        "max(_used(observed, live), default=0) + 1",
        "len(records) + 1",
        ROLLBACK + "what_was_left_last_is_kept_longest",
    ),
    Mutant(
        "kept-by-number",
        "the highest numbers are kept, not those that served last",
        RECORDS,
        "for number in sorted(rising, key=last_served, reverse=True):",
        "for number in sorted(rising, reverse=True):",
        KEPT + "those_that_were_left_last_are_kept",
    ),
    Mutant(
        "retention-drops-what-serves",
        "what serves goes when it is old",
        RECORDS,
        "    chosen = {*always, *rising[-1:]}",
        "    chosen = {*rising[-1:]}",
        KEPT + "what_serves_and_what_is_gone_back_to_are_kept_however_few_are_asked_for",
    ),
    Mutant(
        "retention-before-the-pods",
        "the record of what pods serve goes before they have confirmed the next",
        PLAN,
        "always = (*overlay.sources, *confirmed, *(",
        "always = (*overlay.sources, *(",
        KEPT + "what_the_pods_still_serve_is_kept_until_they_have_left_it",
    ),
    Mutant(
        "held-plan-releases",
        "a refused spec is served",
        PLAN,
        "        revisions = (self.standby,) if self.standby is not None else ()",
        "        revisions = self.table.revisions",
        ROLLBACK + "unknown_target_is_refused_with_the_choice_and_serves_on",
    ),
    Mutant(
        "held-plan-stands-still",
        "while the spec is refused for another part, nothing can be gone back to",
        PLAN,
        "    if before is not None and not overlay.problem:",
        "    if False:",
        ROLLBACK + "going_back_works_while_the_spec_is_refused_for_another_part",
    ),
    Mutant(
        "prompt-known-by-its-text",
        "a known text under the name of another prompt is served and recorded, although the spec is refused",
        PLAN,
        "prompt=_released(wish.prompt, before.prompt, (revision.prompt for revision in known)),",
        "prompt=wish.prompt if wish.prompt and wish.prompt.hash in {r.prompt.hash for r in known} else before.prompt,",
        LEVEL + "known_text_under_the_name_of_another_is_refused_and_takes_no_name",
    ),
    Mutant(
        "model-known-by-its-hash",
        "while the spec is refused, the table names a key that no pod mounts",
        PLAN,
        "model=_released(wish.model, before.model, (revision.model for revision in known)),",
        "model=wish.model if wish.model and wish.model.hash in {r.model.hash for r in known} else before.model,",
        REUSE + "where_the_key_of_a_model_lies_is_not_taken_from_a_refused_spec",
    ),
    Mutant(
        "index-known-by-its-hash",
        "while the spec is refused, the table names a key that no pod mounts",
        PLAN,
        "index=_released(wish.index, before.index, (revision.index for revision in known)),",
        "index=wish.index if wish.index and wish.index.hash in {r.index.hash for r in known} else before.index,",
        REUSE + "where_the_embedding_server_is_found_is_not_taken_from_a_refused_spec",
    ),
    Mutant(
        "build-renamed",
        "a build that waits for its release gets the number of a record that went, under which there is no collection",
        RELEASED + "target.py",
        "    if _build_number(begun, index.version):",
        "    if False:",
        BUILDS + "build_keeps_the_name_that_it_was_begun_with",
    ),
    Mutant(
        "result-of-another-collection",
        "what a Job says of one collection is believed of another",
        RELEASED + "target.py",
        "of_this = (result.content_hash, result.collection) == (index.hash, index.collection)",
        "of_this = result.content_hash == index.hash",
        BUILDS + "result_of_another_collection_is_not_believed_and_the_job_runs_again",
    ),
    Mutant(
        "table-beside-record-while-held",
        "while the spec is refused, table and record are written at the same moment",
        OPERATOR + "reconcile.py",
        "for stage in (filterfalse(_names_others, built), filter(_names_others, built)):",
        "for stage in (built[::-1],):",
        KEPT + "new_combination_is_recorded_before_it_is_served[spec refused]",
    ),
    Mutant(
        "table-without-record-while-held",
        "while the spec is refused, the table names a revision of which no record could be written",
        OPERATOR + "reconcile.py",
        "wanted = [desired for desired in stage if not _waits_for_record(desired, refusals)]",
        "wanted = list(stage)",
        KEPT + "new_combination_without_a_record_is_not_served[spec refused]",
    ),
    Mutant(
        "table-beside-record-going-back",
        "table and record of a new combination are written at the same moment",
        OPERATOR + "reconcile.py",
        'return "template" in child.get("spec", {}) or component_of(child) == names.COMPONENT_RELEASES',
        'return "template" in child.get("spec", {}) or component_of(child) == names.COMPONENT_REVISION',
        MOVES,
    ),
    Mutant(
        "rolled-back-unconfirmed",
        "going back is called done when the table is written",
        STATUS + "release.py",
        "    if said.status != TRUE or not facts.plan.overlay.active:",
        "    if not facts.plan.overlay.active:",
        KEPT + "going_back_is_told_only_when_the_pods_have_confirmed_it",
    ),
    Mutant(
        "state-unconfirmed",
        "records say Serving and RolledBack before the pods do",
        STATUS + "revisions.py",
        "    sure = confirmed(facts).status == TRUE",
        "    sure = True",
        KEPT + "going_back_is_told_only_when_the_pods_have_confirmed_it",
    ),
    Mutant(
        "revision-unconfirmed",
        "status.revision is what is in the table, not what the pods confirmed",
        STATUS + "columns.py",
        "    if now is not None and confirmed(facts).status == TRUE:",
        "    if now is not None:",
        KEPT + "going_back_is_told_only_when_the_pods_have_confirmed_it",
    ),
    Mutant(
        "moves-timed-from-the-last-edit",
        "a build by schedule is said to have taken the days since the last edit",
        OPERATOR + "cluster/move_log.py",
        "if known is None or known[0] != generation or not _under_way(body):",
        "if known is None or known[0] != generation:",
        MOVED + "a_move_that_no_edit_asked_for_counts_from_when_it_began",
    ),
    Mutant(
        "moves-timed-by-halves",
        "what one edit asked for is timed from the last status, not from the edit",
        OPERATOR + "cluster/move_log.py",
        """not answered or "movingTo" in release or "waitingFor" in release""",
        "not answered",
        MOVED + "time_counts_from_the_first_look_at_the_edit",
    ),
    Mutant(
        "model-named-before-it-answers",
        "the table names a model whose server has no ready pod",
        RELEASED + "model.py",
        '.get("readyReplicas", 0) > 0:',
        '.get("readyReplicas", 0) >= 0:',
        MODELS + "a_model_that_loads_serves_nobody_yet",
    ),
    Mutant(
        "old-model-ends-first",
        "the server of the model that serves goes while the next one loads",
        OPERATOR + "resources/model.py",
        "hosted_models(plan.model, plan.table.revisions)",
        "hosted_models(plan.model, ())",
        MODELS + "another_model_is_loaded_beside_the_one_that_serves_and_then_takes_over",
    ),
    Mutant(
        "template-of-the-build",
        "another build of the operator starts every pod anew",
        OPERATOR + "resources/kept.py",
        "    if known is None or known.subject != said or (",
        '    if known is None or known.template != made["spec"]["template"] or (',
        UPGRADE,
    ),
    Mutant(
        "job-of-the-build",
        "the template of a Job that exists is declared otherwise, which the API server refuses",
        OPERATOR + "resources/__init__.py",
        'for name in ("template", "podFailurePolicy") if',
        "for name in () if",
        ROWS + "test_revision_upgrade.py::test_a_job_of_an_earlier_build_is_left_alone_and_its_result_is_used",
    ),
    Mutant(
        "new-settings-for-the-old-image",
        "after an upgrade an edit of spec.api tells the old image what only the new one knows",
        OPERATOR + "resources/__init__.py",
        "fresh = api.deployment(svc, plan.image or settings.api_image, keys)",
        "fresh = api.deployment(svc, image, keys)",
        UPGRADE,
    ),
    Mutant(
        "index-by-defaults",
        "a field that the spec gets later makes every index another one under its old name",
        RELEASED + "identity.py",
        "by_alias=True, include=set(CHUNKING))",
        "by_alias=True)",
        UPGRADE,
    ),
    Mutant(
        "table-says-none",
        "a field that a table gets later is refused by API pods of before",
        "workloads/contract/rag_contract/release_table.py",
        "by_alias=True, exclude_none=True)",
        "by_alias=True)",
        UPGRADE,
    ),
)
