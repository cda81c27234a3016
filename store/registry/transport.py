"""One HTTP exchange: no redirects followed, no retries, nothing decoded. The only file that knows urllib3.

Rules:
1. Certificates are always verified: by the system's trust, and a CA file if one is given.
2. The receiver of a Response closes it. A body that is not read to its end costs the connection.
3. An error of the transfer is RegistryUnreachable; `passing` says whether a second attempt may help.
4. No wait is indefinite: there is a limit for the time without a single byte, one for the head of an answer, and one
   for the speed of a body (`pace`). The receiver must accept each piece of CHUNK_BYTES within the first limit.
"""

from __future__ import annotations

import ssl
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from urllib.parse import unquote, urlsplit

import urllib3
from urllib3.exceptions import HTTPError, LocationValueError
from urllib3.exceptions import SSLError as TlsError

from rootlay.store.codec.bytestream import CHUNK_BYTES
from rootlay.store.model.closing import Closing
from rootlay.store.model.value import field, value
from rootlay.store.registry.address import Origin
from rootlay.store.registry.connection import patient
from rootlay.store.registry.errors import BadRegistryAnswer, RegistryUnreachable
from rootlay.store.registry.pace import Pace
from rootlay.store.registry.settings import Settings

_AGENT = "rootlay"
# A rest of a body up to this size is read to keep the connection.
_DRAIN_BYTES_MAX = 64 << 10
_PROXY_SCHEMES = ("http", "https")
_POOLS: dict[str, type[urllib3.HTTPConnectionPool]] = {
    "http": urllib3.HTTPConnectionPool,
    "https": urllib3.HTTPSConnectionPool,
}


@value
class Body:
    """The body of a request: it can be made again, for a second attempt."""

    size: int
    chunks: Callable[[], Iterable[bytes]]

    @classmethod
    def of(cls, data: bytes) -> Body:
        """Make a small body."""
        return cls(len(data), lambda: (data,) if data else ())


@value
class Request:
    """A request; `headers` may hold secrets."""

    method: str
    url: str
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    body: Body | None = None


class Response(Closing):
    """An answer whose body has not been read."""

    def __init__(self, raw: urllib3.BaseHTTPResponse, url: str, pace: Pace) -> None:
        self._raw = raw
        self._pace = pace
        self.url = url
        self.status = raw.status
        self.host = Origin.of(url).host

    def header(self, name: str) -> str | None:
        """Return a header: all values of that name, joined by commas."""
        found: str | None = self._raw.headers.get(name)
        return found

    def iter_chunks(self) -> Iterator[bytes]:
        """Yield the body as it arrives, in pieces of CHUNK_BYTES at most; bytes before an error are yielded before it.

        Raises RegistryUnreachable if it is cut short, or arrives too slowly.
        """
        parts: list[bytes] = []
        have = 0
        try:
            while part := self._read_some(CHUNK_BYTES - have):
                parts.append(part)
                have += len(part)
                if have == CHUNK_BYTES:
                    yield b"".join(parts)
                    parts, have = [], 0
        except (RegistryUnreachable, HTTPError, OSError, ValueError) as error:
            if parts:
                yield b"".join(parts)
            if isinstance(error, RegistryUnreachable):
                raise
            raise RegistryUnreachable(self.host, f"the connection was interrupted: {_reason(error)}") from error
        if parts:
            yield b"".join(parts)

    def _read_some(self, count: int) -> bytes:
        """Return the available bytes, at most `count`; none at the end."""
        started = time.monotonic()
        part = self._raw.read1(count, decode_content=False)
        trouble = self._pace.took(time.monotonic() - started, len(part))
        if trouble:
            raise RegistryUnreachable(self.host, trouble, slow=True)
        return part

    def read(self, limit_bytes: int, what: str) -> bytes:
        """Return a whole small body, then close it. Raises BadRegistryAnswer if it is longer than `limit_bytes`."""
        parts: list[bytes] = []
        left = limit_bytes
        try:
            for chunk in self.iter_chunks():
                left -= len(chunk)
                if left < 0:
                    raise BadRegistryAnswer(self.host, f"{what} is longer than {limit_bytes} bytes")
                parts.append(chunk)
        finally:
            self.close()
        return b"".join(parts)

    def close(self) -> None:
        """Give the connection back to the pool if the body was read or is short, else close it. Idempotent."""
        left = self._raw.length_remaining
        if left is not None and left <= _DRAIN_BYTES_MAX:
            self._raw.drain_conn()
        self._raw.close()


class Transport:
    """Connections, kept and reused. Thread safe; close it."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._lock = threading.Lock()
        self._managers: dict[str | None, urllib3.PoolManager] = {}
        self._trust: ssl.SSLContext | None = None

    def send(self, request: Request, *, read_timeout_s: float | None = None) -> Response:
        """Make one exchange. Raises RegistryUnreachable, BadRegistryAnswer."""
        origin = Origin.of(request.url)
        headers = {"User-Agent": _AGENT, "Accept-Encoding": "identity", **request.headers}
        if request.body is not None:
            headers["Content-Length"] = str(request.body.size)
        timeout = urllib3.Timeout(
            connect=self._settings.connect_timeout_s, read=read_timeout_s or self._settings.read_timeout_s
        )
        try:
            raw = self._manager(self._settings.proxies.find(origin)).urlopen(
                request.method,
                request.url,
                headers=headers,
                body=None if request.body is None else iter(request.body.chunks()),
                redirect=False,
                retries=False,
                preload_content=False,
                decode_content=False,
                timeout=timeout,
            )
        except TlsError as error:
            raise _tls_trouble(origin.host, error) from error
        except LocationValueError as error:
            raise BadRegistryAnswer(origin.host, "malformed URL") from error
        except (HTTPError, OSError) as error:
            raise RegistryUnreachable(origin.endpoint, _reason(error)) from error
        return Response(raw, request.url, Pace(self._settings.speed_limit_bytes, self._settings.speed_time_s))

    def _manager(self, proxy: str | None) -> urllib3.PoolManager:
        with self._lock:
            found = self._managers.get(proxy)
            if found is None:
                found = self._managers[proxy] = self._make(proxy)
            return found

    def _make(self, proxy: str | None) -> urllib3.PoolManager:
        size = self._settings.parallel + 1
        if proxy is None:
            return self._limited(urllib3.PoolManager(num_pools=16, maxsize=size, ssl_context=self._context()))
        try:
            parts = urlsplit(proxy)
            known = parts.scheme in _PROXY_SCHEMES and bool(parts.hostname) and parts.port != 0
        except ValueError:
            known = False
        if not known:
            raise RegistryUnreachable("proxy", "not the URL of an HTTP or HTTPS proxy", passing=False)
        bare = f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}"
        headers = {}
        if parts.username is not None:
            login = f"{unquote(parts.username)}:{unquote(parts.password or '')}"
            headers = urllib3.make_headers(proxy_basic_auth=login)
        return self._limited(
            urllib3.ProxyManager(
                bare, num_pools=16, maxsize=size, proxy_headers=headers, ssl_context=self._context(),
                proxy_ssl_context=self._context(),
            )
        )  # fmt: skip

    def _limited(self, manager: urllib3.PoolManager) -> urllib3.PoolManager:
        """Return a pool whose connections do not wait indefinitely for the head of an answer."""
        seconds = self._settings.read_timeout_s + self._settings.speed_time_s
        manager.pool_classes_by_scheme = {
            scheme: type("Pool", (pool,), {"ConnectionCls": patient(pool.ConnectionCls, seconds)})
            for scheme, pool in _POOLS.items()
        }
        return manager

    def _context(self) -> ssl.SSLContext:
        if self._trust is None:
            context = ssl.create_default_context()
            if self._settings.ca_file is not None:
                try:
                    context.load_verify_locations(cafile=str(self._settings.ca_file))
                except ssl.SSLError as error:
                    raise RegistryUnreachable(
                        str(self._settings.ca_file), "it has no certificates in PEM form", passing=False
                    ) from error
            self._trust = context
        return self._trust

    def close(self) -> None:
        """Close all connections. Idempotent."""
        with self._lock:
            for manager in self._managers.values():
                manager.clear()
            self._managers.clear()


def _tls_trouble(host: str, error: TlsError) -> RegistryUnreachable:
    """Return the error for a TLS failure: a retry does not fix a certificate; other failures may be an interruption."""
    cause: object = error.args[0] if error.args else error
    if isinstance(cause, ssl.SSLCertVerificationError):
        reason = f"its certificate is not valid: {cause.verify_message} (--cacert FILE trusts a CA of your own)"
        return RegistryUnreachable(host, reason, passing=False)
    wrong = isinstance(cause, ssl.SSLError) and cause.reason in ("WRONG_VERSION_NUMBER", "RECORD_LAYER_FAILURE")
    hint = " (it does not speak TLS; --plain-http allows plain HTTP)" if wrong else ""
    return RegistryUnreachable(host, f"TLS: {_reason(error)}{hint}", passing=not wrong)


def _reason(error: BaseException) -> str:
    """Return the innermost cause in one line: urllib3 wraps the same error several times."""
    seen = error
    while True:
        inner = getattr(seen, "reason", None)
        if not isinstance(inner, BaseException):
            inner = seen.__cause__ or (seen.__context__ if isinstance(seen, HTTPError) else None)
        if not isinstance(inner, BaseException) or inner is seen:
            break
        seen = inner
    if isinstance(seen, OSError) and seen.strerror:
        return seen.strerror.lower()
    text = str(seen).strip() or type(seen).__name__
    return "".join(c if c.isprintable() else "?" for c in " ".join(text.split()))[:200]
