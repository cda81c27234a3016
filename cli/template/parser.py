"""The parser of Go's templates: tokens to a syntax tree (text/template/parse/parse.go)."""

from __future__ import annotations

from collections.abc import Container
from typing import Any, NoReturn

from rootlay.cli.template import nodes
from rootlay.cli.template.errors import TemplateError
from rootlay.cli.template.lexer import Lexer, Token, quote
from rootlay.cli.template.literals import number, unquote
from rootlay.store.model.value import value

_OPERANDS = frozenset("bool rune dot field identifier number nil raw quoted variable open".split())
_FIXED = (nodes.Literal, nodes.Nil, nodes.Dot)
"""The nodes that no pipeline can call."""


class Parser:
    """Parses one template text.

    Args:
        text: the template.
        functions: the names that a template may call.
    """

    def __init__(self, text: str, functions: Container[str]) -> None:
        self._tokens = Lexer(text).run()
        self._functions = functions
        self._at = 0
        self._variables = ["$"]
        self._ranges = 0
        self._action_line = 0
        self.defined: dict[str, tuple[Any, ...]] = {}

    def parse(self) -> tuple[Any, ...]:
        """Return the nodes of the template; `defined` has those of its `define` and `block`. Raises TemplateError."""
        found: list[Any] = []
        while self._peek().kind != "EOF":
            if self._peek().kind == "left" and self._is_define():
                self._define()
                continue
            node = self._text_or_action()
            if isinstance(node, _End):
                raise self._error(f"unexpected {node}")
            found.append(node)
        return tuple(found)

    # Tokens

    def _peek(self, *, spaces: bool = True) -> Token:
        position = self._at
        while not spaces and self._tokens[position].kind == "space":
            position += 1
        return self._tokens[position]

    def _next(self, *, spaces: bool = True) -> Token:
        while not spaces and self._tokens[self._at].kind == "space":
            self._at += 1
        token = self._tokens[self._at]
        if token.kind not in ("EOF", "error"):
            self._at += 1
        return token

    def _error(self, message: str) -> TemplateError:
        before = self._tokens[max(0, self._at - 1)]
        return TemplateError(f"template: :{before.line}: {message}")

    def _unexpected(self, token: Token, context: str) -> NoReturn:
        if token.kind != "error":
            raise self._error(f"unexpected {token} in {context}")
        extra = ""
        if self._action_line not in (0, token.line):
            extra = f" in action started at :{self._action_line}"
            if token.text.endswith(" action"):
                extra = extra.removeprefix(" in action")
        raise TemplateError(f"template: :{token.line}: {token}{extra}")

    def _expect(self, kind: str, context: str) -> Token:
        token = self._next(spaces=False)
        if token.kind != kind:
            self._unexpected(token, context)
        return token

    # Text and actions

    def _is_define(self) -> bool:
        position = self._at + 1
        while self._tokens[position].kind == "space":
            position += 1
        return self._tokens[position].kind == "define"

    def _define(self) -> None:
        self._next()
        self._next(spaces=False)
        name = self._string(self._next(spaces=False), "define clause")
        self._expect("right", "define clause")
        outer, self._variables = self._variables, ["$"]
        body, end = self._list()
        self._variables = outer
        if end.kind != "end":
            raise self._error(f"unexpected {end} in define clause")
        self.defined[name] = body

    def _string(self, token: Token, context: str) -> str:
        if token.kind not in ("quoted", "raw"):
            self._unexpected(token, context)
        return self._unquoted(token)

    def _unquoted(self, token: Token) -> str:
        try:
            return unquote(token.text)
        except ValueError as error:
            raise self._error(str(error)) from None

    def _list(self) -> tuple[tuple[Any, ...], _End]:
        """Read nodes up to an `end` or `else`."""
        found: list[Any] = []
        while self._peek(spaces=False).kind != "EOF":
            node = self._text_or_action()
            if isinstance(node, _End):
                return tuple(found), node
            found.append(node)
        raise self._error("unexpected EOF")

    def _text_or_action(self) -> Any:
        token = self._next(spaces=False)
        if token.kind == "text":
            return nodes.Text(token.at, token.text)
        if token.kind != "left":
            self._unexpected(token, "input")
        self._action_line = token.line
        node = self._action()
        self._action_line = 0
        return node

    def _action(self) -> Any:
        token = self._peek(spaces=False)
        if token.kind in ("if", "with", "range"):
            self._next(spaces=False)
            return self._branch(token.kind, token.at)
        if token.kind in ("block", "break", "continue", "else", "end", "template"):
            self._next(spaces=False)
            return getattr(self, f"_{token.kind}")(token)
        return nodes.Action(token.at, self._pipeline("command", "right"))

    def _end(self, token: Token) -> _End:
        self._expect("right", "end")
        return _End("end", token.at)

    def _else(self, token: Token) -> _End:
        if self._peek(spaces=False).kind not in ("if", "with"):  # `else if` is `else` and an `if`
            self._expect("right", "else")
        return _End("else", token.at)

    def _break(self, token: Token) -> nodes.Leave:
        following = self._next(spaces=False)
        if following.kind != "right":
            self._unexpected(following, f"{{{{{token.text}}}}}")
        if not self._ranges:
            raise self._error(f"{{{{{token.text}}}}} outside {{{{range}}}}")
        return nodes.Leave(token.at, token.text)

    _continue = _break

    def _branch(self, kind: str, at: int) -> nodes.Branch:
        known = len(self._variables)
        pipeline = self._pipeline(kind, "right")
        self._ranges += kind == "range"
        body, end = self._list()
        self._ranges -= kind == "range"
        otherwise: tuple[Any, ...] | None = None
        if end.kind == "else":
            following = self._peek(spaces=False)
            if following.kind == kind and kind in ("if", "with"):
                self._next(spaces=False)
                otherwise = (self._branch(kind, following.at),)
            else:
                otherwise, end = self._list()
                if end.kind != "end":
                    raise self._error(f"expected end; found {end}")
        del self._variables[known:]
        return nodes.Branch(pipeline.at, kind, pipeline, body, otherwise)

    def _template(self, token: Token) -> nodes.Call:
        name = self._next(spaces=False)
        text = self._string(name, "template clause")
        pipeline = None
        if self._peek(spaces=False).kind == "right":
            self._next(spaces=False)
        else:
            pipeline = self._pipeline("template clause", "right")
        return nodes.Call(name.at, text, quote(text), pipeline)

    def _block(self, token: Token) -> nodes.Call:
        name_token = self._next(spaces=False)
        name = self._string(name_token, "block clause")
        pipeline = self._pipeline("block clause", "right")
        outer, self._variables = self._variables, ["$"]
        body, end = self._list()
        self._variables = outer
        if end.kind != "end":
            raise self._error(f"unexpected {end} in block clause")
        self.defined[name] = body
        return nodes.Call(name_token.at, name, quote(name), pipeline)

    # Pipelines

    def _pipeline(self, context: str, end: str) -> nodes.Pipeline:
        at = self._peek(spaces=False).at
        declared: list[nodes.Variable] = []
        assigns = self._declarations(context, declared)
        commands: list[nodes.Command] = []
        while True:
            token = self._peek(spaces=False)
            if token.kind == end:
                self._next(spaces=False)
                break
            if token.kind not in _OPERANDS:
                self._next(spaces=False)
                self._unexpected(token, context)
            commands.append(self._command())
        if not commands:
            raise self._error(f"missing value for {context}")
        for stage, command in enumerate(commands[1:], 2):
            if isinstance(command.arguments[0], _FIXED):
                raise self._error(f"non executable command in pipeline stage {stage}")
        return nodes.Pipeline(at, tuple(declared), assigns, tuple(commands))

    def _declarations(self, context: str, declared: list[nodes.Variable]) -> bool:
        """Read `$x :=`, `$x =` or `$i, $x :=` into `declared`; return whether it is an assignment."""
        while self._peek(spaces=False).kind == "variable":
            before = self._at
            variable = self._next(spaces=False)
            following = self._peek(spaces=False)
            if following.kind not in ("assign", "declare") and following.text != ",":
                self._at = before
                return False
            self._next(spaces=False)
            declared.append(nodes.Variable(variable.at, (variable.text,)))
            self._variables.append(variable.text)
            if following.kind in ("assign", "declare"):
                return following.kind == "assign"
            if context != "range" or len(declared) > 1:
                raise self._error(f"too many declarations in {context}")
            if self._peek(spaces=False).kind not in ("variable", "right", "close"):
                raise self._error("range can only initialize variables")
        return False

    def _command(self) -> nodes.Command:
        at = self._peek(spaces=False).at
        arguments = []
        while True:
            operand = self._operand()
            if operand is not None:
                arguments.append(operand)
            token = self._peek()
            if token.kind in ("right", "close"):
                break
            self._next()
            if token.kind == "pipe":
                break
            if token.kind != "space":
                self._unexpected(token, "operand")
        if not arguments:
            raise self._error("empty command")
        return nodes.Command(at, tuple(arguments))

    def _operand(self) -> Any:
        node = self._term()
        if node is None or self._peek().kind != "field":
            return node
        at = self._peek().at
        names: list[str] = []
        while self._peek().kind == "field":
            names.append(self._next().text[1:])
        if isinstance(node, nodes.Field | nodes.Variable):
            return type(node)(at, (*node.names, *names))
        if isinstance(node, _FIXED):
            raise self._error(f"unexpected . after term {quote(str(node))}")
        return nodes.Chain(at, node, tuple(names))

    def _term(self) -> Any:
        token = self._peek(spaces=False)
        if token.kind not in _OPERANDS:
            self._next_spaces()
            return None
        self._next(spaces=False)
        if token.kind == "identifier":
            if token.text not in self._functions:
                raise self._error(f"function {quote(token.text)} not defined")
            return nodes.Identifier(token.at, token.text)
        if token.kind == "variable":
            if token.text not in self._variables:
                raise self._error(f"undefined variable {quote(token.text)}")
            return nodes.Variable(token.at, (token.text,))
        if token.kind == "open":
            return self._pipeline("parenthesized pipeline", "close")
        if token.kind == "field":
            return nodes.Field(token.at, (token.text[1:],))
        return self._constant(token)

    def _next_spaces(self) -> None:
        while self._peek().kind == "space":
            self._next()

    def _constant(self, token: Token) -> Any:
        if token.kind == "dot":
            return nodes.Dot(token.at)
        if token.kind == "nil":
            return nodes.Nil(token.at)
        if token.kind == "bool":
            return nodes.Literal(token.at, token.text, token.text == "true", "bool")
        if token.kind in ("quoted", "raw"):
            return nodes.Literal(token.at, token.text, self._unquoted(token), "string")
        try:
            return nodes.Literal(token.at, token.text, number(token.text), "number")
        except ValueError as error:
            raise self._error(str(error)) from None


@value
class _End:
    """The end of a list: `end` or `else`."""

    kind: str
    at: int

    def __str__(self) -> str:
        return f"{{{{{self.kind}}}}}"
