"""The instructions of a Dockerfile: the output of the parser, and the input of the builder.

1. One frozen class per instruction. Every one has `source` (file, first and last line, the text as written) and the
   class variable `keyword`. A flag is a field; a flag that was not given is None, False or ().
2. Strings are as written: variables are not replaced yet. `vfs.build.language.expand.expand(instruction, scope)` gives
   the same class with its strings final. The reference decides which fields change: nothing in CMD, ENTRYPOINT, SHELL,
   MAINTAINER, HEALTHCHECK, ONBUILD, the command of RUN, or a heredoc with a quoted name.
3. Everything here is well-formed: the parser has raised for unknown flags, missing arguments and bad values. A value
   that depends on a variable (`COPY --chmod=$MODE`) is checked by the user of the expanded value.
4. Paths are str: file names that are not UTF-8 cannot be written in a Dockerfile.

Source: Dockerfile reference 1.19 (docs.docker.com/reference/dockerfile).
"""

from __future__ import annotations

from typing import ClassVar

from rootlay.store.model.value import value
from rootlay.vfs.build.language.syntax import Command, Heredoc, Pair, Source


@value
class Instruction:
    """The base of all instructions. Abstract."""

    source: Source

    keyword: ClassVar[str]


@value
class From(Instruction):
    """FROM [--platform=P] IMAGE [AS NAME].

    Args:
        image: an image reference, the name of an earlier stage, `scratch`, or a name of --build-context.
        name: the stage's name in lower case, None without AS.
        platform: as written; may hold variables of the global scope.
    """

    image: str
    name: str | None = None
    platform: str | None = None

    keyword: ClassVar[str] = "FROM"


@value
class Run(Instruction):
    """RUN [--mount=…]… [--network=…] [--security=…] [--device=…] COMMAND.

    Args:
        command: shell form: the whole script, heredocs put back for the shell to read ("cat <<EOF\\n…EOF"); if the
            command is one heredoc and nothing else, its content.
        mounts: the values of --mount as written; `vfs.build.language.mount.parse_mounts` makes them `Mount`s once they
            are expanded.
        network: "default", "none" or "host"; None if not given.
        security: "sandbox" or "insecure"; None if not given.
        devices: the values of --device as written.
        script: the heredoc that is the whole command, else None. If its content starts with "#!" it is run as a program
            (BuildKit mounts it at /dev/pipes/NAME), not as text for SHELL.
    """

    command: Command
    mounts: tuple[str, ...] = ()
    network: str | None = None
    security: str | None = None
    devices: tuple[str, ...] = ()
    script: Heredoc | None = None

    keyword: ClassVar[str] = "RUN"


@value
class Cmd(Instruction):
    """CMD COMMAND. `CMD []` has no words and clears an inherited one."""

    command: Command

    keyword: ClassVar[str] = "CMD"


@value
class Entrypoint(Instruction):
    """ENTRYPOINT COMMAND. `ENTRYPOINT []` has no words and clears an inherited one."""

    command: Command

    keyword: ClassVar[str] = "ENTRYPOINT"


@value
class Label(Instruction):
    """LABEL KEY=VALUE…, or the old form LABEL KEY VALUE. Quotes are removed by `expand`, as variables are replaced."""

    pairs: tuple[Pair, ...]

    keyword: ClassVar[str] = "LABEL"


@value
class Maintainer(Instruction):
    """MAINTAINER NAME (deprecated, but still the image config's `author`)."""

    name: str

    keyword: ClassVar[str] = "MAINTAINER"


@value
class Expose(Instruction):
    """EXPOSE PORT[-PORT][/PROTO]….

    Args:
        ports: as written. `expand` replaces variables, splits words, and gives each port alone with its protocol:
            "8000-8001" becomes "8000/tcp", "8001/tcp".
    """

    ports: tuple[str, ...]

    keyword: ClassVar[str] = "EXPOSE"


@value
class Env(Instruction):
    """ENV KEY=VALUE…, or the old form ENV KEY VALUE. All values of one ENV see the variables from before it."""

    pairs: tuple[Pair, ...]

    keyword: ClassVar[str] = "ENV"


@value
class Copy(Instruction):
    """COPY [flags] SOURCE… DESTINATION.

    Args:
        paths: the sources as written, without the heredocs: paths in the context, or in `from_`.
        files: the heredocs, in order; they are written after the paths, each to DESTINATION/NAME, or to DESTINATION.
        destination: as written; relative to WORKDIR; a "/" at its end means that it is a directory.
        from_: --from: a stage's name or number, an image, or a build context; None is the main context. Not expanded.
        chown: "user", "user:group", ":group", names or numbers.
        chmod: octal, or symbolic ("u=rwX,go=rX").
        link: --link; False also for --link=false.
        parents: --parents.
        exclude: the values of --exclude, in order: patterns as in .dockerignore.
    """

    paths: tuple[str, ...]
    destination: str
    files: tuple[Heredoc, ...] = ()
    from_: str | None = None
    chown: str | None = None
    chmod: str | None = None
    link: bool = False
    parents: bool = False
    exclude: tuple[str, ...] = ()

    keyword: ClassVar[str] = "COPY"


@value
class Add(Instruction):
    """ADD [flags] SOURCE… DESTINATION: as Copy, but a source may also be a URL or a git repository.

    `rootlay.vfs.build.context.remote.kind_of(path)` returns its type.

    Args:
        checksum: --checksum: "sha256:…" of a URL, or a commit's hash.
        keep_git_dir: --keep-git-dir.
        unpack: --unpack: whether archives are extracted; None without the flag: local ones are, URLs are not.
    """

    paths: tuple[str, ...]
    destination: str
    files: tuple[Heredoc, ...] = ()
    chown: str | None = None
    chmod: str | None = None
    link: bool = False
    exclude: tuple[str, ...] = ()
    checksum: str | None = None
    keep_git_dir: bool = False
    unpack: bool | None = None

    keyword: ClassVar[str] = "ADD"


@value
class Volume(Instruction):
    """VOLUME PATH… or VOLUME ["PATH", …]: the same thing, but in the JSON form a path may hold spaces."""

    paths: tuple[str, ...]

    keyword: ClassVar[str] = "VOLUME"


@value
class User(Instruction):
    """USER NAME[:GROUP], names or numbers."""

    user: str

    keyword: ClassVar[str] = "USER"


@value
class Workdir(Instruction):
    """WORKDIR PATH, relative to the WORKDIR before it."""

    path: str

    keyword: ClassVar[str] = "WORKDIR"


@value
class Arg(Instruction):
    """ARG NAME[=DEFAULT]…. A default sees the pairs before it in the same instruction."""

    pairs: tuple[Pair, ...]

    keyword: ClassVar[str] = "ARG"


@value
class Onbuild(Instruction):
    """ONBUILD INSTRUCTION.

    Args:
        trigger: the text for the image config's `OnBuild`; `parser.parse_trigger` reads it again in the next build.
        instruction: the same, parsed (it has been checked, so a bad trigger fails where it is written).
    """

    trigger: str
    instruction: Instruction

    keyword: ClassVar[str] = "ONBUILD"


@value
class Stopsignal(Instruction):
    """STOPSIGNAL NAME or NUMBER."""

    signal: str

    keyword: ClassVar[str] = "STOPSIGNAL"


@value
class Healthcheck(Instruction):
    """HEALTHCHECK NONE, or HEALTHCHECK [flags] CMD COMMAND.

    Args:
        command: None for NONE (the config's Test is then ["NONE"]).
        interval, timeout, start_period, start_interval: nanoseconds, as in the image config; 0 if not given.
        retries: 0 if not given.
    """

    command: Command | None
    interval: int = 0
    timeout: int = 0
    start_period: int = 0
    start_interval: int = 0
    retries: int = 0

    keyword: ClassVar[str] = "HEALTHCHECK"


@value
class Shell(Instruction):
    """SHELL ["PROGRAM", "ARG", …]: the program that runs shell forms from here on."""

    words: tuple[str, ...]

    keyword: ClassVar[str] = "SHELL"
