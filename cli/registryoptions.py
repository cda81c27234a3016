"""The shared part of the verbs that talk to registries: their options, and the settings from the environment."""

from __future__ import annotations

from pathlib import Path

from rootlay.cli.spec import Context, Option, UsageError, Values

TYPE_CHECKING = False
if TYPE_CHECKING:
    from rootlay.store.model.manifest import Platform
    from rootlay.store.registry.settings import Settings

REGISTRY_OPTIONS = (
    Option(("--plain-http",), "flag", "Allow plain HTTP (always allowed to localhost)."),
    Option(("--cacert",), "text", "Also trust the CA certificates in this file (or SSL_CERT_FILE).", "FILE"),
)
PLATFORM_OPTION = Option(
    ("--platform",),
    "text",
    "Platform to use, e.g. linux/arm64 (default: this machine's).",
    "OS/ARCH",
)
WHICH_PLATFORM_OPTION = Option(
    ("--platform",), "text", "Use only this platform of a multi-platform image (default: all).", "OS/ARCH"
)
ALL_PLATFORMS_OPTION = Option(
    ("--all-platforms",), "flag", "Fetch all platforms of a multi-platform image, with its index."
)


def settings_of(values: Values, context: Context) -> Settings:
    """Return flags, proxies, CA file, Docker's config directory, and the lowest transfer speed. Raises UsageError."""
    return _settings(context, values.text("cacert"), plain_http=values.flag("plain_http"))


def default_settings(context: Context) -> Settings:
    """Return as `settings_of`, for a verb without these options. Raises UsageError."""
    return _settings(context, None, plain_http=False)


def _settings(context: Context, ca_path: str | None, *, plain_http: bool) -> Settings:
    from rootlay.store.registry.settings import Settings

    try:
        return Settings.from_environ(context.environ, ca_file=Path(ca_path) if ca_path else None, plain_http=plain_http)
    except ValueError as error:
        raise UsageError(str(error)) from None


def one_or_all(values: Values) -> tuple[Platform | None, bool]:
    """Return `--platform`, and whether `--all-platforms` is given. Raises UsageError for both."""
    platform, every = platform_of(values), values.flag("all_platforms")
    if every and platform is not None:
        raise UsageError("--platform and --all-platforms: use only one of them")
    return platform, every


def platform_of(values: Values) -> Platform | None:
    """Return `--platform`, or None. Raises UsageError."""
    text = values.text("platform")
    if text is None:
        return None
    from rootlay.store.model.platform import parse_platform

    platform = parse_platform(text)
    if not platform.os or not platform.architecture:
        raise UsageError(f"--platform {text}: expected OS/ARCH[/VARIANT]")
    return platform
