"""Instructions with their variables replaced, quotes removed and escapes undone.

These are expanded: the values of ADD, COPY (not --from), ENV, EXPOSE, LABEL, STOPSIGNAL, USER, VOLUME, WORKDIR, the
defaults of ARG, and the values in RUN --mount; heredocs of COPY and ADD whose delimiter is unquoted. FROM is expanded
by `GlobalScope.expand_from`. All other text is for the shell in the container, or stays unchanged.

Source: Dockerfile reference, "Environment replacement"; BuildKit frontend/dockerfile/instructions/commands.go.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar, cast

from rootlay.store.model.value import replace
from rootlay.vfs.build.language import instruction as tree
from rootlay.vfs.build.language.errors import BadDockerfile, BadValue
from rootlay.vfs.build.language.lexer import Lexer, Room
from rootlay.vfs.build.language.mount import expand_mount, parse_mounts
from rootlay.vfs.build.language.port import parse_ports
from rootlay.vfs.build.language.scope import Scope
from rootlay.vfs.build.language.syntax import Heredoc, Pair

AnyInstruction = TypeVar("AnyInstruction", bound=tree.Instruction)
CopyOrAdd = TypeVar("CopyOrAdd", tree.Copy, tree.Add)
_FILES_LONGEST = 16 << 20  # as much as a Dockerfile can be


def expand(instruction: AnyInstruction, scope: Scope) -> AnyInstruction:
    """Return an instruction of the same class with final strings.

    Raises:
        BadDockerfile: a substitution that is wrong, `${NAME:?message}` without a value, or a value that is wrong.
    """
    expander = _EXPANDERS.get(type(instruction))
    if expander is None:
        return instruction
    try:
        return cast(AnyInstruction, expander(instruction, scope))
    except BadValue as error:
        source = instruction.source
        raise BadDockerfile(
            source.file, source.first_line, instruction.keyword, error.reason, error.suggestion
        ) from None


def _words(scope: Scope) -> Callable[[str], str]:
    lexer = Lexer(scope.escape)
    return lambda text: lexer.word(text, scope.variables)


def _maybe(word: Callable[[str], str], text: str | None) -> str | None:
    return None if text is None else word(text) or None


def _files(instruction: tree.Copy | tree.Add, scope: Scope) -> tuple[Heredoc, ...]:
    # The escape directive does not matter (BuildKit).
    lexer = Lexer("\\", skip_quotes=True, longest=_FILES_LONGEST, room=Room(_FILES_LONGEST))
    return tuple(
        replace(file, content=lexer.word(file.content, scope.variables)) if file.expands else file
        for file in instruction.files
    )


def _sources(instruction: CopyOrAdd, scope: Scope) -> CopyOrAdd:
    word = _words(scope)
    return replace(
        instruction,
        paths=tuple(map(word, instruction.paths)),
        destination=word(instruction.destination),
        files=_files(instruction, scope),
        chown=_maybe(word, instruction.chown),
        chmod=_maybe(word, instruction.chmod),
        exclude=tuple(map(word, instruction.exclude)),
    )


def _add(instruction: tree.Add, scope: Scope) -> tree.Add:
    expanded = _sources(instruction, scope)
    return replace(expanded, checksum=_maybe(_words(scope), instruction.checksum))


def _run(instruction: tree.Run, scope: Scope) -> tree.Run:
    word = _words(scope)
    mounts = tuple(expand_mount(mount, word) for mount in instruction.mounts)
    parse_mounts(mounts)
    return replace(instruction, mounts=mounts)


def _pairs(instruction: tree.Env | tree.Label, scope: Scope) -> tree.Instruction:
    word = _words(scope)
    pairs = tuple(Pair(word(pair.key), word(pair.value or "")) for pair in instruction.pairs)
    if not all(pair.key for pair in pairs):
        raise BadValue("a name is empty after expansion")
    return replace(instruction, pairs=pairs)


def _arg(instruction: tree.Arg, scope: Scope) -> tree.Arg:
    return replace(instruction, pairs=tuple(Pair(*pair) for pair in scope.arg_values(instruction)))


def _expose(instruction: tree.Expose, scope: Scope) -> tree.Expose:
    lexer = Lexer(scope.escape)
    words = [word for port in instruction.ports for word in lexer.words(port, scope.variables)]
    return replace(instruction, ports=tuple(dict.fromkeys(port for word in words for port in parse_ports(word))))


def _volume(instruction: tree.Volume, scope: Scope) -> tree.Volume:
    paths = tuple(map(_words(scope), instruction.paths))
    if not all(paths):
        raise BadValue("a volume's path is empty after expansion")
    return replace(instruction, paths=paths)


def _user(instruction: tree.User, scope: Scope) -> tree.User:
    return replace(instruction, user=_words(scope)(instruction.user))


def _workdir(instruction: tree.Workdir, scope: Scope) -> tree.Workdir:
    return replace(instruction, path=_words(scope)(instruction.path))


def _stopsignal(instruction: tree.Stopsignal, scope: Scope) -> tree.Stopsignal:
    return replace(instruction, signal=_words(scope)(instruction.signal))


_EXPANDERS: dict[type[tree.Instruction], Callable[[Any, Scope], tree.Instruction]] = {
    tree.Add: _add,
    tree.Arg: _arg,
    tree.Copy: _sources,
    tree.Env: _pairs,
    tree.Expose: _expose,
    tree.Label: _pairs,
    tree.Run: _run,
    tree.Stopsignal: _stopsignal,
    tree.User: _user,
    tree.Volume: _volume,
    tree.Workdir: _workdir,
}
