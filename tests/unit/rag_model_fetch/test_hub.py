"""From a hub: whole and checked weights, resumed transfers, and words for every refusal."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from rag_contract.model_fetch import FetchEnvironment, FetchResult
from rag_model_fetch.errors import FetchFailure
from rag_model_fetch.fetch import fetch
from rag_model_fetch.hub import Hub
from rag_model_fetch.progress import Progress

from .doubles import COMMIT, HubDouble, serving
from .support import MIB, REPOSITORY, WANTED, found, marker, repository, settings, weights

FILES = repository()
SIZE = sum(len(FILES[path]) for path in WANTED)
PAUSE = 0.01


@pytest.fixture
def hub() -> Iterator[HubDouble]:
    double = HubDouble(REPOSITORY, FILES)
    with serving(double):
        yield double


async def run(
    chosen: FetchEnvironment, hub: HubDouble, token: str | None = None, secret: str | None = None
) -> FetchResult:
    source = Hub(chosen.repository, chosen.revision, endpoint=hub.url, token=token, secret=secret)
    return await fetch(chosen, source, Progress(), first_pause=PAUSE)


async def failure(chosen: FetchEnvironment, hub: HubDouble, **more: str) -> FetchFailure:
    with pytest.raises(FetchFailure) as raised:
        await run(chosen, hub, **more)
    assert marker(chosen) is None
    return raised.value


async def test_the_weights_come_whole_with_their_marker(hub: HubDouble, tmp_path: Path) -> None:
    chosen = settings(tmp_path)
    result = await run(chosen, hub)
    assert (result.outcome, result.revision, result.files) == ("Succeeded", COMMIT, len(WANTED))
    assert (result.size, result.downloaded) == (SIZE, SIZE)
    assert {path: FILES[path] for path in WANTED} == found(chosen)
    done = marker(chosen)
    assert done is not None
    assert (done.revision, done.size) == (COMMIT, SIZE)
    assert not (weights(chosen) / ".parts").exists()


async def test_a_second_run_asks_nobody(hub: HubDouble, tmp_path: Path) -> None:
    await run(settings(tmp_path), hub)
    asked = (hub.seen.listings, len(hub.seen.contents))
    result = await run(settings(tmp_path), hub)
    assert (result.outcome, result.size, result.downloaded) == ("Succeeded", SIZE, 0)
    assert asked == (hub.seen.listings, len(hub.seen.contents))


async def test_a_lost_file_is_fetched_again_although_the_marker_is_there(hub: HubDouble, tmp_path: Path) -> None:
    chosen = settings(tmp_path)
    await run(chosen, hub)
    (weights(chosen) / "config.json").unlink()
    result = await run(chosen, hub)
    assert result.downloaded == len(FILES["config.json"])
    assert FILES["config.json"] == found(chosen)["config.json"]


async def test_a_transfer_that_breaks_off_goes_on_where_it_was(hub: HubDouble, tmp_path: Path) -> None:
    chosen = settings(tmp_path, parallel=1)
    hub.faults.budget = 2 * MIB
    assert (await failure(chosen, hub)).retryable
    assert 0 < hub.seen.sent <= 2 * MIB
    hub.faults.budget = None
    first, hub.seen.sent = hub.seen.sent, 0
    result = await run(chosen, hub)
    assert result.outcome == "Succeeded"
    assert {path: FILES[path] for path in WANTED} == found(chosen)
    # What the second run asked for is what the first did not get, but for the last chunk on the wire.
    assert result.downloaded == hub.seen.sent < SIZE
    assert first + hub.seen.sent < SIZE + 2 * MIB
    assert any(asked.startswith("bytes=") for _, asked in hub.seen.contents)


async def test_a_server_without_ranges_costs_only_time(hub: HubDouble, tmp_path: Path) -> None:
    chosen = settings(tmp_path, parallel=1)
    hub.faults.budget = 2 * MIB
    await failure(chosen, hub)
    hub.faults.budget, hub.faults.ignore_ranges = None, True
    assert (await run(chosen, hub)).outcome == "Succeeded"
    assert {path: FILES[path] for path in WANTED} == found(chosen)


@pytest.mark.parametrize("path", ["model-00001-of-00002.safetensors", "config.json"])
async def test_damaged_content_is_never_taken(hub: HubDouble, tmp_path: Path, path: str) -> None:
    chosen = settings(tmp_path)
    hub.faults.damage.add(path)
    error = await failure(chosen, hub)
    assert (error.reason, error.retryable) == ("ModelDownloadFailed", True)
    assert path in error.message
    assert not (weights(chosen) / path).exists()
    hub.faults.damage.clear()
    assert (await run(chosen, hub)).outcome == "Succeeded"


async def test_a_private_model_without_a_token(tmp_path: Path) -> None:
    hub = HubDouble(REPOSITORY, FILES, token="hf_right")
    with serving(hub):
        error = await failure(settings(tmp_path), hub)
    assert (error.reason, error.retryable) == ("ModelDownloadUnauthorized", False)
    assert "401" in error.message
    assert "spec.model.vllm.source.hub.tokenSecretRef" in error.message


async def test_a_token_that_may_not_read_the_model(tmp_path: Path) -> None:
    hub = HubDouble(REPOSITORY, FILES, token="hf_right")
    with serving(hub):
        error = await failure(settings(tmp_path), hub, token="hf_wrong", secret='"hub" (key "token")')
        assert (await run(settings(tmp_path), hub, token="hf_right")).outcome == "Succeeded"
    assert (error.reason, error.retryable) == ("ModelDownloadUnauthorized", False)
    assert "403" in error.message
    assert 'Secret "hub" (key "token")' in error.message
    assert "hf_wrong" not in error.message


async def test_the_token_stays_with_the_hub(tmp_path: Path) -> None:
    hub = HubDouble(REPOSITORY, FILES, token="hf_right")
    with serving(hub):
        await run(settings(tmp_path), hub, token="hf_right")
    assert any(path.endswith(".safetensors") for path, _ in hub.seen.contents)
    assert hub.seen.tokens_at_store == []


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"repository": "made-up/other"}, 'no model "made-up/other": correct spec.model.name'),
        ({"revision": "v9"}, 'no revision "v9": correct spec.model.revision'),
        ({"repository": "not a//name"}, "correct spec.model.name"),
    ],
)
async def test_a_model_that_is_not_there(hub: HubDouble, tmp_path: Path, change: dict[str, str], named: str) -> None:
    error = await failure(settings(tmp_path, **change), hub)
    assert (error.reason, error.retryable) == ("ModelNotFound", False)
    assert named in error.message


async def test_a_hub_that_is_out_of_order_is_asked_again(hub: HubDouble, tmp_path: Path) -> None:
    hub.faults.status["config.json"] = 503
    error = await failure(settings(tmp_path), hub)
    assert (error.reason, error.retryable) == ("ModelDownloadFailed", True)
    assert "HTTP 503" in error.message
    hub.faults.status = {"": 503}
    error = await failure(settings(tmp_path), hub)
    assert (error.reason, error.retryable) == ("ModelDownloadFailed", True)
    assert hub.seen.listings > 2


async def test_a_hub_that_cannot_be_reached(tmp_path: Path) -> None:
    hub = HubDouble(REPOSITORY, FILES)
    with serving(hub):
        pass
    error = await failure(settings(tmp_path), hub)
    assert (error.reason, error.retryable) == ("ModelDownloadFailed", True)
    assert "may reach it" in error.message


async def test_names_that_lead_out_of_the_folder(tmp_path: Path) -> None:
    for name in ("../../outside.json", ".complete", ".parts/x"):
        hub = HubDouble(REPOSITORY, {"config.json": b"{}", name: b"x"})
        with serving(hub):
            error = await failure(settings(tmp_path), hub)
        assert name in error.message
    assert not list(tmp_path.rglob("outside.json"))


async def test_files_beside_safetensors_that_hold_the_same_are_left_out(tmp_path: Path) -> None:
    chosen = settings(tmp_path)
    hub = HubDouble(REPOSITORY, {"config.json": b"{}", "pytorch_model.bin": b"the only weights"})
    with serving(hub):
        await run(chosen, hub)
    assert "pytorch_model.bin" in found(chosen)
    assert "pytorch_model.bin" not in WANTED
