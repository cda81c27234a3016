"""The bytes of one blob despite interruptions: a transfer is resumed where it ended, by Range (RFC 9110, 14).

Rules:
1. The result is exactly the promised number of bytes, or an error. The reader checks the digest.
2. A registry that ignores the Range is read again from the start, and the known bytes are skipped.
3. Each attempt that yields bytes, and not too slowly, resets the count of attempts.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from rootlay.store.model.errors import DigestMismatch
from rootlay.store.model.value import replace
from rootlay.store.registry.errors import BadRegistryAnswer, RegistryRefused, RegistryUnreachable
from rootlay.store.registry.session import Call, Session
from rootlay.store.registry.transport import Response

# 18 digits: no size has more, and int() refuses much longer numbers.
_CONTENT_RANGE = re.compile(r"bytes ([0-9]{1,18})-([0-9]{1,18})/([0-9]{1,18}|\*)\Z")

_LENGTH = re.compile(r"[0-9]{1,18}")


class BlobStream:
    """An iterable, once, over a blob of `size` bytes, from byte `start` on."""

    def __init__(self, session: Session, call: Call, size: int, start: int = 0) -> None:
        self._session = session
        self._call = call
        self._size = size
        self._done = start

    def __iter__(self) -> Iterator[bytes]:
        """Yield the bytes. Raises DigestMismatch (the length), and as `Session.call`."""
        attempts = self._session.attempts()
        while self._done < self._size:
            before = self._done
            try:
                with self._open() as response:
                    for chunk in self._iter_new(response):
                        if self._session.stop.is_set():
                            raise RegistryUnreachable(response.host, "stopped", passing=False)
                        yield chunk
                if self._done < self._size:
                    raise RegistryUnreachable(
                        response.host, f"{self._call.what} ended after {self._done} of {self._size} bytes"
                    )
            except RegistryUnreachable as error:
                if self._done != before and not error.slow:
                    attempts.progress()
                attempts.after(error)

    def _open(self) -> Response:
        if not self._done:
            return self._session.call(self._call)
        headers = {**self._call.headers, "Range": f"bytes={self._done}-"}
        try:
            return self._session.call(replace(self._call, headers=headers, expected=(200, 206)))
        except RegistryRefused as error:
            if error.status == 416:
                raise DigestMismatch(f"{self._call.what}: size", self._size, self._done) from error
            raise

    def _iter_new(self, response: Response) -> Iterator[bytes]:
        """Yield the new bytes of an answer, and count them."""
        at = self._start(response)
        length = response.header("Content-Length")
        if length is not None and _LENGTH.fullmatch(length) and at + int(length) != self._size:
            raise DigestMismatch(f"{self._call.what}: size", self._size, at + int(length))
        for chunk in response.iter_chunks():
            fresh = chunk[self._done - at :] if at < self._done else chunk
            at += len(chunk)
            if at > self._size:
                raise DigestMismatch(f"{self._call.what}: size", self._size, f"at least {at}")
            if fresh:
                self._done += len(fresh)
                yield fresh

    def _start(self, response: Response) -> int:
        if response.status != 206:
            return 0
        found = _CONTENT_RANGE.match(response.header("Content-Range") or "")
        if found is None or int(found[1]) != self._done:
            raise BadRegistryAnswer(response.host, "it returned another Range than requested")
        return self._done
