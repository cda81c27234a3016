"""The start of the command `rootlay`. Until `main` handles Ctrl-C, it ends the process by the signal itself: in the
middle of an import, Python would print a traceback."""

import _signal  # type: ignore[import-not-found]  # the C half: `signal` itself takes a millisecond, and has no stub
import sys


def main() -> int:
    """Run the command line of this process and return its exit code."""
    ours = _signal.getsignal(_signal.SIGINT) is _signal.default_int_handler  # not if the caller ignores it
    if ours:
        _signal.signal(_signal.SIGINT, _signal.SIG_DFL)
    from rootlay.cli.main import main as run

    if ours:
        _signal.signal(_signal.SIGINT, _signal.default_int_handler)
    try:
        code = run()
        if ours:
            _signal.signal(_signal.SIGINT, _signal.SIG_DFL)
    except KeyboardInterrupt:
        code = 130
    return code


if __name__ == "__main__":
    sys.exit(main())
