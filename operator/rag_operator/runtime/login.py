"""Who we are to the API server: address, TLS and the bearer token, from a kubeconfig or the pod's service account.

The `kubernetes` package reads the configuration, exec plugins included; nothing else of it is used. It wants client
certificates in files: they lie in a private folder that is gone before `load` returns.
"""

import asyncio
import logging
import ssl
import tempfile
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from .errors import Unreachable

log = logging.getLogger(__name__)

TOKEN_FRESH_SECONDS = 5.0
SERVICE_ACCOUNT = Path("/var/run/secrets/kubernetes.io/serviceaccount")


class LoginError(Exception):
    """No usable configuration was found; the message says what was tried."""


class Token:
    """The Authorization header, read anew every few seconds, because bound tokens rotate. Several event loops may use it.

    `slow` sources (exec plugins) may start a program: they are asked in a thread, never on the event loop, and once for all who
    wait. What cannot be read anew stays in use: the server will say when it is too old.
    """

    def __init__(
        self, read: Callable[[], str | None], *, slow: bool = False, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._read = read
        self._slow = slow
        self._clock = clock
        self._value: str | None = None
        self._read_at: float | None = None
        self._guard = threading.Lock()
        self._reading: Future[None] | None = None

    async def header(self) -> str | None:
        """`Bearer ...`, or None where a client certificate says who we are. Raises Unreachable when none could be read ever."""
        if self._read_at is None or self._clock() - self._read_at > TOKEN_FRESH_SECONDS:
            if self._slow:
                await asyncio.wrap_future(self._renewal())
            else:
                self._renew()
        return self._value

    def expire(self, refused: str | None) -> None:
        """The server has refused this one: read it again before the next use, if that has not been done since."""
        if refused == self._value:
            self._read_at = None

    def _renewal(self) -> "Future[None]":
        """The one that is under way, or a new one. Its thread keeps no process from ending."""
        with self._guard:
            reading = self._reading
            if reading is None:
                reading = self._reading = Future()
                reading.set_running_or_notify_cancel()  # so that nobody who gives up can cancel it for the others
                threading.Thread(target=self._fulfil, args=(reading,), name="login", daemon=True).start()
            return reading

    def _fulfil(self, reading: "Future[None]") -> None:
        try:
            self._renew()
        except Exception as error:
            self._reading = None
            reading.set_exception(error)
        else:
            self._reading = None
            reading.set_result(None)

    def _renew(self) -> None:
        try:
            self._value = self._read()
        except OSError as error:
            if self._value is None:
                raise Unreachable(f"the token cannot be read: {error}") from error
            log.warning("the token cannot be read anew: %s", error)
        self._read_at = self._clock()


@dataclass(frozen=True)
class Login:
    """Everything that a session needs. `server` has no trailing slash."""

    server: str
    tls: ssl.SSLContext | None = field(repr=False)
    token: Token = field(repr=False)
    namespace: str = "default"
    proxy: str | None = None


def load(kubeconfig: str = "") -> Login:
    """From `kubeconfig` when given, else the pod's service account, else ~/.kube/config. Raises LoginError."""
    from kubernetes.config import ConfigException  # noqa: PLC0415 (13 MiB that only a running operator needs)

    try:
        if kubeconfig:
            return _from_kubeconfig(kubeconfig)
        if SERVICE_ACCOUNT.joinpath("token").exists():
            return _from_service_account()
        return _from_kubeconfig(str(Path("~/.kube/config").expanduser()))
    except (ConfigException, OSError, ssl.SSLError) as error:
        tried = kubeconfig or "the pod's service account, ~/.kube/config"
        raise LoginError(f"no access to a cluster (tried: {tried}): {error}. Set KUBECONFIG.") from error


def _from_service_account() -> Login:
    from kubernetes.client import Configuration  # noqa: PLC0415
    from kubernetes.config import load_incluster_config  # noqa: PLC0415

    found = Configuration()
    load_incluster_config(found, try_refresh_token=False)
    namespace = SERVICE_ACCOUNT.joinpath("namespace")
    return Login(
        server=found.host.rstrip("/"),
        tls=_tls(found),
        token=Token(lambda: f"Bearer {SERVICE_ACCOUNT.joinpath('token').read_text().strip()}"),
        namespace=namespace.read_text().strip() if namespace.exists() else "default",
    )


def _from_kubeconfig(path: str) -> Login:
    from kubernetes.client import Configuration  # noqa: PLC0415
    from kubernetes.config import kube_config  # noqa: PLC0415

    found = Configuration()
    with tempfile.TemporaryDirectory(prefix="login-") as folder:
        kube_config.load_kube_config(path, client_configuration=found, persist_config=False, temp_file_path=folder)
        context = _tls(found) if found.host.startswith("https") else None
        kube_config._cleanup_temp_files()  # it remembers the files by content, and they end here
    active = kube_config.list_kube_config_contexts(path)[1]["context"]
    return Login(
        server=found.host.rstrip("/"),
        tls=context,
        token=Token(lambda: _header(found), slow="BearerToken" in found.api_key),
        namespace=active.get("namespace") or "default",
        proxy=found.proxy or None,
    )


def _header(found: Any) -> str | None:
    """The hook inside runs an exec plugin again when its token has expired."""
    value: str | None = found.get_api_key_with_prefix("BearerToken")
    return value


class _NamedContext(ssl.SSLContext):
    """Verifies the server under another name than its address: `tls-server-name` of a kubeconfig."""

    expected_name: str | None = None

    def wrap_bio(self, *args: Any, **kwargs: Any) -> ssl.SSLObject:
        if self.expected_name:
            kwargs["server_hostname"] = self.expected_name
        return super().wrap_bio(*args, **kwargs)


def _tls(found: Any) -> ssl.SSLContext:
    context = _NamedContext(ssl.PROTOCOL_TLS_CLIENT)
    context.expected_name = found.tls_server_name
    if not found.verify_ssl:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    elif found.ssl_ca_cert:
        context.load_verify_locations(cafile=found.ssl_ca_cert)
    else:
        context.load_default_certs()
    if found.cert_file:
        context.load_cert_chain(found.cert_file, found.key_file)
    return context
