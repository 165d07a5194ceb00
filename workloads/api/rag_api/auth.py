"""Who is asking: API keys from a mounted file, compared by digest. Tenant and roles come from here and nowhere else."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import orjson
from pydantic import TypeAdapter, ValidationError
from rag_contract import payload
from rag_contract.environment import API_KEYS_FILE, ApiKey
from rag_contract.reports import ReadyCheck
from starlette.types import Scope

from .errors import NotReady, Unauthorized
from .files import WatchedFile

MAX_KEYS = 10_000
_KEYS = TypeAdapter(list[ApiKey])
_CHALLENGE = ((b"www-authenticate", b'Bearer realm="rag-api"'),)


@dataclass(frozen=True, slots=True)
class Principal:
    """A known client. `filter` is the Qdrant filter, as JSON, that every query of this client carries.

    `readers` are the roles of which a document must name one.
    """

    key_id: str
    tenant: str
    roles: tuple[str, ...]
    readers: frozenset[str]
    filter: bytes

    @classmethod
    def of(cls, key_id: str, tenant: str, roles: Sequence[str]) -> "Principal":
        """Only documents of the tenant, and of those only what everybody or one of the roles may read."""
        readers = [payload.EVERYBODY, *(role for role in roles if role != payload.EVERYBODY)]
        conditions = [
            {"key": payload.TENANT, "match": {"value": tenant}},
            {"key": payload.ROLES, "match": {"any": readers}},
        ]
        return cls(key_id, tenant, tuple(roles), frozenset(readers), orjson.dumps({"must": conditions}))


class Open:
    """No authentication: everybody is the tenant "default" without roles."""

    _anonymous = Principal.of("anonymous", "default", ())

    def refresh(self) -> None:
        """Nothing to read."""

    def authenticate(self, scope: Scope) -> Principal:
        """The one principal."""
        return self._anonymous

    def check(self) -> ReadyCheck:
        """Always well."""
        return ReadyCheck(name="api_keys", ok=True)


class KeyTable:
    """The keys of `keys.json`. A broken file keeps the last good keys; a file that is gone takes them all away."""

    def __init__(self, folder: Path) -> None:
        self._file = WatchedFile(folder / API_KEYS_FILE)
        self._principals: dict[bytes, Principal] = {}
        self._problem = ""

    def refresh(self) -> None:
        """Read the file if it changed."""
        if not self._file.changed():
            return
        try:
            keys = _KEYS.validate_json(self._file.read())
            self._principals = _principals(keys)
            self._problem = "" if keys else f"{API_KEYS_FILE} holds no key: add one to the Secret."
        except FileNotFoundError:
            self._principals = {}
            self._problem = f"{API_KEYS_FILE} is missing: create the Secret that holds the API keys."
        except (OSError, ValidationError, ValueError) as error:
            self._problem = (
                f"{API_KEYS_FILE} cannot be used ({_reason(error)}): correct the Secret that holds the API keys."
            )

    def authenticate(self, scope: Scope) -> Principal:
        """The client behind `Authorization: Bearer <key>` or `x-api-key`. Raises Unauthorized, NotReady without keys."""
        if not self._principals:
            raise NotReady("This API has no API keys yet.", retry_after=5)
        key = _credential(scope)
        if not key:
            raise Unauthorized(
                "Send an API key: `Authorization: Bearer <key>` or `x-api-key: <key>`.", headers=_CHALLENGE
            )
        # A look-up by digest: how long it takes says nothing about how much of a guessed key is right.
        principal = self._principals.get(hashlib.sha256(key).digest())
        if principal is None:
            raise Unauthorized("This API key is not known.", headers=_CHALLENGE)
        return principal

    def check(self) -> ReadyCheck:
        """Ready as long as there are keys; a broken update shows as a message beside a good check."""
        return ReadyCheck(name="api_keys", ok=bool(self._principals), message=self._problem)


Authenticator = Open | KeyTable


def _principals(keys: Sequence[ApiKey]) -> dict[bytes, Principal]:
    if len(keys) > MAX_KEYS:
        raise ValueError(f"more than {MAX_KEYS} keys")
    if len({key.id for key in keys}) != len(keys) or len({key.sha256 for key in keys}) != len(keys):
        raise ValueError("a key or an id appears twice")
    return {bytes.fromhex(key.sha256): Principal.of(key.id, key.tenant, key.roles) for key in keys}


def _reason(error: Exception) -> str:
    """What is wrong, without any of the content."""
    if isinstance(error, ValidationError):
        first = error.errors(include_input=False, include_url=False, include_context=False)[0]
        return f"{'.'.join(str(part) for part in first['loc']) or 'file'}: {first['type']}"
    return type(error).__name__ if isinstance(error, OSError) else str(error)


def _credential(scope: Scope) -> bytes:
    for name, value in scope["headers"]:
        if name == b"authorization":
            scheme, _, key = value.partition(b" ")
            return key.strip() if scheme.lower() == b"bearer" else b""
        if name == b"x-api-key":
            return bytes(value.strip())
    return b""
