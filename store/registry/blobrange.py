"""A range of a blob (RFC 9110, 14): the unit of transfer for lazy layers."""

from __future__ import annotations

import re

from rootlay.store.model.value import replace
from rootlay.store.registry.errors import BadRegistryAnswer, RegistryUnreachable
from rootlay.store.registry.session import Call, Session

# 18 digits: no size has more, and int() refuses much longer numbers.
_CONTENT_RANGE = re.compile(r"bytes ([0-9]{1,18})-([0-9]{1,18})/([0-9]{1,18}|\*)\Z")


class NoRanges(BadRegistryAnswer):
    """The registry answers a request for a range with the whole blob."""


def read_range(session: Session, call: Call, start: int, end: int) -> bytes:
    """Return the bytes from `start` to before `end`; an interruption is retried. Not verified.

    Raises NoRanges, and as `Session.call`.
    """
    attempts = session.attempts()
    ranged = replace(call, headers={**call.headers, "Range": f"bytes={start}-{end - 1}"}, expected=(200, 206))
    while True:
        response = session.call(ranged)  # which retries on its own
        try:
            with response:
                if response.status != 206:
                    raise NoRanges(response.host, "it does not support range requests")
                found = _CONTENT_RANGE.match(response.header("Content-Range") or "")
                if found is None or (int(found[1]), int(found[2])) != (start, end - 1):
                    raise BadRegistryAnswer(response.host, "it returned another Range than requested")
                data = response.read(end - start, call.what)
                if len(data) == end - start:
                    return data
                raise RegistryUnreachable(response.host, f"{call.what} ended after {len(data)} bytes")
        except RegistryUnreachable as error:
            attempts.after(error)
