"""Weights from a bucket that speaks S3: all objects below a prefix."""

import re
from collections.abc import Mapping
from typing import TYPE_CHECKING

import obstore
from obstore.exceptions import BaseError, PermissionDeniedError, PreconditionError, UnauthenticatedError
from obstore.store import S3Store
from rag_contract.model_fetch import S3_KEY_VARIABLES

from .errors import FetchFailure, Transient
from .sources import Listing, Part, RemoteFile

if TYPE_CHECKING:
    from obstore import GetOptions
    from obstore.store import S3Config

CHUNK = 1 << 20
DEFAULT_REGION = "us-east-1"
STATUS = re.compile(r"status code: (\d{3})")
URL = re.compile(r"s3://(?P<bucket>[^/]+)(/(?P<prefix>.*?))?/?")


class Bucket:
    """One prefix of one bucket. Without keys in `credentials` requests are not signed; `secret` is named in messages."""

    def __init__(
        self,
        url: str,
        *,
        endpoint: str | None,
        region: str | None,
        credentials: Mapping[str, str],
        secret: str | None,
    ) -> None:
        found = URL.fullmatch(url)
        if found is None:
            message = f'"{url}" is not like s3://bucket/folder: correct spec.model.vllm.source.s3.url.'
            raise FetchFailure("InvalidSettings", message)
        self._url = url
        self._secret = secret
        config = _keys(credentials)
        config["region"] = region or DEFAULT_REGION
        if endpoint:
            config["endpoint"], config["virtual_hosted_style_request"] = endpoint, False
        self._store = S3Store(
            found["bucket"],
            prefix=found["prefix"] or None,
            config=config,
            client_options={"allow_http": True, "connect_timeout": "10s", "timeout": "1h", "read_timeout": "30s"},
            retry_config={"max_retries": 0},
        )

    async def listing(self) -> Listing:
        """All objects. Their ETags are their versions: a bucket's content has no name of its own."""
        files: list[RemoteFile] = []
        try:
            async for page in obstore.list(self._store):
                files += [
                    RemoteFile(found["path"], found["size"], found["e_tag"] or str(found["last_modified"]))
                    for found in page
                    if not found["path"].endswith("/")
                ]
        except (BaseError, OSError) as error:
            raise self._explained(error) from error
        if not files:
            message = f'There is nothing under "{self._url}": correct spec.model.vllm.source.s3.url.'
            raise FetchFailure("ModelNotFound", message)
        return Listing("", tuple(sorted(files, key=lambda file: file.path)))

    async def append(self, file: RemoteFile, revision: str, part: Part) -> None:
        """The rest of the object, as long as it is still the one that was listed."""
        options: GetOptions = {"if_match": file.version}
        if part.size:
            options["range"] = {"offset": part.size}
        try:
            answer = await obstore.get_async(self._store, file.path, options=options)
            async for chunk in answer.stream(CHUNK):
                part.write(memoryview(chunk))
        except PreconditionError as error:
            part.start_over()
            message = f'"{file.path}" under "{self._url}" was changed while it was downloaded.'
            raise FetchFailure("ModelDownloadFailed", message, retryable=True) from error
        except (BaseError, FileNotFoundError) as error:
            raise self._explained(error) from error

    def _explained(self, error: BaseError | OSError) -> FetchFailure | Transient:
        status = _status(error)
        if status in {401, 403}:
            return FetchFailure("ModelDownloadUnauthorized", self._refused())
        if status == 404:
            message = f'The store has no "{self._url}": correct spec.model.vllm.source.s3.'
            return FetchFailure("ModelNotFound", message)
        if status in {301, 307, 400}:
            message = f'The store answers {status} for "{self._url}": correct region and endpoint in spec.model.vllm.source.s3.'
            return FetchFailure("ModelDownloadFailed", message, retryable=True)
        return Transient(f"HTTP {status}" if status is not None else _first_line(error))

    def _refused(self) -> str:
        if self._secret is None:
            return (
                f'The store refuses to let everybody read "{self._url}": name a Secret with'
                f" {' and '.join(S3_KEY_VARIABLES[:2])} in spec.model.vllm.source.s3.credentialsSecretRef."
            )
        return (
            f'The store refuses the keys in the Secret {self._secret} for "{self._url}": put keys there that may list and'
            " read it."
        )


def _keys(credentials: Mapping[str, str]) -> "S3Config":
    access, secret, session = (credentials.get(name) for name in S3_KEY_VARIABLES)
    if not access or not secret:
        return {"skip_signature": True}
    if session:
        return {"access_key_id": access, "secret_access_key": secret, "session_token": session}
    return {"access_key_id": access, "secret_access_key": secret}


def _status(error: BaseError | OSError) -> int | None:
    """The HTTP status. Of a listing the library tells it in its words alone."""
    if isinstance(error, PermissionDeniedError | UnauthenticatedError):
        return 403
    if isinstance(error, FileNotFoundError):
        return 404
    found = STATUS.search(_first_line(error))
    return int(found[1]) if found else None


def _first_line(error: BaseException) -> str:
    """Without the debugging text that the library puts under it."""
    return (str(error).strip().splitlines() or [type(error).__name__])[0][:300]
