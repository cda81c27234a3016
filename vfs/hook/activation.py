"""Activations, `with container.activate(): …`: this code and its C libraries see the container's files.

Rules:
1. A context (PEP 567) is inside: the code in the `with` block, its awaited calls, the tasks that it creates, and the
   work of the executor of executor.py. Plain threads do not inherit a context: they are outside, like all others.
2. A context that was copied inside stays inside after the block has ended; after the container is closed, its file
   operations fail with ESTALE. They never reach the machine's files.
3. Threads that Python does not know, those of Arrow's and Polars' pools for example, have no context. As long as all
   entered activations are of one container, these threads are in the one entered last; else they are outside.
4. The hooks are in place as long as some context has an activation, and are removed afterwards.
5. Each activation has its own working directory.
6. Not a boundary: see SECURITY.md.
"""

from __future__ import annotations

import atexit
import os
import threading
import warnings
from collections.abc import Mapping, MutableMapping
from contextvars import Token
from types import TracebackType

from rootlay.store.model.errors import RootlayError
from rootlay.vfs.hook import forkgate
from rootlay.vfs.hook.box import Box
from rootlay.vfs.hook.library import INSIDE, hook_library, os_error
from rootlay.vfs.hook.threads import INHERITED, watch_threads


class ActivationMisused(RootlayError, RuntimeError):
    """An activation was entered twice, or left without being entered, or left in another context."""


class Inside(int):
    """The value of the context variable: the address of a `struct rl_activation`, which ends with this object."""

    box: Box

    def __del__(self) -> None:
        library = hook_library()
        if library.ended(self) <= 0:
            library.uninstall()  # or not yet, when a directory stream is open: then when the next activation ends


_installing = threading.Lock()
_entered: list[Inside] = []  # and not left, in this order


class Activation:
    """An activation, made by `Container.activate`. It can be entered again after it was left.

    Args:
        box: the container.
        cwd: directory inside; a missing directory is an error here, it is not made.
        keeps: an object that must not be collected while this one exists.
        inherit: threads that are started inside are inside (rootlay.vfs.hook.threads).
        variables: a process's environment, and the variables to set in it while this is entered.
    """

    def __init__(
        self,
        box: Box,
        cwd: str,
        keeps: object = None,
        *,
        inherit: bool = False,
        variables: tuple[MutableMapping[str, str], Mapping[str, str]] | None = None,
    ) -> None:
        self.box = box
        self._keeps = keeps
        self._cwd = cwd
        self._inherit = inherit
        self._inherited: Token[bool] | None = None
        self._variables = variables
        self._token: Token[int | None] | None = None
        self._inside: Inside | None = None

    def __enter__(self) -> Activation:
        if self._token is not None:
            raise ActivationMisused("this activation was entered before: make one for each `with`")
        inside = enter_box(self.box)
        watch_threads()
        self._token = INSIDE.set(inside)
        self._inherited = INHERITED.set(self._inherit)
        if self._variables is not None:
            set_variables(*self._variables)
        self._inside = inside
        _changed(inside, entered=True)
        del inside
        try:
            os.chdir(self._cwd)
        except BaseException:
            self.__exit__(None, None, None)
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        token, inside = self._token, self._inside
        if token is None or inside is None:
            raise ActivationMisused("this activation was not entered")
        try:
            INSIDE.reset(token)
        except ValueError as misuse:  # still entered
            raise ActivationMisused("an activation must be left in the context in which it was entered") from misuse
        if self._inherited is not None:
            INHERITED.reset(self._inherited)
        if self._variables is not None:
            reset_variables(*self._variables)
        self._token = self._inside = self._inherited = None
        _changed(inside, entered=False)
        del token, inside  # often the last references
        hook_library().sweep()


_variables: dict[str, list[str | None]] = {}
"""The values that variables had before, one for each activation that is entered."""


def set_variables(environ: MutableMapping[str, str], variables: Mapping[str, str]) -> None:
    """Set variables, and remember their values."""
    with _installing:
        for name, text in variables.items():
            _variables.setdefault(name, []).append(environ.get(name))
            environ[name] = text


def reset_variables(environ: MutableMapping[str, str], variables: Mapping[str, str]) -> None:
    """Restore the values of before when the last activation that set them is left."""
    with _installing:
        for name in variables:
            before = _variables[name].pop() if len(_variables[name]) > 1 else _variables.pop(name)[0]
            if name in _variables:
                continue
            if before is None:
                environ.pop(name, None)
            else:
                environ[name] = before


def enter_box(box: Box) -> Inside:
    """Make the C side of a new activation, at the root; the hooks are in place.

    Raises:
        OSError: the container was closed (ESTALE), or no descriptor is left.
    """
    library = hook_library()
    if box.closed:
        raise os_error(116, "container")
    with library.outside():
        fd = os.open("/", os.O_PATH | os.O_CLOEXEC)
        cwd = library.private(None, fd)
    with _installing:
        address = library.inside(box.address, cwd)
        if address is None:
            raise MemoryError
        inside = Inside(address)
        inside.box = box
        library.install()
    return inside


def _changed(inside: Inside, *, entered: bool) -> None:
    """Apply rule 3."""
    with _installing:
        if entered:
            _entered.append(inside)
        else:
            _entered[:] = [other for other in _entered if other is not inside]
        same = len({id(other.box) for other in _entered}) == 1
        hook_library().native(_entered[-1] if same else None)


whole_process: list[Inside] = []  # of whole.py


def _before_fork() -> None:
    inside = INSIDE.get() or next(iter(whole_process), None)
    if isinstance(inside, Inside):
        inside.box.prepare_programs()


forkgate.first.append(_before_fork)


def _renew_lock() -> None:
    global _installing
    _installing = threading.Lock()


os.register_at_fork(after_in_child=_renew_lock)  # another thread of the parent may have held it


@atexit.register
def _at_exit() -> None:
    """Move later code outside, such as flushes and finalizers. The container stays unchanged: nothing is lost."""
    if _entered:
        warnings.warn("an activation was still open when the interpreter exited", ResourceWarning, stacklevel=2)
    if hook_library.cache_info().currsize:
        hook_library().bypass(1)
        hook_library().everywhere(None)
