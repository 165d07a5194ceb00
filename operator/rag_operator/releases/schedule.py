"""When a schedule asks for something: cron's five fields read in UTC, instants to the minute. Pure."""

from datetime import UTC, datetime, timedelta

from croniter import croniter  # type: ignore[import-untyped]


def last(schedule: str, now: datetime) -> datetime:
    """The newest instant that is not after `now`. Raises ValueError for a schedule that cannot be read or never comes."""
    next_minute = now.astimezone(UTC).replace(second=0, microsecond=0) + timedelta(minutes=1)
    found: datetime = croniter(schedule, next_minute).get_prev(datetime)
    return found


def following(schedule: str, now: datetime) -> datetime:
    """The first instant after `now`. Raises ValueError as `last` does."""
    found: datetime = croniter(schedule, now.astimezone(UTC)).get_next(datetime)
    return found


def stamp(instant: datetime) -> str:
    """RFC 3339 in UTC to the second, which sorts as time does."""
    return instant.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
