"""The path-remapping virtual file system: images and containers for Python programs.

The public names are imported when they are first used, so that `import rootlay.vfs` costs nothing. docs/api.md is the
reference. All errors derive from `RootlayError`. A failure at a path in a container or an image is an OSError, as from
`os`; a wrong argument raises a TypeError or a ValueError.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from rootlay.store.chunks.segments import ContentUnreachable
    from rootlay.store.containers.record import Bind
    from rootlay.store.containers.upperstack import Snapshot
    from rootlay.store.disk.regularfile import NotARegularFile
    from rootlay.store.disk.userroot import NoHome
    from rootlay.store.model.containererrors import (
        AmbiguousContainer,
        BadContainerName,
        RunsElsewhere,
        SnapshotExists,
        TooManyLayers,
        UnknownSnapshot,
        UpperKeptElsewhere,
    )
    from rootlay.store.model.errors import (
        AmbiguousImage,
        BadManifest,
        BadReference,
        CaseInsensitive,
        ContainerRunning,
        CorruptStore,
        DigestMismatch,
        DiskFull,
        ForeignPlatform,
        ImageInUse,
        InputError,
        NameInUse,
        NotAnArchive,
        NotFetched,
        RootlayError,
        StillRunning,
        StoreNotWritable,
        TooLarge,
        TruncatedArchive,
        UnknownContainer,
        UnknownImage,
        UnsafePath,
        UnsupportedMedia,
        WrongPlatform,
    )
    from rootlay.store.model.oneword import NotOneWord
    from rootlay.store.registry.errors import (
        AccessDenied,
        BadRegistryAnswer,
        CredentialStoreFailed,
        NotInRegistry,
        RegistryRefused,
        RegistryUnreachable,
    )
    from rootlay.store.registry.settings import Settings as RegistrySettings
    from rootlay.store.view.build import BrokenHardLink
    from rootlay.store.volumes.volumes import BadVolumeName, UnknownVolume, VolumeInUse
    from rootlay.vfs.api.container import Container, Image
    from rootlay.vfs.api.lifecycle import Stats
    from rootlay.vfs.api.processpool import ContainerProcessPoolExecutor
    from rootlay.vfs.api.programs import Completed
    from rootlay.vfs.api.prune import Pruned
    from rootlay.vfs.api.store import Store
    from rootlay.vfs.api.whole import enter
    from rootlay.vfs.build.context.buildcontext import BadContext
    from rootlay.vfs.build.context.download import DownloadFailed
    from rootlay.vfs.build.context.git import GitFailed
    from rootlay.vfs.build.language.errors import BadDockerfile
    from rootlay.vfs.build.result.failure import BuildCancelled, BuildFailed, RunFailed
    from rootlay.vfs.changes.change import Change
    from rootlay.vfs.changes.changes import Changes, Rename
    from rootlay.vfs.changes.copyerrors import CopyRefused
    from rootlay.vfs.containers.cdi import UnknownDevice
    from rootlay.vfs.containers.create import ContainerOptions, MissingDirectory, NoCommand, TooManyMounts
    from rootlay.vfs.containers.mounting import BadVolumesFrom
    from rootlay.vfs.held.limits import Limits
    from rootlay.vfs.held.watch import Usage
    from rootlay.vfs.hook.activation import Activation, ActivationMisused
    from rootlay.vfs.hook.executor import ContextThreadPoolExecutor
    from rootlay.vfs.hook.library import HookEngineMissing
    from rootlay.vfs.hook.threads import ActivationWarning
    from rootlay.vfs.lifecycle.errors import AlreadyPaused, NotPaused, NotRunning
    from rootlay.vfs.lifecycle.status import NotAttachable
    from rootlay.vfs.overlay.overlay import Overlay
    from rootlay.vfs.plugins.fsspecfs import RootlayFileSystem
    from rootlay.vfs.pyfs.layerfs import LayerFS
    from rootlay.vfs.run.hostpath import UnsafeSource
    from rootlay.vfs.run.mounttarget import BindMismatch
    from rootlay.vfs.run.ports import PortNotFree
    from rootlay.vfs.run.program import ImpossibleProgram, NotStarted
    from rootlay.vfs.run.session import EngineMissing, ProcMissing
    from rootlay.vfs.run.user import UnknownUser
    from rootlay.vfs.sandbox.result import FileChange, Result
    from rootlay.vfs.sandbox.sandbox import Sandbox
    from rootlay.vfs.sandbox.session import SandboxSession
    from rootlay.vfs.settings.limits import LimitRefused
    from rootlay.vfs.settings.mounts import BadSubpath
    from rootlay.vfs.settings.signals import BadSignal
    from rootlay.vfs.settings.ulimits import HardLimitTooLow
    from rootlay.vfs.wrap.settings import CannotWrap

__all__ = [
    "AccessDenied",
    "Activation",
    "ActivationMisused",
    "ActivationWarning",
    "AlreadyPaused",
    "AmbiguousContainer",
    "AmbiguousImage",
    "BadContainerName",
    "BadContext",
    "BadDockerfile",
    "BadManifest",
    "BadReference",
    "BadRegistryAnswer",
    "BadSignal",
    "BadSubpath",
    "BadVolumeName",
    "BadVolumesFrom",
    "Bind",
    "BindMismatch",
    "BrokenHardLink",
    "BuildCancelled",
    "BuildFailed",
    "CannotWrap",
    "CaseInsensitive",
    "Change",
    "Changes",
    "Completed",
    "Container",
    "ContainerOptions",
    "ContainerProcessPoolExecutor",
    "ContainerRunning",
    "ContentUnreachable",
    "ContextThreadPoolExecutor",
    "CopyRefused",
    "CorruptStore",
    "CredentialStoreFailed",
    "DigestMismatch",
    "DiskFull",
    "DownloadFailed",
    "EngineMissing",
    "FileChange",
    "ForeignPlatform",
    "GitFailed",
    "HardLimitTooLow",
    "HookEngineMissing",
    "Image",
    "ImageInUse",
    "ImpossibleProgram",
    "InputError",
    "LayerFS",
    "LimitRefused",
    "Limits",
    "MissingDirectory",
    "NameInUse",
    "NoCommand",
    "NoHome",
    "NotARegularFile",
    "NotAnArchive",
    "NotAttachable",
    "NotFetched",
    "NotInRegistry",
    "NotOneWord",
    "NotPaused",
    "NotRunning",
    "NotStarted",
    "Overlay",
    "PortNotFree",
    "ProcMissing",
    "Pruned",
    "RegistryRefused",
    "RegistrySettings",
    "RegistryUnreachable",
    "Rename",
    "Result",
    "RootlayError",
    "RootlayFileSystem",
    "RunFailed",
    "RunsElsewhere",
    "Sandbox",
    "SandboxSession",
    "Snapshot",
    "SnapshotExists",
    "Stats",
    "StillRunning",
    "Store",
    "StoreNotWritable",
    "TooLarge",
    "TooManyLayers",
    "TooManyMounts",
    "TruncatedArchive",
    "UnknownContainer",
    "UnknownDevice",
    "UnknownImage",
    "UnknownSnapshot",
    "UnknownUser",
    "UnknownVolume",
    "UnsafePath",
    "UnsafeSource",
    "UnsupportedMedia",
    "UpperKeptElsewhere",
    "Usage",
    "VolumeInUse",
    "WrongPlatform",
    "enter",
]

_HOMES = {
    "AccessDenied": "rootlay.store.registry.errors",
    "Activation": "rootlay.vfs.hook.activation",
    "ActivationMisused": "rootlay.vfs.hook.activation",
    "ActivationWarning": "rootlay.vfs.hook.threads",
    "AlreadyPaused": "rootlay.vfs.lifecycle.errors",
    "AmbiguousContainer": "rootlay.store.model.containererrors",
    "AmbiguousImage": "rootlay.store.model.errors",
    "BadContainerName": "rootlay.store.model.containererrors",
    "BadContext": "rootlay.vfs.build.context.buildcontext",
    "BadDockerfile": "rootlay.vfs.build.language.errors",
    "BadManifest": "rootlay.store.model.errors",
    "BadReference": "rootlay.store.model.errors",
    "BadRegistryAnswer": "rootlay.store.registry.errors",
    "BadSignal": "rootlay.vfs.settings.signals",
    "BadSubpath": "rootlay.vfs.settings.mounts",
    "BadVolumeName": "rootlay.store.volumes.volumes",
    "BadVolumesFrom": "rootlay.vfs.containers.mounting",
    "Bind": "rootlay.store.containers.record",
    "BindMismatch": "rootlay.vfs.run.mounttarget",
    "BrokenHardLink": "rootlay.store.view.build",
    "BuildCancelled": "rootlay.vfs.build.result.failure",
    "BuildFailed": "rootlay.vfs.build.result.failure",
    "CannotWrap": "rootlay.vfs.wrap.settings",
    "CaseInsensitive": "rootlay.store.model.errors",
    "Change": "rootlay.vfs.changes.change",
    "Changes": "rootlay.vfs.changes.changes",
    "Completed": "rootlay.vfs.api.programs",
    "Container": "rootlay.vfs.api.container",
    "ContainerOptions": "rootlay.vfs.containers.create",
    "ContainerProcessPoolExecutor": "rootlay.vfs.api.processpool",
    "ContainerRunning": "rootlay.store.model.errors",
    "ContentUnreachable": "rootlay.store.chunks.segments",
    "ContextThreadPoolExecutor": "rootlay.vfs.hook.executor",
    "CopyRefused": "rootlay.vfs.changes.copyerrors",
    "CorruptStore": "rootlay.store.model.errors",
    "CredentialStoreFailed": "rootlay.store.registry.errors",
    "DigestMismatch": "rootlay.store.model.errors",
    "DiskFull": "rootlay.store.model.errors",
    "DownloadFailed": "rootlay.vfs.build.context.download",
    "EngineMissing": "rootlay.vfs.run.session",
    "FileChange": "rootlay.vfs.sandbox.result",
    "ForeignPlatform": "rootlay.store.model.errors",
    "GitFailed": "rootlay.vfs.build.context.git",
    "HardLimitTooLow": "rootlay.vfs.settings.ulimits",
    "HookEngineMissing": "rootlay.vfs.hook.library",
    "Image": "rootlay.vfs.api.container",
    "ImageInUse": "rootlay.store.model.errors",
    "ImpossibleProgram": "rootlay.vfs.run.program",
    "InputError": "rootlay.store.model.errors",
    "LayerFS": "rootlay.vfs.pyfs.layerfs",
    "LimitRefused": "rootlay.vfs.settings.limits",
    "Limits": "rootlay.vfs.held.limits",
    "MissingDirectory": "rootlay.vfs.containers.create",
    "NameInUse": "rootlay.store.model.errors",
    "NoCommand": "rootlay.vfs.containers.create",
    "NoHome": "rootlay.store.disk.userroot",
    "NotARegularFile": "rootlay.store.disk.regularfile",
    "NotAnArchive": "rootlay.store.model.errors",
    "NotAttachable": "rootlay.vfs.lifecycle.status",
    "NotFetched": "rootlay.store.model.errors",
    "NotInRegistry": "rootlay.store.registry.errors",
    "NotOneWord": "rootlay.store.model.oneword",
    "NotPaused": "rootlay.vfs.lifecycle.errors",
    "NotRunning": "rootlay.vfs.lifecycle.errors",
    "NotStarted": "rootlay.vfs.run.program",
    "Overlay": "rootlay.vfs.overlay.overlay",
    "PortNotFree": "rootlay.vfs.run.ports",
    "ProcMissing": "rootlay.vfs.run.session",
    "Pruned": "rootlay.vfs.api.prune",
    "RegistryRefused": "rootlay.store.registry.errors",
    "RegistrySettings": "rootlay.store.registry.settings:Settings",
    "RegistryUnreachable": "rootlay.store.registry.errors",
    "Rename": "rootlay.vfs.changes.changes",
    "Result": "rootlay.vfs.sandbox.result",
    "RootlayError": "rootlay.store.model.errors",
    "RootlayFileSystem": "rootlay.vfs.plugins.fsspecfs",
    "RunFailed": "rootlay.vfs.build.result.failure",
    "RunsElsewhere": "rootlay.store.model.containererrors",
    "Sandbox": "rootlay.vfs.sandbox.sandbox",
    "SandboxSession": "rootlay.vfs.sandbox.session",
    "Snapshot": "rootlay.store.containers.upperstack",
    "SnapshotExists": "rootlay.store.model.containererrors",
    "Stats": "rootlay.vfs.api.lifecycle",
    "StillRunning": "rootlay.store.model.errors",
    "Store": "rootlay.vfs.api.store",
    "StoreNotWritable": "rootlay.store.model.errors",
    "TooLarge": "rootlay.store.model.errors",
    "TooManyLayers": "rootlay.store.model.containererrors",
    "TooManyMounts": "rootlay.vfs.containers.create",
    "TruncatedArchive": "rootlay.store.model.errors",
    "UnknownContainer": "rootlay.store.model.errors",
    "UnknownDevice": "rootlay.vfs.containers.cdi",
    "UnknownImage": "rootlay.store.model.errors",
    "UnknownSnapshot": "rootlay.store.model.containererrors",
    "UnknownUser": "rootlay.vfs.run.user",
    "UnknownVolume": "rootlay.store.volumes.volumes",
    "UnsafePath": "rootlay.store.model.errors",
    "UnsafeSource": "rootlay.vfs.run.hostpath",
    "UnsupportedMedia": "rootlay.store.model.errors",
    "UpperKeptElsewhere": "rootlay.store.model.containererrors",
    "Usage": "rootlay.vfs.held.watch",
    "VolumeInUse": "rootlay.store.volumes.volumes",
    "WrongPlatform": "rootlay.store.model.errors",
    "enter": "rootlay.vfs.api.whole",
}
_FORMER = {"StoreError": "RootlayError"}
"""Names until 0.1, which will be removed after the next minor release."""


def __getattr__(name: str) -> Any:
    if name in _FORMER:
        import warnings

        warnings.warn(
            f"rootlay.vfs.{name} is deprecated: use rootlay.vfs.{_FORMER[name]}", DeprecationWarning, stacklevel=2
        )
        name = _FORMER[name]
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    import importlib

    module, _, other = _HOMES[name].partition(":")
    return getattr(importlib.import_module(module), other or name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
