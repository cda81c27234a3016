"""Calls of the API's handlers in this process: the command line and the API have one set of filters and of JSON."""

from __future__ import annotations

import contextlib
import socket
from collections.abc import Callable, Iterable
from typing import Any
from urllib.parse import quote, unquote

from rootlay.cli.api.call import Call, Reply
from rootlay.cli.api.errors import ApiError
from rootlay.cli.api.routes import find_route
from rootlay.cli.api.shapes import Shape, read_json
from rootlay.cli.spec import Context, UsageError
from rootlay.store.model.errors import RootlayError

VERSION = (1, 47)


class Refused(RootlayError):
    """A request that a handler refused; the message is Docker's."""


_BYTES = "surrogateescape"  # a name in the command line may have bytes that are no text


def path_of(kind: str, name: str, rest: str = "") -> str:
    """Return the API's path of an object: `/networks/NAME`. The name may have any characters: users mistype."""
    return f"/{kind}/{quote(name, safe='', errors=_BYTES)}{rest}"


class Asker:
    """Calls handlers. `line` receives each JSON line of a stream."""

    def __init__(self, context: Context, line: Callable[[Any], None] = lambda _: None) -> None:
        self._context = context
        self._line = line

    def ask(self, method: str, path: str, body: Any = None, **query: Any) -> Any:
        """Return the JSON of an answer; None if it has none.

        Args:
            path: with names of the user quoted (`path_of`).
            query: the parameters, already parsed: a list, a truth value, filters.

        Raises:
            Refused: the handler refuses the request.
            RootlayError: what the library raises.
        """
        found = find_route(method, path)
        if found is None:  # no route has an empty name
            raise Refused(f"{path.split('/')[1]}: the name is empty")
        route, names = found[0], {name: unquote(text, errors=_BYTES) for name, text in found[1].items()}
        given = route.read(()) | query
        with contextlib.closing(_Exchange(body, self._line)) as exchange:
            call = Call(self._context, exchange, names, given, VERSION)  # type: ignore[arg-type]  # the part it has
            try:
                answer = route.load()(call)
            except (ApiError, ValueError) as error:
                for cause in (error.__context__, error):  # the library's own error has an exit code
                    if isinstance(cause, RootlayError):
                        raise cause from None
                raise Refused(str(error)) from None
        return answer.body if isinstance(answer, Reply) else answer


class _Exchange:
    """The part of an HTTP exchange that these handlers use, without HTTP."""

    def __init__(self, body: Any, line: Callable[[Any], None]) -> None:
        self._body = body
        self.line = line
        self.connection = self
        self.client, self._other = socket.socketpair()  # never readable: a client that stays

    def json(self, shape: Shape) -> Any:
        return read_json(shape, self._body or {})

    def stream(self, *_: Any, **__: Any) -> _Exchange:
        return self

    def send(self, value: Any) -> None:
        self.line(value)

    def client_left(self) -> bool:
        return False

    def __enter__(self) -> _Exchange:
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def close(self) -> None:
        self.client.close()
        self._other.close()


def ask(context: Context, method: str, path: str, body: Any = None, **query: Any) -> Any:
    """Return the JSON of one answer; see `Asker.ask`."""
    return Asker(context).ask(method, path, body, **query)


def filters_of(texts: Iterable[str]) -> dict[str, list[str]]:
    """Parse `--filter NAME=VALUE`. Raises UsageError."""
    found: dict[str, list[str]] = {}
    for text in texts:
        name, sign, given = text.partition("=")
        if not sign:
            raise UsageError(f"--filter {text}: invalid argument: bad format of filter (expected name=value)")
        found.setdefault(name.strip().lower(), []).append(given.strip())
    return found
