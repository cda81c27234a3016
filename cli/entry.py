"""The start of the command `rootlay`, and its end.

Until `main` handles Ctrl-C, it ends the process by the signal itself: in the middle of an import, Python would print a
traceback."""

import _signal  # type: ignore[import-not-found]  # the C half: `signal` itself takes a millisecond, and has no stub
import gc
import sys


def main() -> int:
    """Run the command line of this process and return its exit code; or end the process with it."""
    ours = _signal.getsignal(_signal.SIGINT) is _signal.default_int_handler  # not if the caller ignores it
    if ours:
        _signal.signal(_signal.SIGINT, _signal.SIG_DFL)
    gc.disable()  # imports make many objects and no cycles; `run` enables it
    from rootlay.cli.main import main as run

    if ours:
        _signal.signal(_signal.SIGINT, _signal.default_int_handler)
    try:
        code = run()
        if ours:
            _signal.signal(_signal.SIGINT, _signal.SIG_DFL)
        _end(code)
    except KeyboardInterrupt:
        code = 130
    return code


def _end(code: int) -> None:
    """End the process here, if Python has nothing to do at its end: no thread to wait for, no function to call. It
    would free each object one by one, which takes milliseconds. All output is written."""
    import atexit
    import os

    if "threading" not in sys.modules and not atexit._ncallbacks():
        os._exit(code)


if __name__ == "__main__":
    sys.exit(main())
