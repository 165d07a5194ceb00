"""An index Job that ran out of time: its pod only knows that it was stopped, the Job knows why."""

from .world import World


async def test_job_past_its_deadline_is_told_as_such_with_the_field_to_raise() -> None:
    world = World()
    await world.run()
    world.controllers_finish()
    world.job_ends("Failed", reason="Interrupted")
    world.only("Job")["status"]["conditions"][0]["reason"] = "DeadlineExceeded"

    await world.run()

    ready = next(c for c in world.body["status"]["conditions"] if c["type"] == "IndexReady")
    assert ready["reason"] == "DeadlineExceeded"
    assert "spec.index.deadlineSeconds (3600)" in ready["message"]
