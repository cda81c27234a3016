"""Write docs/api.md, the reference of the Python API, from the docstrings.

    python docs/make_api.py            # with rootlay and fsspec installed; writes docs/api.md
    python docs/make_api.py --print    # to standard output

What is in `rootlay.vfs.__all__` is the public API: those classes, and their public methods and properties.
"""

from __future__ import annotations

import inspect
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import rootlay.vfs
from rootlay.vfs import RootlayError

HEAD = """# Python API

Made from the docstrings by `python docs/make_api.py`; a test holds that no public name is missing. Everything here is \
importable from `rootlay.vfs`. How-tos: [files](howto/files.md), [snapshots](howto/snapshots.md), \
[sandboxes](howto/sandbox.md), [limits](howto/limits.md), [asyncio](howto/async.md), \
[activation](howto/activation.md), [pytest](howto/pytest.md).
"""


def members(cls: type) -> Iterator[tuple[str, Any]]:
    """The public methods and properties that a class, or one of rootlay's that it is made of, defines, in order."""
    own = [base for base in cls.__mro__ if base.__module__.startswith("rootlay.")]
    for name, member in {name: member for base in reversed(own) for name, member in vars(base).items()}.items():
        plain = member.__func__ if isinstance(member, (classmethod, staticmethod)) else member
        if not name.startswith("_") and (isinstance(plain, property) or inspect.isfunction(plain)):
            yield name, plain


def documentation(cls: type, name: str, member: Any) -> str:
    """The docstring of a member, or that of the method it overrides."""
    return inspect.getdoc(member) or inspect.getdoc(getattr(cls, name)) or ""


def signature(member: Any) -> str:
    """Parameters and result, as they are written."""
    if isinstance(member, property):
        shown = inspect.signature(member.fget).return_annotation
        return f": {shown}"
    shown = re.sub(r" object at 0x[0-9a-f]+>", ">", str(inspect.signature(member)))  # the same each time
    shown = re.sub(r"<function ([\w.]+) at 0x[0-9a-f]+>", r"\1", shown)
    return shown.replace("'", "").replace("(self, ", "(").replace("(self)", "()")


def indented(text: str) -> str:
    """A docstring as a paragraph of its own, its layout kept."""
    return "```text\n" + text + "\n```" if "\n" in text else text


ERRORS = """## Errors

Each has the attributes `fault` (`caller`, `image`, `disk` or `network`) and `exit_code`, which is the command line's \
(see [exit codes](exit-codes.md)). Errors at a path of a container or an image are `OSError`, with an errno.
"""


def error_entry(cls: type[RootlayError]) -> str:
    """An error class: its bases and its meaning."""
    bases = ", ".join(base.__name__ for base in cls.__bases__)
    head = f"`{cls.__name__}({bases})`: fault {cls.fault}, exit code {cls.exit_code}"
    return f"### {cls.__name__}\n\n{head}\n\n{indented(inspect.getdoc(cls) or '')}\n"


def reference() -> str:
    """The whole page."""
    public = {name: getattr(rootlay.vfs, name) for name in rootlay.vfs.__all__}
    errors = {name: cls for name, cls in public.items() if inspect.isclass(cls) and issubclass(cls, RootlayError)}
    parts = [HEAD]
    for name, cls in public.items():
        if name in errors:
            continue
        if not inspect.isclass(cls):
            parts.append(f"## {name}\n\n`{name}{signature(cls)}`\n\n{indented(inspect.getdoc(cls) or '')}\n")
            continue
        parts.append(f"## {name}\n\n{indented(inspect.getdoc(cls) or '')}\n")
        for member_name, member in members(cls):
            text = indented(documentation(cls, member_name, member))
            parts.append(f"### {name}.{member_name}\n\n`{member_name}{signature(member)}`\n\n{text}\n")
    return "\n".join((*parts, ERRORS, *map(error_entry, errors.values())))


if __name__ == "__main__":
    if "--print" in sys.argv[1:]:
        print(reference(), end="")
    else:
        Path(__file__).with_name("api.md").write_text(reference(), encoding="utf-8")
