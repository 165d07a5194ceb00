"""Weights from a model hub, through the hub's own client library.

The library's download function writes to a file of its own and drops it when it is broken off, so it cannot go on where
another pod was killed. Listing, addresses, headers and errors are the library's; the transfer is a ranged request here.
"""

import os

import httpx2
from huggingface_hub import HfApi, get_hf_file_metadata, hf_hub_url
from huggingface_hub.errors import HfHubHTTPError, RevisionNotFoundError
from huggingface_hub.hf_api import RepoSibling
from huggingface_hub.utils import HFValidationError, build_hf_headers, hf_raise_for_status, http_stream_backoff

from .errors import FetchFailure, Transient
from .sources import Listing, Part, RemoteFile
from .threads import in_thread

CHUNK = 1 << 20
TIMEOUT_SECONDS = 30.0
PARTIAL_CONTENT, NOT_FOUND, RANGE_NOT_SATISFIABLE = 206, 404, 416
TRY_AGAIN = frozenset({408, 409, 425, 429}) | frozenset(range(500, 600))
UNWANTED_SUFFIXES = (".bin", ".pt", ".pth", ".ckpt", ".msgpack", ".h5", ".ot", ".onnx", ".tflite", ".gguf")
UNWANTED_FOLDERS = ("original/", "onnx/", "openvino/", "coreml/")


class Hub:
    """One repository at one revision. `endpoint` None: the library's own default; `secret` is named in messages."""

    def __init__(
        self, repository: str, revision: str, *, endpoint: str | None, token: str | None, secret: str | None
    ) -> None:
        self._repository = repository
        self._revision = revision
        self._endpoint = endpoint
        self._token: str | bool = token or False
        self._secret = secret

    async def listing(self) -> Listing:
        """The files of the commit that the revision stands for."""
        return await in_thread(self._listing)

    async def append(self, file: RemoteFile, revision: str, part: Part) -> None:
        """The rest of the file, by a ranged request."""
        await in_thread(self._append, file, revision, part)

    def _listing(self) -> Listing:
        try:
            api = HfApi(endpoint=self._endpoint, token=self._token)
            info = api.model_info(
                self._repository, revision=self._revision, files_metadata=True, timeout=TIMEOUT_SECONDS
            )
        except (HfHubHTTPError, httpx2.HTTPError) as error:
            raise self._explained(error) from error
        except HFValidationError as error:
            message = f'"{self._repository}" is no name of a repository: correct spec.model.name.'
            raise FetchFailure("ModelNotFound", message) from error
        files = tuple(map(_remote, useful(info.siblings or [])))
        if not files:
            raise FetchFailure("ModelNotFound", f'"{self._repository}" holds no files: correct spec.model.name.')
        return Listing(info.sha or self._revision, files)

    def _append(self, file: RemoteFile, revision: str, part: Part) -> None:
        url = hf_hub_url(self._repository, file.path, revision=revision, endpoint=self._endpoint)
        have = part.size
        try:
            # Asked for anew each time: where the content lies is often a signed address that lives for an hour.
            location = get_hf_file_metadata(url, token=self._token, timeout=TIMEOUT_SECONDS).location
        except (HfHubHTTPError, httpx2.HTTPError) as error:
            raise self._explained(error) from error
        try:
            with http_stream_backoff(
                "GET", location, headers=self._headers(url, location, have), timeout=TIMEOUT_SECONDS, max_retries=0
            ) as answer:
                hf_raise_for_status(answer)
                if have and answer.status_code != PARTIAL_CONTENT:
                    part.start_over()
                for chunk in answer.iter_bytes(CHUNK):
                    part.write(chunk)
        except (HfHubHTTPError, httpx2.HTTPError) as error:
            if _status(error) == RANGE_NOT_SATISFIABLE:
                part.start_over()
            # Also a refusal: the address had run out, or the next question for it will be refused and say why.
            raise Transient(said(error)) from error

    def _headers(self, url: str, location: str, have: int) -> dict[str, str]:
        """The token goes to the hub alone, not to the store that it sends us to."""
        same = httpx2.URL(url).netloc == httpx2.URL(location).netloc
        headers = build_hf_headers(token=self._token if same else False)
        headers["Accept-Encoding"] = "identity"  # a range of a compressed answer would be another range
        if have:
            headers["Range"] = f"bytes={have}-"
        return headers

    def _explained(self, error: HfHubHTTPError | httpx2.HTTPError) -> FetchFailure | Transient:
        status, name = _status(error), self._repository
        if status in {401, 403}:
            return FetchFailure("ModelDownloadUnauthorized", self._refused(status))
        if isinstance(error, RevisionNotFoundError):
            message = f'"{name}" has no revision "{self._revision}": correct spec.model.revision.'
            return FetchFailure("ModelNotFound", message)
        if status == NOT_FOUND:
            return FetchFailure("ModelNotFound", f'The hub has no model "{name}": correct spec.model.name.')
        if status is not None and status not in TRY_AGAIN:
            return FetchFailure("ModelDownloadFailed", f'The hub answers {status} for "{name}".', retryable=True)
        return Transient(said(error))

    def _refused(self, status: int) -> str:
        if self._secret is None:
            return (
                f'The hub answers {status} for "{self._repository}": it does not exist, or it is private or gated. Correct'
                " spec.model.name, or name a Secret with a token in spec.model.vllm.source.hub.tokenSecretRef."
            )
        return (
            f'The hub answers {status} for "{self._repository}" with the token in the Secret {self._secret}: put a token'
            " there that may read the model, or accept the model's terms with the token's account."
        )


def useful(siblings: list[RepoSibling]) -> list[RepoSibling]:
    """Without other formats of the same weights, where there are safetensors, and without what belongs to git."""
    wanted = [file for file in siblings if os.path.basename(file.rfilename) != ".gitattributes"]
    if not any(file.rfilename.endswith(".safetensors") and "/" not in file.rfilename for file in wanted):
        return wanted
    return [
        file
        for file in wanted
        if not file.rfilename.endswith(UNWANTED_SUFFIXES) and not file.rfilename.startswith(UNWANTED_FOLDERS)
    ]


def _remote(file: RepoSibling) -> RemoteFile:
    sha256 = file.lfs.sha256 if file.lfs is not None else None
    size = file.lfs.size if file.lfs is not None else file.size
    git_sha1 = file.blob_id if file.lfs is None else None  # of an LFS file it is the pointer's
    return RemoteFile(file.rfilename, size or 0, sha256 or file.blob_id or "", sha256, git_sha1)


def _status(error: Exception) -> int | None:
    return error.response.status_code if isinstance(error, HfHubHTTPError) else None


def said(error: Exception) -> str:
    """An error in one line, without addresses: they may be signed."""
    status = _status(error)
    return f"HTTP {status}" if status is not None else type(error).__name__
