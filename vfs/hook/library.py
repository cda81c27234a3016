"""The hook engine's C library (`vfs/csrc/hook`), called by ctypes.

Rules:
1. It is loaded and started once per process, with the first activation. It is never unloaded: a library may keep a
   hook's address.
2. The library needs the offset of the context in Python's thread state; it is measured here (docs/adr/0004).
"""

from __future__ import annotations

import contextlib
import ctypes
import errno
import functools
import os
from collections.abc import Callable, Iterator
from contextvars import Context, ContextVar
from pathlib import Path
from typing import Any

from rootlay.store.model.errors import RootlayError
from rootlay.vfs.merge.bypass import set_bypass

PROBED_WORDS = 256
PYTHON_FUNCTIONS = (  # struct python of scope.c
    "PyGILState_GetThisThreadState",
    "PyThreadState_GetInterpreter",
    "PyGILState_Check",
    "PyGILState_Ensure",
    "PyGILState_Release",
    "PyContextVar_Get",
    "PyLong_AsVoidPtr",
    "PyErr_Fetch",
    "PyErr_Restore",
    "Py_IncRef",
    "Py_DecRef",
)

Hydrate = ctypes.CFUNCTYPE(ctypes.c_long, ctypes.c_uint32)
"""Make the real file of a view entry; return 0 or a negative errno."""

Prepare = ctypes.CFUNCTYPE(ctypes.c_int)
"""Prepare everything for programs that are started inside; return 0 or a negative errno."""

INSIDE: ContextVar[int | None] = ContextVar("rootlay_inside", default=None)
"""Address of the C side of this context's activation."""


class HookEngineMissing(RootlayError, RuntimeError):
    """Activation does not work here: another C library than glibc, another architecture, or an incomplete install."""

    def __init__(self, reason: str) -> None:
        super().__init__(f"activation does not work on this machine: {reason}")
        self.reason = reason


class HookLibrary:
    """`_hook.so`, started. Functions named `rl_hook_*` are the library's; see their comments there."""

    def __init__(self, path: Path) -> None:
        pointer, text = ctypes.c_void_p, ctypes.c_char_p
        number = ctypes.c_int
        self._free = ctypes.CDLL(str(path), use_errno=True)  # Python's lock is released during a call
        self._held = ctypes.PyDLL(str(path))
        bind = functools.partial(_bind, self._free)
        self.open: Callable[..., int | None] = bind("rl_hook_open", pointer, pointer, text, pointer, pointer, pointer)
        self.renew: Callable[..., None] = bind("rl_hook_renew", None, *[pointer] * 2, text, *[pointer] * 3)
        self.on_program: Callable[[int, Any], None] = bind("rl_hook_on_program", None, pointer, Prepare)
        self.programs: Callable[[int, bytes, bytes], None] = bind("rl_hook_programs", None, pointer, text, text)
        self.close: Callable[[int], None] = bind("rl_hook_close", None, pointer)
        self.free: Callable[[int], None] = bind("rl_hook_free", None, pointer)
        self.exists: Callable[[int, bytes], int] = bind("rl_hook_exists", number, pointer, text)
        self.install: Callable[[], int] = bind("rl_hook_install", number)
        self.uninstall: Callable[[], int] = bind("rl_hook_uninstall", number)
        self.native: Callable[[int | None], None] = bind("rl_hook_native", None, pointer)
        held = functools.partial(_bind, self._held)
        self.sweep: Callable[[], None] = held("rl_hook_sweep", None)
        self.bypass: Callable[[int], None] = held("rl_hook_bypass", None, number)
        self.inside: Callable[[int, int], int | None] = held("rl_hook_inside", pointer, pointer, number)
        self.ended: Callable[[int], int] = held("rl_hook_ended", number, pointer)
        self.everywhere: Callable[[int | None], None] = held("rl_hook_everywhere", None, pointer)
        self.private: Callable[[int | None, int], int] = held("rl_hook_private", number, pointer, number)
        self.public: Callable[[int], None] = held("rl_hook_public", None, number)
        self._start(held("rl_hook_init", number, pointer, pointer, ctypes.c_size_t))

    def _start(self, init: Callable[..., int]) -> None:
        api = ctypes.pythonapi
        functions = (ctypes.c_void_p * len(PYTHON_FUNCTIONS))(
            *(ctypes.cast(getattr(api, name), ctypes.c_void_p).value for name in PYTHON_FUNCTIONS)
        )
        if init(functions, id(INSIDE), context_offset()) != 0:
            raise HookEngineMissing("the process uses all thread-specific keys")

    @contextlib.contextmanager
    def outside(self) -> Iterator[None]:
        """Move the calling thread outside every container. Not around a `yield` or an `await`."""
        self.bypass(1)
        try:
            yield
        finally:
            self.bypass(-1)


def _bind(library: ctypes.CDLL, name: str, result: Any, *arguments: Any) -> Callable[..., Any]:
    function = getattr(library, name)
    function.restype = result
    function.argtypes = arguments
    return function  # type: ignore[no-any-return]


def context_offset() -> int:
    """Return the bytes from the start of a thread state to its pointer to the current context, found by a search.

    Raises:
        HookEngineMissing: the pointer was not found: this Python has another layout.
    """
    state_of = ctypes.pythonapi.PyGILState_GetThisThreadState
    state_of.restype = ctypes.c_void_p
    state = state_of()
    words = (ctypes.c_void_p * PROBED_WORDS).from_address(state)

    def find(context: Context) -> int | None:
        return next((at for at in range(PROBED_WORDS) if words[at] == id(context)), None)

    one, other = Context(), Context()
    at = one.run(find, one)
    if at is None or other.run(lambda: words[at]) != id(other):
        raise HookEngineMissing("this build of Python is not supported")
    return at * ctypes.sizeof(ctypes.c_void_p)


def _on_glibc() -> bool:
    try:
        return (os.confstr("CS_GNU_LIBC_VERSION") or "").startswith("glibc")
    except (AttributeError, OSError, ValueError):  # musl's confstr does not know that name: EINVAL
        return False


@functools.cache
def hook_library() -> HookLibrary:
    """Return the library. The first call loads and starts it.

    Raises:
        HookEngineMissing: it cannot work here.
    """
    path = Path(__file__).parent.parent / "_hook.so"
    if not _on_glibc():
        raise HookEngineMissing("the C library is not glibc")
    if not path.exists():
        raise HookEngineMissing(f"{path} is missing; reinstall rootlay")
    library = HookLibrary(path)
    set_bypass(library.bypass)
    return library


def os_error(number: int, path: os.PathLike[str] | str) -> OSError:
    return OSError(number, os.strerror(number or errno.EIO), os.fspath(path))
