"""The build of one stage: instruction by instruction, from its base to its final image."""

from __future__ import annotations

import errno
import posixpath
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from rootlay.store.containers.record import Bind
from rootlay.store.layer.writer import WrittenLayer
from rootlay.store.model.errors import NotAnArchive, TruncatedArchive, UnsafePath, UnsupportedMedia
from rootlay.store.model.jsonfield import DOCUMENT_BYTES_MAX
from rootlay.store.model.value import replace
from rootlay.vfs.build.cache.cache import key_of
from rootlay.vfs.build.context.source import resolve
from rootlay.vfs.build.copy.contentdigest import plan_digest
from rootlay.vfs.build.copy.copy import MissingSource, absolute
from rootlay.vfs.build.copy.layerplan import Conflict, LayerPlan
from rootlay.vfs.build.copy.owner import find_owner
from rootlay.vfs.build.copyplan import plan_copy
from rootlay.vfs.build.graph import StageNode, counts_as_step, label_of
from rootlay.vfs.build.language.dockerfile import Dockerfile
from rootlay.vfs.build.language.errors import BadValue
from rootlay.vfs.build.language.expand import expand
from rootlay.vfs.build.language.instruction import Add, Arg, Cmd, Copy, Instruction, Run, Workdir
from rootlay.vfs.build.language.mount import parse_mounts
from rootlay.vfs.build.language.parser import parse_trigger
from rootlay.vfs.build.language.scope import GlobalScope, Scope
from rootlay.vfs.build.language.syntax import Heredoc
from rootlay.vfs.build.result.configure import configure, triggers_of, without_triggers, words_of
from rootlay.vfs.build.result.failure import BuildFailed, RunFailed
from rootlay.vfs.build.result.history import created_by, run_created_by
from rootlay.vfs.build.result.report import Step
from rootlay.vfs.build.result.state import ImageState
from rootlay.vfs.build.run.mounts import Mounting, MountSources
from rootlay.vfs.build.run.request import RunRequest
from rootlay.vfs.build.session import BuildSession, Shown
from rootlay.vfs.build.stagesources import StageSources
from rootlay.vfs.run.user import UnknownUser

if TYPE_CHECKING:
    from rootlay.vfs.build.run.container import RunContainer

SCRATCH = "scratch"
SCRIPT = "/run/rootlay/{}"
"""The place of a RUN's heredoc that is a program (BuildKit: /dev/pipes, but /dev is the host's here)."""
_CALLERS = (
    *(Conflict, BadValue, MissingSource, UnknownUser, EOFError),
    *(NotAnArchive, TruncatedArchive, UnsafePath, UnsupportedMedia),
)
"""Errors of an instruction, or of the objects that it names."""


class StageBuild:
    """The build of one stage.

    Args:
        states: the finished stages, by index, including those that this one needs.
    """

    def __init__(
        self,
        session: BuildSession,
        dockerfile: Dockerfile,
        node: StageNode,
        scope: GlobalScope,
        states: Mapping[int, ImageState],
    ) -> None:
        self._session = session
        self._node = node
        self._outer = scope
        self._states = states
        self._sources = StageSources(session, dockerfile, states)
        self._label = label_of(node.stage) if len(dockerfile.stages) > 1 else ""
        names = {node.stage.name or "", str(node.stage.index)}
        self._fresh = not names.isdisjoint(session.options.no_cache_stages)
        self._position = 0
        self._total = 1
        self._running: RunContainer | None = None

    def build(self) -> ImageState:
        """Build everything from FROM to the stage's end.

        Raises BuildFailed, BadDockerfile, UnknownImage, StoreNotWritable, DiskFull, EngineMissing.
        """
        self._total += sum(map(counts_as_step, self._node.stage.instructions))
        base = self._node.base
        with self._shown(f"FROM {base.image}" + (f" AS {base.name}" if base.name else "")):
            state = self._base()
        triggers = self._triggers(state)
        state = replace(state, image=replace(state.image, config=without_triggers(state.config)))
        scope = self._outer.stage(state.config.env)
        instructions = (*triggers, *self._node.stage.instructions)
        self._total += sum(map(counts_as_step, triggers))
        room = DOCUMENT_BYTES_MAX
        try:
            for instruction in instructions:
                expanded = expand(instruction, scope)
                before, state = state, self._step(expanded, state, scope)
                room -= sum(len(step.created_by) for step in state.image.history[len(before.image.history) :])
                if room < 0:
                    raise BuildFailed(instruction.source, "the image's config becomes longer than 4 MiB")
                scope = scope.after(expanded)
        finally:
            if self._running is not None:
                self._running.close()
        return state

    # ---- FROM

    def _base(self) -> ImageState:
        base = self._node.base
        if self._node.base_stage is not None:
            below = self._states[self._node.base_stage]
            return replace(below, cmd_is_own=False)
        if base.image == SCRATCH:
            return ImageState.scratch(self._session.options.platform)
        if base.image.lower() in self._session.options.contexts:
            raise BuildFailed(base.source, f"{base.image} is a context of files: FROM needs an image or a stage")
        name = self._session.options.images.get(base.image.lower(), base.image)
        image = self._session.image(name, base.platform, base.source)
        return ImageState.based_on(image.config, image.manifest.layers)

    def _triggers(self, state: ImageState) -> list[Instruction]:
        """Return the ONBUILD triggers of the base, which run first."""
        return [parse_trigger(text, f"ONBUILD of {self._node.base.image}") for text in triggers_of(state.config)]

    def _shown(self, text: str) -> Shown:
        self._position += 1
        step = Step(self._session.number(), self._label, self._position, self._total, " ".join(text.split()))
        return Shown(self._session, step)

    # ---- instructions

    def _step(self, instruction: Instruction, state: ImageState, scope: Scope) -> ImageState:
        try:
            if isinstance(instruction, Run):
                return self._run(instruction, state, scope)
            if isinstance(instruction, (Copy, Add)):
                return self._copy(instruction, state)
            if isinstance(instruction, Workdir):
                return self._workdir(instruction, state)
        except _CALLERS as error:
            raise BuildFailed(instruction.source, str(error)) from error
        except OSError as error:
            if error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EIO):
                raise
            named = f"{error.filename}: " if error.filename else ""
            raise BuildFailed(instruction.source, f"{named}{error.strerror or error}") from error
        return _configured(instruction, state)

    def _run(self, instruction: Run, state: ImageState, scope: Scope) -> ImageState:
        if not state.diff_ids:
            raise BuildFailed(instruction.source, "an image without layers has no programs to run")
        if instruction.security == "insecure" or instruction.devices:
            raise BuildFailed(
                instruction.source, "--security and --device are not supported: there are no privileges to grant"
            )
        script = instruction.script if _is_program(instruction) else None
        argv = words_of(instruction.command, state.config) if script is None else (SCRIPT.format(script.name),)
        network = instruction.network if instruction.network in ("host", "none") else self._session.options.network
        told = [(name, scope.variables[name]) for name, value in scope.args.items() if value is not None]
        with (
            self._shown(f"RUN {_command_text(instruction)}") as shown,
            self._session.store.staging() as staging,
            self._mounting(instruction, state, staging) as mounting,
        ):
            key = key_of(
                "RUN", str(state.image.chain_id), argv, sorted(scope.variables.items()), state.config.env,
                state.config.user, state.config.working_dir, network, mounting.cache_key(),
                script and script.content, self._session.epoch_ns, self._session.options.hosts,
            )  # fmt: skip

            def execute() -> WrittenLayer:
                binds = (*mounting.open(), *_script_bind(script, staging))
                request = RunRequest(argv, {**scope.run_environment, **mounting.env}, network, binds)
                return self._execute(instruction, state, request, shown.step)

            return self._made(shown, state, key, run_created_by(argv, told), execute)

    def _mounting(self, instruction: Run, state: ImageState, staging: Path) -> Mounting:
        session = self._session
        sources = MountSources(
            lambda name: self._sources.tree(name, instruction),
            lambda name, path: self._sources.digest(name, path, instruction, staging),
            session.caches, staging, session.pause, session.options.secrets, session.options.sockets,
        )  # fmt: skip
        return Mounting(parse_mounts(instruction.mounts), state.config.working_dir, sources)

    def _execute(self, instruction: Run, state: ImageState, request: RunRequest, step: Step) -> WrittenLayer:
        if self._running is None:
            self._running = self._session.run_container()
        report = self._session.report
        code = self._running.run(state, request, lambda data: report.output(step, data))
        if code:
            kept = self._running.keep() if self._session.options.keep_failed else ""
            raise RunFailed(instruction.source, code, kept, request.argv)
        return self._running.commit(state)

    def _copy(self, instruction: Copy | Add, state: ImageState) -> ImageState:
        with (
            self._shown(instruction.source.text) as shown,
            self._session.store.staging() as staging,
            plan_copy(self._session, self._sources, instruction, state, staging) as plan,
        ):
            return self._written(shown, state, plan, created_by(instruction, state.config), instruction)

    def _workdir(self, instruction: Workdir, state: ImageState) -> ImageState:
        path = _normal(absolute(instruction.path, state.config.working_dir))
        state = replace(state, image=replace(state.image, config=replace(state.config, working_dir=path)))
        text = f"WORKDIR {path}"
        if path == "/":
            return state.with_image(state.image, text)
        with self._shown(text) as shown:
            below = self._session.trees.open(state.diff_ids)
            owner = find_owner(state.config.user, below) if state.config.user else None
            with LayerPlan(below, self._session.now_ns()) as plan:
                plan.make_directories(
                    resolve(plan, path.encode("utf-8", "surrogateescape")),
                    owner.uid if owner else 0,
                    owner.gid if owner else 0,
                )
                return self._written(shown, state, plan, text, instruction)

    # ---- layers

    def _written(
        self, shown: Shown, state: ImageState, plan: LayerPlan, text: str, instruction: Instruction
    ) -> ImageState:
        """Write the layer of a plan on top of an image."""
        digest = plan_digest(plan.iter_entries(), self._session.digests)
        below = "" if plan.is_apart else str(state.image.chain_id)
        key = key_of(instruction.keyword, below, digest, self._session.epoch_ns)

        def write() -> WrittenLayer:
            with self._session.writer() as writer:
                plan.write(writer, self._session.epoch_ns)
                return writer.finish()

        return self._made(shown, state, key, text, write)

    def _made(
        self, shown: Shown, state: ImageState, key: str, text: str, make: Callable[[], WrittenLayer]
    ) -> ImageState:
        made, cached = self._session.layer(key, make, shown.step.text, fresh=self._fresh)
        self._session.count(cached=cached)
        shown.done(made.layer.descriptor.size, cached=cached)
        return state.with_layer(made.layer, text, made.created)


def _configured(instruction: Instruction, state: ImageState) -> ImageState:
    """Return the state after an instruction that changes only the config."""
    if isinstance(instruction, Arg):
        return state.with_image(state.image, created_by(instruction, state.config))
    image = configure(state.image, instruction, cmd_is_own=state.cmd_is_own)
    if image is None:
        raise BuildFailed(instruction.source, "this instruction is not supported")
    after = state.with_image(image, created_by(instruction, image.config))
    return replace(after, cmd_is_own=True) if isinstance(instruction, Cmd) else after


def _is_program(instruction: Run) -> bool:
    """Return whether a RUN is a heredoc that names its own interpreter."""
    return instruction.script is not None and instruction.script.content.startswith("#!")


def _script_bind(script: Heredoc | None, staging: Path) -> tuple[Bind, ...]:
    if script is None:
        return ()
    file = staging / "script"
    file.write_text(script.content, encoding="utf-8", errors="surrogateescape")
    file.chmod(0o755)
    return (Bind(str(file), SCRIPT.format(script.name), read_only=True),)


def _command_text(instruction: Run) -> str:
    """Return the command for the progress: with its mounts, and with a heredoc's content instead of its name."""
    return " ".join((*(f"--mount={mount}" for mount in instruction.mounts), *instruction.command.words))


def _normal(path: str) -> str:
    return posixpath.normpath("/" + path.lstrip("/"))
