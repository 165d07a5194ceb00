"""What is remembered of a model server's health, on a clock that a test moves."""

from pathlib import Path

import pytest
from rag_api.errors import UpstreamError
from rag_api.model_keys import KeyMissing, ModelKeys
from rag_api.servers import FAILURES_TO_OPEN, LONGEST_PAUSE_SECONDS, Failed, Servers
from rag_contract.release_table import Endpoint

ONE, TWO = (Endpoint(url=f"http://{name}", model="rag") for name in ("one", "two"))


class Clock:
    """Stands still until it is moved."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def servers(clock: Clock, tmp_path: Path) -> Servers:
    return Servers(ModelKeys(tmp_path), clock)


def fail(servers: Servers, clock: Clock, *, ill: bool = True) -> None:
    clock.now += 0.1
    failure = Failed(UpstreamError("x"), "bad_status", ill=ill)
    work = servers.at_work(ONE)
    work.__enter__()
    clock.now += 0.1
    assert not work.__exit__(Failed, failure, None)


def test_one_failure_sends_the_next_request_elsewhere_but_leaves_an_only_server_in_use(
    servers: Servers, clock: Clock
) -> None:
    fail(servers, clock)
    assert servers.best([ONE, TWO]) == TWO
    assert servers.best([ONE]) == ONE


def test_three_failures_in_a_row_close_a_server_off_and_one_request_tries_it_again(
    servers: Servers, clock: Clock
) -> None:
    for _ in range(FAILURES_TO_OPEN):
        assert servers.best([ONE]) == ONE
        fail(servers, clock)
    assert servers.best([ONE]) is None
    clock.now += 1.1
    with servers.at_work(ONE) as health:
        assert servers.best([ONE]) is None  # the trial is under way
        servers.answered(health)
    assert servers.best([ONE]) == ONE


def test_a_trial_that_fails_makes_the_pause_longer_up_to_a_bound(servers: Servers, clock: Clock) -> None:
    for _ in range(FAILURES_TO_OPEN):
        fail(servers, clock)
    for pause in (1, 2, 4, 8, 16, LONGEST_PAUSE_SECONDS, LONGEST_PAUSE_SECONDS):
        clock.now += pause - 0.2
        assert servers.best([ONE]) is None
        clock.now += 0.3
        assert servers.best([ONE]) == ONE
        fail(servers, clock)


def test_a_trial_that_is_given_up_lets_the_next_one_try(servers: Servers, clock: Clock) -> None:
    for _ in range(FAILURES_TO_OPEN):
        fail(servers, clock)
    clock.now += 1.1
    with pytest.raises(KeyboardInterrupt), servers.at_work(ONE):
        raise KeyboardInterrupt
    assert servers.best([ONE]) == ONE


def test_requests_that_broke_together_are_one_failure(servers: Servers, clock: Clock) -> None:
    works = [servers.at_work(ONE) for _ in range(10)]
    for work in works:
        work.__enter__()
    clock.now += 1
    for work in works:
        failure = Failed(UpstreamError("x"), "broke_off")
        assert not work.__exit__(Failed, failure, None)
    assert servers.health(ONE).failures == 1


def test_a_request_that_was_refused_says_nothing_of_the_server(servers: Servers, clock: Clock) -> None:
    for _ in range(10):
        fail(servers, clock, ill=False)
    assert servers.health(ONE).failures == 0


def test_the_least_loaded_is_asked_and_equal_ones_in_turn(servers: Servers) -> None:
    with servers.at_work(ONE):
        assert servers.best([ONE, TWO]) == TWO
    assert servers.best([ONE, TWO]) == TWO
    with servers.at_work(TWO):
        pass
    assert servers.best([ONE, TWO]) == ONE


def test_servers_of_old_releases_are_forgotten_but_not_while_at_work(servers: Servers) -> None:
    with servers.at_work(ONE):
        for n in range(1000):
            servers.health(Endpoint(url=f"http://{n}", model="rag"))
        assert servers.health(ONE).at_work == 1
    assert len(servers._known) <= 257


@pytest.mark.parametrize("text", ["", "  \n", "a\nb: c", "ké", "\x00"])
def test_what_cannot_be_a_key_is_missing(tmp_path: Path, text: str) -> None:
    (tmp_path / "keys").mkdir()
    (tmp_path / "keys" / "token").write_text(text, encoding="utf-8")
    with pytest.raises(KeyMissing):
        ModelKeys(tmp_path).header("keys/token")


def test_a_key_is_read_again_when_it_changes(tmp_path: Path) -> None:
    file = tmp_path / "token"
    keys = ModelKeys(tmp_path)
    assert not keys.has("token")
    for text in ("one", "other"):
        file.write_text(f"{text}\n", encoding="utf-8")
        assert keys.header("token") == {"authorization": f"Bearer {text}"}
    assert keys.header(None) == {}
