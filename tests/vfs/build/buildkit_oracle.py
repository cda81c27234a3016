"""BuildKit's own parser, lexer and matchers (buildkit/main.go), and our answers in the same form.

A request is a dict; so is the answer: `{"error": …}`, or what `main.go` gives. `ours` answers with our code; `reduced`
brings BuildKit's answer into the same form: without what has no meaning, and with the heredocs of RUN put back into
the command as its `dispatchRun` does.
"""

from __future__ import annotations

import json
import re
import subprocess
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from rootlay.vfs.build.context import glob
from rootlay.vfs.build.context.ignore import parse_ignore
from rootlay.vfs.build.language import instruction as tree
from rootlay.vfs.build.language.errors import BadDockerfile, BadValue
from rootlay.vfs.build.language.lexer import Lexer
from rootlay.vfs.build.language.parser import parse

Request = dict[str, Any]
Answer = dict[str, Any]
_HEREDOC = re.compile(r"""\d*<<-?([^<\s'"]+|'[^'<]*'|"[^"<]*")""", re.ASCII)


class BuildKit:
    """The running oracle. Close it."""

    def __init__(self, program: Path) -> None:
        self._process = subprocess.Popen((program,), stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def ask(self, request: Request) -> Answer:
        """BuildKit's answer, reduced."""
        stdin, stdout = self._process.stdin, self._process.stdout
        assert stdin is not None
        assert stdout is not None
        stdin.write(json.dumps(request) + "\n")
        stdin.flush()
        return reduced(request, json.loads(stdout.readline()))

    def close(self) -> None:
        self._process.communicate()


def ours(request: Request) -> Answer:
    """Our answer."""
    try:
        return _ANSWERS[request["kind"]](request)
    except (BadDockerfile, BadValue) as error:
        return {"error": str(error)}


def _lex(request: Request) -> Answer:
    lexer = Lexer(
        request["escape"], request["rawquotes"], request["rawescapes"], request["skipquotes"], request["keepunset"]
    )
    found = lexer.lex(request["text"], request["env"])
    return {"word": found.text, "words": found.words}


def _match(request: Request) -> Answer:
    return {"matches": [glob.match(request["text"], path) for path in request["paths"]]}


def _ignore(request: Request) -> Answer:
    rules = parse_ignore(request["text"])
    return {"matches": [rules.excludes(path) for path in request["paths"]]}


def _parse(request: Request) -> Answer:
    found = parse(request["text"])
    return {
        "args": [[pair.key, pair.value] for arg in found.args for pair in arg.pairs],
        "stages": [
            {
                "base": stage.base.image,
                "name": stage.base.name or "",
                "platform": stage.base.platform or "",
                "commands": [_shown(instruction) for instruction in stage.instructions],
            }
            for stage in found.stages
        ],
    }


def _shown(instruction: tree.Instruction) -> list[Any]:
    source = instruction.source
    return [instruction.keyword, source.first_line, source.last_line, _value(instruction)]


def _value(instruction: tree.Instruction) -> Any:
    match instruction:
        case tree.Run(command=command):
            return [list(command.words), command.shell, instruction.network or "default"]
        case tree.Cmd(command=command) | tree.Entrypoint(command=command):
            return [list(command.words), command.shell]
        case tree.Env(pairs=pairs) | tree.Label(pairs=pairs) | tree.Arg(pairs=pairs):
            return [[pair.key, pair.value] for pair in pairs]
        case tree.Copy() | tree.Add():
            return [list(instruction.paths), instruction.destination, instruction.chown or "", instruction.chmod or "",
                    instruction.link, list(instruction.exclude), _extra(instruction),
                    [[file.name, file.content, file.expands] for file in instruction.files]]  # fmt: skip
        case tree.Healthcheck(command=command):
            test = ["NONE"] if command is None else ["CMD-SHELL" if command.shell else "CMD", *command.words]
            return [test, instruction.interval, instruction.timeout, instruction.start_period,
                    instruction.start_interval, instruction.retries]  # fmt: skip
        case tree.Expose(ports=ports):
            return sorted(ports)
        case tree.Volume(paths=paths):
            return list(paths)
        case tree.Shell(words=words):
            return list(words)
        case tree.Onbuild(trigger=trigger):
            return trigger
        case tree.User(user=text) | tree.Workdir(path=text) | tree.Stopsignal(signal=text) | tree.Maintainer(name=text):
            return text
    raise AssertionError(instruction)


def _extra(instruction: tree.Copy | tree.Add) -> list[Any]:
    if isinstance(instruction, tree.Copy):
        return [instruction.from_ or "", instruction.parents]
    return [instruction.checksum or "", instruction.keep_git_dir]


_ANSWERS = {"lex": _lex, "match": _match, "ignore": _ignore, "parse": _parse}


def reduced(request: Request, answer: Answer) -> Answer:
    """BuildKit's answer in the form of ours."""
    if "error" in answer:
        return answer
    if request["kind"] == "lex":
        return {"word": answer["word"], "words": answer["words"] or []}
    if request["kind"] != "parse":
        return answer
    return {
        "args": [[pair["Key"], pair["Value"]] for arg in answer["meta"] or () for pair in arg["Args"]],
        "stages": [
            {
                "base": stage["base"],
                "name": stage["name"],
                "platform": stage["platform"],
                "commands": [
                    [command["name"], command["first"], command["last"], _reduced(command)]
                    for command in stage["commands"] or ()
                ],
            }
            for stage in answer["stages"]
        ],
    }


def _reduced(command: Answer) -> Any:
    value = command["value"]
    match command["name"]:
        case "RUN":
            return [_run_words(value), value["PrependShell"], command["network"]]
        case "CMD" | "ENTRYPOINT":
            return [value["CmdLine"] or ([""] if value["PrependShell"] else []), value["PrependShell"]]
        case "ENV":
            return _pairs(value["Env"])
        case "LABEL":
            return _pairs(value["Labels"])
        case "ARG":
            return _pairs(value["Args"])
        case "COPY" | "ADD":
            extra = [value["From"], value["Parents"]] if "From" in value else [value["Checksum"], value["KeepGitDir"]]
            files = [[file["Path"], file["Data"], file["Expand"]] for file in value["SourceContents"] or ()]
            return [value["SourcePaths"] or [], value["DestPath"], value["Chown"], value["Chmod"], value["Link"],
                    value["ExcludePatterns"] or [], extra, files]  # fmt: skip
        case "HEALTHCHECK":
            health = value["Health"]
            names = ("Test", "Interval", "Timeout", "StartPeriod", "StartInterval", "Retries")
            return [health[name] for name in names]
        case "ONBUILD":
            return command["trigger"]
    key = {"EXPOSE": "Ports", "VOLUME": "Volumes", "SHELL": "Shell", "USER": "User", "WORKDIR": "Path",
           "STOPSIGNAL": "Signal", "MAINTAINER": "Maintainer"}[command["name"]]  # fmt: skip
    return value[key]


def _run_words(value: Answer) -> list[str]:
    """What `dispatchRun` gives the shell."""
    words: list[str] = value["CmdLine"] or ([""] if value["PrependShell"] else [])
    files = value["Files"] or ()
    if not files:
        return words
    if _HEREDOC.fullmatch(words[0]):
        data = files[0]["Data"]
        return [re.sub(r"^\t+", "", data, flags=re.MULTILINE) if files[0]["Chomp"] else data]
    return [words[0] + "".join(f"\n{file['Data']}{file['Name']}" for file in files)]


def _pairs(pairs: Iterable[Answer]) -> list[list[str | None]]:
    return [[pair["Key"], pair["Value"]] for pair in pairs]
