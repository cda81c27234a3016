"""The state of a build after an instruction: the image so far."""

from __future__ import annotations

from collections.abc import Sequence

from rootlay.store.layer.writer import WrittenLayer
from rootlay.store.model.digest import Digest
from rootlay.store.model.imageconfig import History, ImageConfig, RunConfig
from rootlay.store.model.manifest import Descriptor, Platform
from rootlay.store.model.value import replace, value
from rootlay.vfs.build.result.history import COMMENT, settle_times
from rootlay.vfs.run.program import DEFAULT_PATH


@value
class ImageState:
    """An image without a name in the store, so far.

    Args:
        image: config, diff IDs and history; steps without a layer have no time yet.
        layers: one descriptor for each diff ID, base layer first; all are in the store.
        inherited: how many steps of the history are the base image's.
        cmd_is_own: whether the stage itself has a CMD.
    """

    image: ImageConfig
    layers: tuple[Descriptor, ...] = ()
    inherited: int = 0
    cmd_is_own: bool = False

    @classmethod
    def scratch(cls, platform: Platform) -> ImageState:
        """Return the empty image of `FROM scratch`."""
        config = RunConfig(env=(f"PATH={DEFAULT_PATH}",), working_dir="/")
        return cls(ImageConfig(platform.os, platform.architecture, platform.variant, config=config))

    @classmethod
    def based_on(cls, image: ImageConfig, layers: Sequence[Descriptor]) -> ImageState:
        """Return the state of an existing image, its ONBUILD triggers included. Without a PATH it gets the usual one,
        as in BuildKit: otherwise `ENV PATH=/x:$PATH` would remove the system's directories."""
        config = image.config
        if not any(variable.startswith("PATH=") for variable in config.env):
            image = replace(image, config=replace(config, env=(*config.env, f"PATH={DEFAULT_PATH}")))
        return cls(image, tuple(layers), len(image.history))

    @property
    def diff_ids(self) -> tuple[Digest, ...]:
        return self.image.diff_ids

    @property
    def config(self) -> RunConfig:
        return self.image.config

    def with_image(self, image: ImageConfig, created_by: str) -> ImageState:
        """Return the state after an instruction that changes only the config; without `created_by`, without history."""
        steps = (History(created_by=created_by, comment=COMMENT, empty_layer=True),) if created_by else ()
        return replace(self, image=replace(image, history=(*image.history, *steps)))

    def with_layer(self, layer: WrittenLayer, created_by: str, created: str) -> ImageState:
        """Return the state after an instruction that makes a layer; `created` in RFC 3339."""
        image = self.image.with_layer(layer.diff_id, History(created, created_by, comment=COMMENT))
        return replace(self, image=image, layers=(*self.layers, layer.descriptor))

    def finished(self) -> ImageConfig:
        """Return the config to store: every step has its time, and the image has that of the last one."""
        history = settle_times(self.image.history, self.inherited)
        created = history[-1].created if history else ""
        return replace(self.image, history=history, created=created or self.image.created)
