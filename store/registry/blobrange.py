"""A range of a blob (RFC 9110, 14): what lazy layers are made of."""

from __future__ import annotations

import re

from rootlay.store.model.value import replace
from rootlay.store.registry.errors import BadRegistryAnswer, RegistryUnreachable
from rootlay.store.registry.session import Call, Session

# 18 digits: more is no size of anything, and int() refuses what is much longer.
_CONTENT_RANGE = re.compile(r"bytes ([0-9]{1,18})-([0-9]{1,18})/([0-9]{1,18}|\*)\Z")


class NoRanges(BadRegistryAnswer):
    """The registry answers a request for a part with the whole."""


def read_range(session: Session, call: Call, start: int, end: int) -> bytes:
    """The bytes from `start` to before `end`; a cut is tried again. Not verified.

    Raises NoRanges, and as `Session.call`.
    """
    attempts = session.attempts()
    ranged = replace(call, headers={**call.headers, "Range": f"bytes={start}-{end - 1}"}, expected=(200, 206))
    while True:
        response = session.call(ranged)  # which tries again by itself
        try:
            with response:
                if response.status != 206:
                    raise NoRanges(response.host, "it does not serve parts of blobs")
                found = _CONTENT_RANGE.match(response.header("Content-Range") or "")
                if found is None or (int(found[1]), int(found[2])) != (start, end - 1):
                    raise BadRegistryAnswer(response.host, "it answers another Range than was asked for")
                data = response.read(end - start, call.what)
                if len(data) == end - start:
                    return data
                raise RegistryUnreachable(response.host, f"{call.what} ended after {len(data)} bytes")
        except RegistryUnreachable as error:
            attempts.after(error)
