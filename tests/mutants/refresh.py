"""How builds by schedule are broken: when one is due, what serves meanwhile, and what is recorded of it."""

from .mutant import Mutant

OPERATOR = "operator/rag_operator/"
REFRESH = OPERATOR + "releases/refresh.py"
ROWS = "tests/unit/rag_operator/test_refresh_schedule.py::test_"
BESIDE = ROWS + "a_new_prompt_does_not_wait_for_a_build_by_schedule_and_its_record_tells_which_build_it_has"
EARLIER = ROWS + "a_time_before_the_schedule_was_set_or_before_the_release_builds_nothing"

REFRESHES = (
    Mutant(
        "refresh-abandons-a-build",
        "the next time abandons the build that runs",
        REFRESH,
        "if begun > newest:",
        "if False:",
        ROWS + "a_build_that_is_under_way_at_the_next_time_is_finished_first",
    ),
    Mutant(
        "refresh-holds-on-to-a-failed-build",
        "the next time waits for a build that has failed",
        REFRESH,
        '(end is None or end[0] != "Failed")',
        "True",
        ROWS + "a_failed_build_is_told_what_serves_goes_on_and_the_next_time_tries_anew",
    ),
    Mutant(
        "refresh-counts-from-ever",
        "a new schedule is due for times before it was set",
        REFRESH,
        'stored.get("schedule") == schedule',
        'stored.get("since")',
        EARLIER,
    ),
    Mutant(
        "refresh-of-what-is-fresh",
        "a new version is built twice for a time before its release",
        REFRESH,
        "max(refresh.since, released)",
        "max(refresh.since, newest)",
        EARLIER,
    ),
    Mutant(
        "refresh-while-gone-back",
        "builds are made also while the index is gone back to",
        REFRESH,
        "if pinned or observed",
        "if observed",
        ROWS + "nothing_is_built_while_the_index_is_gone_back_to_and_going_forward_is_at_once",
    ),
    Mutant(
        "refresh-blocks-releases",
        "a new prompt waits for the build, and Ready is False meanwhile",
        OPERATOR + "releases/plan.py",
        " or (index.standby if index is not None else None)",
        "",
        BESIDE,
    ),
    Mutant(
        "refresh-is-not-recorded",
        "the record does not say for which time the index was built",
        OPERATOR + "resources/__init__.py",
        "index_slot=plan.index_slot or None",
        "index_slot=None",
        BESIDE,
    ),
    Mutant(
        "refresh-oversleeps",
        "nobody looks when the time comes",
        OPERATOR + "resources/retention.py",
        "        _refresh_due(plan, age),\n",
        "",
        ROWS + "the_next_look_is_at_the_next_set_time_and_the_status_tells_it",
    ),
)
