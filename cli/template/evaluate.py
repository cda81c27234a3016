"""The evaluator of Go's templates (text/template/exec.go): a syntax tree and a value to text."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from rootlay.cli.template import nodes
from rootlay.cli.template.errors import TemplateError
from rootlay.cli.template.functions import FUNCTIONS, Function
from rootlay.cli.template.gofmt import show
from rootlay.cli.template.lexer import quote
from rootlay.cli.template.parser import Parser
from rootlay.cli.template.values import MISSING, Byte, Method, StringMap, Struct, TypedNil, is_true, type_name

_DEEPEST = 100
"""Of templates that call themselves; Go's is 100000, where Python's stack has ended."""
_ABSENT: Any = object()
"""No final argument: the command is the first of its pipeline."""


class Template:
    """A parsed template.

    Raises:
        TemplateError: it cannot be parsed.
    """

    def __init__(self, text: str) -> None:
        self.text = text
        parser = Parser(text, FUNCTIONS)
        self.nodes = parser.parse()
        self.defined = parser.defined

    def execute(self, data: Any, *, functions: Mapping[str, Function] = FUNCTIONS, strict: bool = False) -> str:
        """Return the output for a value.

        Args:
            data: see `values`.
            strict: Go's `missingkey=error`: a key that a map does not have is an error.

        Raises:
            TemplateError: its message is Go's.
        """
        return _Run(self, functions, strict).run(data)


class _Leave(Exception):
    """A `break` or `continue` of a range."""

    def __init__(self, kind: str) -> None:
        self.kind = kind


class _Run:
    """One execution. `_node`: the node that an error names."""

    def __init__(self, template: Template, functions: Mapping[str, Function], strict: bool) -> None:
        self._template = template
        self._functions = functions
        self._strict = strict
        self._name = ""
        self._depth = 0
        self._node: Any = None
        self._variables: list[tuple[str, Any]] = []
        self._out: list[str] = []

    def run(self, data: Any) -> str:
        self._variables = [("$", data)]
        self._walk_all(data, self._template.nodes)
        return "".join(self._out)

    def _error(self, message: str) -> TemplateError:
        before = self._template.text[: self._node.at]
        column = len(before.rpartition("\n")[2].encode())
        where = f":{1 + before.count(chr(10))}:{column}"
        return TemplateError(f"template: {where}: executing {quote(self._name)} at <{self._node}>: {message}")

    # Nodes

    def _walk_all(self, dot: Any, body: Iterable[Any]) -> None:
        for node in body:
            self._walk(dot, node)

    def _walk(self, dot: Any, node: Any) -> None:
        self._node = node
        if isinstance(node, nodes.Text):
            self._out.append(node.text)
        elif isinstance(node, nodes.Action):
            result = self._pipeline(dot, node.pipeline)
            if not node.pipeline.declared:
                self._node = node
                self._out.append("<no value>" if result is MISSING else show(result, top=False))
        elif isinstance(node, nodes.Branch):
            self._branch(dot, node)
        elif isinstance(node, nodes.Leave):
            raise _Leave(node.kind)
        else:
            self._call_template(dot, node)

    def _branch(self, dot: Any, node: nodes.Branch) -> None:
        known = len(self._variables)
        result = self._pipeline(dot, node.pipeline)
        if node.kind == "range":
            taken = self._range(node, result, known)
        else:
            taken = is_true(result)
            if taken:
                self._walk_all(result if node.kind == "with" else dot, node.body)
        if not taken and node.otherwise is not None:
            self._walk_all(dot, node.otherwise)
        del self._variables[known:]

    def _range(self, node: nodes.Branch, result: Any, known: int) -> bool:
        """Run the body for each element; return whether there was one."""
        count = len(self._variables)
        found = False
        for key, element in self._elements(result):
            found = True
            names = node.pipeline.declared
            given = (key, element) if len(names) > 1 else (element,)
            for variable, item in zip(names, given, strict=bool(names)) if names else ():
                self._set(variable.names[0], item)
            try:
                self._walk_all(element, node.body)
            except _Leave as leave:
                if leave.kind == "break":
                    break
            finally:
                del self._variables[count:]
        del self._variables[known:]
        return found

    def _elements(self, result: Any) -> Iterable[tuple[Any, Any]]:
        if result is MISSING or (isinstance(result, TypedNil) and result.of != "pointer"):
            return ()
        if isinstance(result, list):
            return enumerate(result)
        if isinstance(result, dict):
            return ((key, result[key]) for key in sorted(result))
        if isinstance(result, int) and not isinstance(result, bool):
            return ((number, number) for number in range(result))
        raise self._error(f"range can't iterate over {show(result)}")

    def _call_template(self, dot: Any, node: nodes.Call) -> None:
        if node.name not in self._template.defined:
            raise self._error(f"template {node.quoted} not defined")
        if self._depth == _DEEPEST:
            raise self._error(f"exceeded maximum template depth ({_DEEPEST})")
        data = MISSING if node.pipeline is None else self._pipeline(dot, node.pipeline)
        outer = self._variables, self._name
        self._variables, self._name = [("$", data)], node.name
        self._depth += 1
        self._walk_all(data, self._template.defined[node.name])
        self._depth -= 1
        self._variables, self._name = outer

    # Variables

    def _get(self, name: str) -> Any:
        for known, item in reversed(self._variables):
            if known == name:
                return item
        raise self._error(f"undefined variable: {name}")

    def _set(self, name: str, item: Any) -> None:
        for position in range(len(self._variables) - 1, -1, -1):
            if self._variables[position][0] == name:
                self._variables[position] = (name, item)
                return
        raise self._error(f"undefined variable: {name}")

    # Pipelines

    def _pipeline(self, dot: Any, pipeline: nodes.Pipeline) -> Any:
        self._node = pipeline
        result = _ABSENT
        for command in pipeline.commands:
            result = self._command(dot, command, result)
            result = MISSING if result is None else result
        for variable in pipeline.declared:
            if pipeline.assigns:
                self._set(variable.names[0], result)
            else:
                self._variables.append((variable.names[0], result))
        return result

    def _command(self, dot: Any, command: nodes.Command, final: Any) -> Any:
        first = command.arguments[0]
        if isinstance(first, nodes.Identifier):
            return self._function(dot, first, command, command.arguments[1:], final)
        if isinstance(first, nodes.Field | nodes.Chain | nodes.Variable):
            return self._reference(dot, first, command.arguments, final)
        if isinstance(first, nodes.Pipeline):
            self._no_arguments(command.arguments, final)
            return self._pipeline(dot, first)
        self._node = first
        self._no_arguments(command.arguments, final)
        if isinstance(first, nodes.Dot):
            return dot
        if isinstance(first, nodes.Nil):
            raise self._error("nil is not a command")
        return first.value

    def _no_arguments(self, arguments: Sequence[Any], final: Any) -> None:
        if len(arguments) > 1 or final is not _ABSENT:
            raise self._error(f"can't give argument to non-function {arguments[0]}")

    def _reference(self, dot: Any, node: Any, arguments: Sequence[Any], final: Any) -> Any:
        """Evaluate a field, a chain of fields, or a variable."""
        self._node = node
        names = node.names
        if isinstance(node, nodes.Field):
            receiver = dot
        elif isinstance(node, nodes.Variable):
            receiver, names = self._get(names[0]), names[1:]
            if not names:
                self._no_arguments(arguments, final)
                return receiver
        else:
            if isinstance(node.of, nodes.Nil):
                raise self._error(f"indirection through explicit nil in {node}")
            receiver = self._argument(dot, "any", node.of)
        has_arguments = len(arguments) > 1 or final is not _ABSENT
        loose = isinstance(node, nodes.Field | nodes.Variable)
        for number, name in enumerate(names):
            last = number == len(names) - 1
            known = receiver.fields if isinstance(receiver, Struct) else receiver if isinstance(receiver, dict) else {}
            method = known.get(name)
            if isinstance(method, Method):
                receiver = self._method(dot, name, method, arguments[1:] if last else (), final if last else _ABSENT)
                continue
            before, receiver = receiver, self._field(name, receiver, has_arguments and last, loose)
            loose = not isinstance(before, Struct | StringMap)
        return receiver

    def _method(self, dot: Any, name: str, method: Method, arguments: Sequence[Any], final: Any) -> Any:
        """Call a method of one string."""
        given = [self._argument(dot, "string", argument) for argument in arguments]
        if final is not _ABSENT:
            given.append(self._checked(final, "string"))
        if len(given) != 1:
            raise self._error(f"wrong number of args for {name}: want 1 got {len(given)}")
        return method.call(given[0])

    def _field(self, name: str, receiver: Any, has_arguments: bool, loose: bool) -> Any:
        """Return a field of a value. `loose`: Go knows the value as an interface {} only."""
        if receiver is MISSING:
            if self._strict:
                raise self._error(f"nil data; no entry for key {quote(name)}")
            return MISSING
        if isinstance(receiver, Struct) and name in receiver.fields:
            if has_arguments:
                raise self._error(f"{name} has arguments but cannot be invoked as function")
            return receiver.get(name)
        if isinstance(receiver, dict) or (isinstance(receiver, TypedNil) and receiver.of == "map"):
            if has_arguments:
                raise self._error(f"{name} is not a method but has arguments")
            if isinstance(receiver, dict) and name in receiver:
                return receiver[name]
            if self._strict:
                raise self._error(f"map has no entry for key {quote(name)}")
            return MISSING
        if receiver is None or (isinstance(receiver, TypedNil) and receiver.of == "pointer"):
            raise self._error(f"nil pointer evaluating {type_name(receiver)}.{name}")
        kind = "interface {}" if loose and not isinstance(receiver, Struct | TypedNil) else type_name(receiver)
        raise self._error(f"can't evaluate field {name} in type {kind}")

    # Functions

    def _function(self, dot: Any, called: nodes.Identifier, node: Any, arguments: Sequence[Any], final: Any) -> Any:
        self._node = called
        name = called.name
        function = self._functions[name]
        count = len(arguments) + (final is not _ABSENT)
        fixed = len(function.takes) - function.variadic
        if function.variadic and count < fixed:
            raise self._error(f"wrong number of args for {name}: want at least {fixed} got {len(arguments)}")
        if not function.variadic and count != fixed:
            raise self._error(f"wrong number of args for {name}: want {fixed} got {count}")
        if name in ("and", "or"):
            return self._short_circuit(dot, name, arguments, final)
        kinds = function.takes + function.takes[-1:] * max(0, count - len(function.takes))
        given = [self._argument(dot, kind, argument) for kind, argument in zip(kinds, arguments, strict=False)]
        if final is not _ABSENT:
            given.append(self._checked(final, kinds[count - 1]))
        try:
            if name == "call":
                raise TemplateError(f"non-function {arguments[0]} of type {type_name(given[0])}")
            return function.call(*given)
        except TemplateError as error:
            self._node = node
            raise self._error(f"error calling {name}: {error}") from None

    def _short_circuit(self, dot: Any, name: str, arguments: Sequence[Any], final: Any) -> Any:
        result: Any = None
        for argument in arguments:
            result = self._argument(dot, "any", argument)
            if is_true(result) == (name == "or"):
                return result
        return result if final is _ABSENT else final

    def _argument(self, dot: Any, kind: str, node: Any) -> Any:
        self._node = node
        if isinstance(node, nodes.Literal):
            return self._literal(node, kind)
        if isinstance(node, nodes.Nil):
            if kind != "any":
                raise self._error(f"cannot assign nil to {kind}")
            return None
        if isinstance(node, nodes.Dot):
            result = dot
        elif isinstance(node, nodes.Identifier):
            result = self._function(dot, node, node, (), _ABSENT)
        elif isinstance(node, nodes.Pipeline):
            result = self._pipeline(dot, node)
        else:
            result = self._reference(dot, node, (node,), _ABSENT)
        return self._checked(result, kind)

    def _literal(self, node: nodes.Literal, kind: str) -> Any:
        if kind == "any":
            return node.value
        if kind == "string" and node.kind != "string":
            raise self._error(f"expected string; found {node}")
        if kind == "int" and not (node.kind == "number" and isinstance(node.value, int)):
            raise self._error(f"expected integer; found {node}")
        return node.value

    def _checked(self, result: Any, kind: str) -> Any:
        """Return a value that is an argument, if it has the parameter's type."""
        if kind == "any":
            return None if result is MISSING else result
        if result is MISSING:
            raise self._error(f"invalid value; expected {kind}")
        fits = isinstance(result, str) if kind == "string" else type(result) in (int, Byte)
        if not fits:
            raise self._error(f"wrong type for value; expected {kind}; got {type_name(result)}")
        return result
