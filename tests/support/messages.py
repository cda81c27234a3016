"""The messages of rootlay that a user can read: texts of raised errors, and lines that are printed.

python -m tests.support.messages      # lists them: place, error or printer, text
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

TREE = Path(__file__).parents[2]
PRINTERS = ("line", "note", "drawn", "warn")


def text_of(node: ast.AST) -> str:
    """The fixed words of a text, `{…}` for each value; empty if the node is not a text."""
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        return node.value
    if isinstance(node, ast.JoinedStr):
        return "".join(text_of(part) if isinstance(part, ast.Constant) else "{…}" for part in node.values)
    if isinstance(node, ast.BinOp):
        return text_of(node.left) + text_of(node.right)
    if isinstance(node, ast.IfExp):
        return " | ".join(filter(None, (text_of(node.body), text_of(node.orelse))))
    return ""


def _calls(tree: ast.AST) -> Iterator[tuple[int, ast.Call]]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Raise) and isinstance(node.exc, ast.Call):
            yield node.lineno, node.exc
        elif isinstance(node, ast.Call) and (
            ast.unparse(node.func) == "super().__init__"
            or (isinstance(node.func, ast.Attribute) and node.func.attr in PRINTERS)
            or (isinstance(node.func, ast.Name) and node.func.id == "Finding")
        ):
            yield node.lineno, node


def messages() -> Iterator[tuple[str, str, str]]:
    """The place, the call and the words of each message in store/, vfs/ and cli/."""
    for top in ("store", "vfs", "cli"):
        for path in sorted((TREE / top).rglob("*.py")):
            for line, call in _calls(ast.parse(path.read_text("utf-8"))):
                words = [text_of(value) for value in (*call.args, *(option.value for option in call.keywords))]
                if any(words):
                    yield f"{path.relative_to(TREE)}:{line}", ast.unparse(call.func), ": ".join(filter(None, words))


if __name__ == "__main__":
    for place, call, words in messages():
        print(f"{place}: {call}: {words}")
