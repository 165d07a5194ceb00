"""What the operator asked of the API server during this session's end-to-end tests. A pytest plugin, loaded by the top conftest."""

import json
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from tests.cluster.settings import Settings

Json = dict[str, Any]
TESTS = Path(__file__).resolve().parents[1]
LAST = TESTS / "rights"
E2E = TESTS / "e2e"


@dataclass(frozen=True)
class Recording:
    """A stretch of the bench's audit log: from `started` to now. `whole`: every end-to-end test is part of this session."""

    folder: Path
    started: datetime
    whole: bool

    def of(self, user: str) -> list[Json]:
        """Answered requests of one user, oldest first; the log may have been rotated meanwhile."""
        mark = f'"username":"{user}"'.encode()
        events = [event for path in self.folder.glob("audit*.log") for event in self._read(path, mark)]
        return sorted(events, key=lambda event: str(event["requestReceivedTimestamp"]))

    def _read(self, path: Path, mark: bytes) -> Iterable[Json]:
        with path.open("rb") as log:
            for line in log:
                if mark in line and line.endswith(b"}\n"):
                    event: Json = json.loads(line)
                    if datetime.fromisoformat(event["requestReceivedTimestamp"]) >= self.started:
                        yield event


@pytest.fixture(scope="session")
def recording(bench_settings: Settings, request: pytest.FixtureRequest) -> Recording:
    """Begins when it is first asked for: before the operator is installed for the end-to-end tests."""
    modules = {item.path for item in request.session.items}
    whole = set(E2E.glob("test_*.py")) <= modules and not request.config.getoption("keyword")
    return Recording(bench_settings.audit_log.parent, datetime.now(UTC), whole)


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """What was asked is judged when all has been asked."""
    items.sort(key=lambda item: LAST in item.path.parents)
