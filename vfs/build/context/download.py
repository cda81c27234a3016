"""Downloaded sources: `ADD https://…`, and contexts at a URL.

Rules:
1. The file belongs to 0:0 and has mode 0600; its time is the server's Last-Modified, or the epoch (BuildKit).
2. With a checksum, no other content is accepted. A truncated download is an error.
3. Redirects are followed, up to ten, never from https to http.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING

from rootlay.store.model.digest import Digest
from rootlay.store.model.errors import DigestMismatch, RootlayError
from rootlay.store.registry.address import follow
from rootlay.store.registry.errors import BadRegistryAnswer, RegistryUnreachable
from rootlay.store.registry.settings import Settings
from rootlay.vfs.build.context.remote import file_name

if TYPE_CHECKING:
    from rootlay.store.registry.transport import Response, Transport

_REDIRECTS = (301, 302, 303, 307, 308)
_REDIRECTS_MAX = 10
_MODE = 0o600


class DownloadFailed(RootlayError):
    """A URL that cannot be downloaded.

    Args:
        url: as written.
        reason: the server's answer, or why there is no answer.
    """

    fault = "network"
    exit_code = 65

    def __init__(self, url: str, reason: str) -> None:
        super().__init__(f"{url}: {reason}")
        self.url = url
        self.reason = reason


def download(
    url: str,
    directory: Path,
    settings: Settings,
    checksum: str | None = None,
    check: Callable[[], None] = lambda: None,
) -> Path:
    """Download a URL.

    Args:
        directory: the target; the file is named for the URL. After an error a part of it may be there.
        settings: proxies, certificates and timeouts.
        checksum: `sha256:…` (also sha384, sha512).
        check: called for each chunk; may raise to cancel.

    Raises:
        DownloadFailed: no answer, or an error.
        DigestMismatch: the content does not match the checksum.
        BadDigest, ValueError: a checksum of an unknown form.
    """
    from rootlay.store.registry.transport import Transport  # here: urllib3 opens a socket when it is imported

    wanted = None if checksum is None else Digest.parse(checksum)
    target = directory / file_name(url)
    with closing(Transport(settings)) as transport:
        try:
            with _open(transport, url) as response:
                found = _write(response, target, url, wanted.algorithm if wanted else "sha256", check)
                modified = response.header("Last-Modified")
        except (RegistryUnreachable, BadRegistryAnswer) as error:
            raise DownloadFailed(url, str(error)) from error
    if wanted is not None and found != wanted.hex:
        target.unlink()
        raise DigestMismatch(url, wanted, f"{wanted.algorithm}:{found}")
    seconds = _seconds(modified)
    os.utime(target, (seconds, seconds))
    return target


def _open(transport: Transport, url: str) -> Response:
    """Return the answer after all redirects."""
    from rootlay.store.registry.transport import Request

    here = url
    for _ in range(_REDIRECTS_MAX):
        response = transport.send(Request("GET", here.partition("#")[0]))
        if response.status not in _REDIRECTS:
            if response.status != 200:
                response.close()
                raise DownloadFailed(url, f"the server returned {response.status}")
            return response
        location = response.header("Location")
        response.close()
        here = follow(here, location)
    raise DownloadFailed(url, f"more than {_REDIRECTS_MAX} redirects")


def _write(response: Response, target: Path, url: str, algorithm: str, check: Callable[[], None]) -> str:
    """Store the body. Return its hash in hex."""
    hasher = hashlib.new(algorithm)
    count = 0
    with open(os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, _MODE), "wb") as file:
        for chunk in response.iter_chunks():
            check()
            file.write(chunk)
            hasher.update(chunk)
            count += len(chunk)
    length = response.header("Content-Length")
    if length is not None and length.isascii() and length.isdigit() and int(length) != count:
        raise DownloadFailed(url, f"it ends after {count} of {length} bytes")
    os.chmod(target, _MODE)
    return hasher.hexdigest()


def _seconds(modified: str | None) -> float:
    from email.utils import parsedate_to_datetime

    try:
        return parsedate_to_datetime(modified or "").timestamp()
    except (ValueError, TypeError, OverflowError):
        return 0.0
