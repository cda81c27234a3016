"""The program that `rootlay python` starts: this interpreter, which enters the container and becomes the script.

    python -P -m rootlay.cli.pythonmain ROOT CONTAINER CWD {SCRIPT | -m MODULE | -c CODE} [ARGUMENT…]

It is a separate process, so that the container can be removed however the script ends. The script is read
outside; from its first line on everything is inside, where its directory is the first of `sys.path`.
"""

from __future__ import annotations

import builtins
import os
import sys
from pathlib import Path
from types import CodeType

from rootlay.cli.printer import standard_streams
from rootlay.cli.spec import UsageError

TROUBLE = 125


def main() -> None:
    root, container, cwd, *words = sys.argv[1:]
    try:
        sys.argv, first, file = _arguments(words)
        code = _compiled(words, file)
        sys.path.append(first)  # the last until rootlay has imported what it needs
        _go_inside(Path(root), container, cwd)
        sys.path.insert(0, sys.path.pop())
    except SyntaxError:
        raise
    except Exception as error:
        from rootlay.cli.errorreport import explain

        message, _ = explain(error, "python", Path(root))
        standard_streams()[1].line(f"rootlay: {message}", flush=True)
        sys.exit(TROUBLE)
    if code is None:
        import runpy

        runpy.run_module(words[1], run_name="__main__", alter_sys=True)
        return
    fresh: dict[str, object] = dict.fromkeys(("__doc__", "__loader__", "__spec__"))
    fresh |= {"__name__": "__main__", "__builtins__": builtins, **({"__file__": file} if file else {})}
    names = sys.modules["__main__"].__dict__  # of this module
    names.clear()
    names.update(fresh)
    exec(code, names)


def _arguments(words: list[str]) -> tuple[list[str], str, str]:
    """Return sys.argv, the first of sys.path, and the script's file."""
    if words[0] in ("-m", "-c"):
        return [words[0], *words[2:]], "", ""
    return words, os.path.dirname(os.path.realpath(words[0])), os.path.abspath(words[0])


def _compiled(words: list[str], file: str) -> CodeType | None:
    if words[0] == "-m":
        return None
    if words[0] == "-c":
        return compile(words[1], "<string>", "exec", dont_inherit=True)
    with open(file, "rb") as script:
        return compile(script.read(), file, "exec", dont_inherit=True)


def _go_inside(root: Path, reference: str, cwd: str) -> None:
    from rootlay.vfs import Store
    from rootlay.vfs.api.whole import enter_process
    from rootlay.vfs.hook.library import HookEngineMissing

    container = Store.open(root).container(reference)
    try:
        enter_process(container, cwd=cwd)
    except HookEngineMissing as missing:
        raise UsageError(str(missing)) from missing


if __name__ == "__main__":
    main()
