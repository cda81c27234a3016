"""Transfer of one blob to a repository: skipped if it is there, mounted from another repository, or sent in chunks.

After an interruption, a GET on the upload's location returns how much the registry has, and the upload continues there;
if the registry dropped the upload, it starts again.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from urllib.parse import urlencode

from rootlay.store.codec.bytestream import CHUNK_BYTES
from rootlay.store.disk.regularfile import open_regular_stream
from rootlay.store.model.errors import CorruptStore
from rootlay.store.model.manifest import Descriptor
from rootlay.store.registry.errors import (
    AccessDenied,
    BadRegistryAnswer,
    NotInRegistry,
    RegistryRefused,
    RegistryUnreachable,
)
from rootlay.store.registry.repository import Repository
from rootlay.store.registry.transport import Body

_RANGE = re.compile(r"(?:bytes=)?0-([0-9]{1,18})\Z")
Report = Callable[[int], None]


class Upload:
    """The upload of the blob of `descriptor` from the file `path`."""

    def __init__(self, repository: Repository, descriptor: Descriptor, path: Path, report: Report) -> None:
        """Prepare the upload. `report` is called with the number of transferred bytes."""
        self._repository = repository
        self._descriptor = descriptor
        self._path = path
        self._report = report
        self._what = str(descriptor.digest)
        self._host = repository.session.domain
        self._chunk_bytes = repository.session.settings.upload_chunk_bytes

    def run(self, sources: tuple[str, ...]) -> bool:
        """Transfer the blob; return whether bytes were sent. Idempotent.

        Args:
            sources: paths of repositories of this registry that may have the blob.

        Raises CorruptStore (the blob is missing here), and as `Session.call`.
        """
        digest = self._descriptor.digest
        if self._repository.has_blob(digest):
            self._report(self._descriptor.size)
            return False
        location: str | None = None
        for source in sources[:1]:
            try:
                location = self._repository.mount(digest, source)
            except (AccessDenied, NotInRegistry, RegistryRefused):
                break  # the other repository was removed, or is not readable for us
            if location is None:
                self._report(self._descriptor.size)
                return False
        self._send(location or self._repository.begin_upload(digest))
        self._report(self._descriptor.size)
        return True

    def _send(self, location: str) -> None:
        """Send all chunks, and the end."""
        size = self._descriptor.size
        attempts = self._repository.session.attempts()
        offset = best = 0
        while True:
            try:
                if (offset == 0 and size <= self._chunk_bytes) or offset == size:
                    self._finish(location, offset)
                    return
                before = offset
                location, offset = self._patch(location, offset)
                if offset <= before:
                    raise RegistryUnreachable(self._host, f"it lost the upload of {self._what}")
                if offset > best:  # not if an upload only started again
                    best = offset
                    attempts.progress()
            except (RegistryUnreachable, RegistryRefused, NotInRegistry) as error:
                if isinstance(error, RegistryRefused) and error.status != 416:
                    raise
                lost = RegistryUnreachable(self._host, f"the upload was lost: {error}")
                attempts.after(error if isinstance(error, RegistryUnreachable) else lost)
                if self._repository.has_blob(self._descriptor.digest):
                    return  # only the answer was lost
                location, offset = self._ask(location)

    def _finish(self, location: str, offset: int) -> None:
        url = location + ("&" if "?" in location else "?") + urlencode({"digest": self._what})
        headers = {"Content-Type": "application/octet-stream"}
        body = self._body(offset, self._descriptor.size)
        with self._repository.upload_call("PUT", url, self._what, headers=headers, body=body, expected=(201, 204)):
            pass

    def _patch(self, location: str, offset: int) -> tuple[str, int]:
        end = min(offset + self._chunk_bytes, self._descriptor.size)
        headers = {"Content-Type": "application/octet-stream", "Content-Range": f"{offset}-{end - 1}"}
        body = self._body(offset, end)
        expected = (202, 204)
        with self._repository.upload_call(
            "PATCH", location, self._what, headers=headers, body=body, expected=expected
        ) as (_, following, have):
            return following, self._have(have, end)

    def _ask(self, location: str) -> tuple[str, int]:
        """Return the position of the upload, or that of a new one."""
        try:
            with self._repository.upload_call("GET", location, self._what, expected=(200, 204)) as (_, following, have):
                return following, self._have(have, 0)
        except (NotInRegistry, RegistryRefused):
            return self._repository.begin_upload(self._descriptor.digest), 0
        except RegistryUnreachable:
            return location, 0  # the next attempt finds out

    def _have(self, text: str | None, otherwise: int) -> int:
        """Return how many bytes the registry has, by its Range header. Registries state `0-0` for an empty upload.

        Raises BadRegistryAnswer for more than the blob has.
        """
        found = _RANGE.match(text or "")
        if found is None:
            return otherwise
        have = int(found[1]) + 1 if int(found[1]) else 0
        if have > self._descriptor.size:
            raise BadRegistryAnswer(self._host, f"it claims more bytes of {self._what} than were sent")
        return have

    def _body(self, start: int, end: int) -> Body:
        return Body(end - start, lambda: self._read(start, end))

    def _read(self, start: int, end: int) -> Iterator[bytes]:
        try:
            stream = open_regular_stream(self._path, follow=True)
        except FileNotFoundError as error:
            raise CorruptStore(self._what, "the blob is missing") from error
        with stream:
            while start < end:
                chunk = os.pread(stream.fileno(), min(CHUNK_BYTES, end - start), start)
                if not chunk:
                    raise CorruptStore(self._what, "the blob is shorter than its descriptor")
                start += len(chunk)
                self._report(start)
                yield chunk
