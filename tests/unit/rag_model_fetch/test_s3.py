"""From a bucket that speaks S3: all objects below a prefix, resumed, and words for every refusal."""

from pathlib import Path
from typing import Any

import pytest
from rag_contract.model_fetch import FetchEnvironment, FetchResult
from rag_model_fetch.errors import FetchFailure
from rag_model_fetch.fetch import fetch
from rag_model_fetch.progress import Progress
from rag_model_fetch.s3 import Bucket

from .doubles import S3Double, serving
from .support import MIB, found, marker, repository, settings

FILES = {f"models/tiny/{path}": body for path, body in repository().items() if body and not path.startswith(".")}
WANTED = {key.removeprefix("models/tiny/"): body for key, body in FILES.items()}
URL = "s3://weights/models/tiny"
KEYS = {"AWS_ACCESS_KEY_ID": "ours", "AWS_SECRET_ACCESS_KEY": "secret"}


def double(**more: Any) -> S3Double:
    return S3Double("weights", FILES | {"models/other/config.json": b"{}", "models/tiny-2/config.json": b"{}"}, **more)


def chosen(folder: Path, **more: Any) -> FetchEnvironment:
    return settings(folder, **({"source": "S3", "s3_url": URL} | more))


async def run(settings: FetchEnvironment, store: S3Double, **more: Any) -> FetchResult:
    given: dict[str, Any] = {"endpoint": store.url, "region": None, "credentials": {}, "secret": None}
    return await fetch(settings, Bucket(settings.s3_url or "", **(given | more)), Progress(), first_pause=0.01)


async def failure(settings: FetchEnvironment, store: S3Double, **more: Any) -> FetchFailure:
    with pytest.raises(FetchFailure) as raised:
        await run(settings, store, **more)
    assert marker(settings) is None
    return raised.value


async def test_everything_below_the_prefix_and_nothing_else(tmp_path: Path) -> None:
    store = double()
    with serving(store):
        result = await run(chosen(tmp_path), store)
        assert store.seen.listings == -(-len(WANTED) // 2), "every page was asked for"
        again = await run(chosen(tmp_path), store)
    assert (result.outcome, result.size) == ("Succeeded", sum(map(len, WANTED.values())))
    assert WANTED == found(chosen(tmp_path))
    assert again.downloaded == 0


@pytest.mark.parametrize("url", [f"{URL}/", "s3://weights/models/tiny"])
async def test_a_slash_at_the_end_makes_no_difference(tmp_path: Path, url: str) -> None:
    store = double()
    with serving(store):
        await run(chosen(tmp_path, s3_url=url), store)
    assert WANTED == found(chosen(tmp_path))


async def test_a_transfer_that_breaks_off_goes_on_where_it_was(tmp_path: Path) -> None:
    store = double()
    settings = chosen(tmp_path, parallel=1)
    with serving(store):
        store.faults.budget = 2 * MIB
        assert (await failure(settings, store)).retryable
        store.faults.budget = None
        result = await run(settings, store)
    assert WANTED == found(settings)
    assert 0 < result.downloaded < result.size
    assert any(asked.startswith("bytes=") and not asked.startswith("bytes=0-") for _, asked in store.seen.contents)


async def test_keys_are_used(tmp_path: Path) -> None:
    store = double(access_key="ours")
    with serving(store):
        assert (await run(chosen(tmp_path), store, credentials=KEYS)).outcome == "Succeeded"


async def test_keys_that_are_refused(tmp_path: Path) -> None:
    store = double(access_key="another")
    with serving(store):
        error = await failure(chosen(tmp_path), store, credentials=KEYS, secret='"store"')
    assert (error.reason, error.retryable) == ("ModelDownloadUnauthorized", False)
    assert 'Secret "store"' in error.message
    assert KEYS["AWS_SECRET_ACCESS_KEY"] not in error.message


async def test_a_bucket_that_is_not_for_everybody(tmp_path: Path) -> None:
    store = double(access_key="ours")
    with serving(store):
        error = await failure(chosen(tmp_path), store)
    assert error.reason == "ModelDownloadUnauthorized"
    assert "spec.model.vllm.source.s3.credentialsSecretRef" in error.message


@pytest.mark.parametrize("url", ["s3://weights/models/none", "s3://nowhere/models/tiny"])
async def test_a_place_that_is_not_there(tmp_path: Path, url: str) -> None:
    store = double()
    with serving(store):
        error = await failure(chosen(tmp_path, s3_url=url), store)
    assert (error.reason, error.retryable) == ("ModelNotFound", False)
    assert url in error.message


async def test_an_object_that_changes_meanwhile_is_not_mixed(tmp_path: Path) -> None:
    store = double()
    settings = chosen(tmp_path, parallel=1)
    path = "models/tiny/model-00001-of-00002.safetensors"
    with serving(store):
        store.faults.budget = 2 * MIB
        await failure(settings, store)
        store.faults.budget = None
        store.objects[path] = bytes(len(FILES[path]))
        assert (await run(settings, store)).outcome == "Succeeded"
    assert store.objects[path] == found(settings)[path.removeprefix("models/tiny/")]


async def test_a_store_that_cannot_be_reached(tmp_path: Path) -> None:
    store = double()
    with serving(store):
        pass
    error = await failure(chosen(tmp_path), store)
    assert (error.reason, error.retryable) == ("ModelDownloadFailed", True)
    assert "may reach it" in error.message
