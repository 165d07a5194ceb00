"""How releases are broken where only real pods show it: a broken image of the operator, or of the API, runs on the bench."""

from .mutant import Mutant

OPERATOR = "operator/rag_operator/"
API = "workloads/api/rag_api/"
STATUS = OPERATOR + "status/"
RELEASED = OPERATOR + "releases/"
ROLLBACK = "tests/e2e/test_rollback.py::test_"
SERVING = "tests/e2e/test_serving.py::test_"

NODE = (
    Mutant(
        "number-not-reused-on-pods",
        "a revert in git makes a release with a new number",
        RELEASED + "records.py",
        "        if record.hash == wanted:",
        "        if record.hash == wanted and record.revision.number == max(records):",
        ROLLBACK + "a_revert_in_git_goes_back_to_the_same_release",
    ),
    Mutant(
        "unknown-target-ignored-on-pods",
        "a name that is not kept is passed over, and nobody is told",
        RELEASED + "overlay.py",
        '        return Overlay(problem=" ".join(problems))',
        "        pass",
        ROLLBACK + "an_unknown_target_is_refused_with_the_choice_while_the_old_serves",
    ),
    Mutant(
        "silence-agrees",
        "a pod that does not answer counts as one that serves what is declared",
        STATUS + "release.py",
        "        if answer.models is None:\n            return Verdict(",
        "        if answer.models is None:\n            continue\n            return Verdict(",
        ROLLBACK + "a_pod_that_cannot_be_reached_makes_ready_unknown_and_is_moved_when_it_comes_back",
    ),
    Mutant(
        "starts-without-looking",
        "an operator that takes over looks at nothing until something changes",
        OPERATOR + "controller.py",
        "        for key, urgent in self.cluster.concerns.of(old, new).items():\n",
        "        for key, urgent in self.cluster.concerns.of(old, new).items() if self.working else ():\n",
        ROLLBACK + "a_move_goes_on_when_the_operator_is_killed_in_it",
    ),
    Mutant(
        "release-in-the-template",
        "a new prompt starts every API pod anew",
        OPERATOR + "resources/api.py",
        "names.LABEL_SETTINGS: settings_hash(svc)[:8],",
        "names.LABEL_SETTINGS: svc.spec.prompt.version,",
        SERVING + "a_prompt_edit_goes_live_without_a_restart_and_back",
    ),
    Mutant(
        "table-read-once",
        "the API never looks at its release table again",
        API + "releases.py",
        "        if not self._file.changed():",
        "        if (self.loaded and self.loaded.table.revisions) or not self._file.changed():",
        SERVING + "a_prompt_edit_goes_live_without_a_restart_and_back",
    ),
    Mutant(
        "nothing-is-swept",
        "collections that nothing needs stay, and outside readers find the old one",
        OPERATOR + "resources/index_sweep.py",
        "    if not _needed(observed, plan, wish, last):",
        "    if True:",
        "tests/e2e/test_index_life.py::test_collections_go_when_nothing_needs_them_and_the_alias_follows_what_serves",
    ),
    Mutant(
        "moments-pass",
        "no build is made when the moment of the schedule comes",
        RELEASED + "refresh.py",
        "return refresh.due if refresh.due > max(refresh.since, released) else newest",
        "return newest",
        "tests/e2e/test_refresh.py::"
        "test_documents_on_a_volume_are_built_anew_when_the_time_comes_and_can_be_gone_back_from",
    ),
    Mutant(
        "old-engine-ends-first",
        "the server of the model that serves goes while the next one loads",
        OPERATOR + "resources/model.py",
        "hosted_models(plan.model, plan.table.revisions)",
        "hosted_models(plan.model, ())",
        "tests/e2e/test_model.py::test_a_stream_outlives_the_move_of_its_model_and_then_the_former_server_goes",
    ),
)
