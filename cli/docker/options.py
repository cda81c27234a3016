"""Options that many of Docker's verbs share."""

from __future__ import annotations

from rootlay.cli.spec import Option

FORMAT = Option(
    ("-f", "--format"),
    "text",
    "Output by a Go template: `table TEMPLATE`, `json`, or a template such as {{.ID}} for each object.",
    "TEMPLATE",
)
LIST_FORMAT = Option(("--format",), FORMAT.kind, FORMAT.help, FORMAT.metavar)
FILTER = Option(("-f", "--filter"), "many", "Show only what fits, e.g. label=KEY=VALUE; repeatable.", "NAME=VALUE")
PRUNE_FILTER = Option(
    ("--filter",), "many", "Remove only what fits: until=24h, label=KEY, label!=KEY=VALUE; repeatable.", "NAME=VALUE"
)
NO_TRUNC = Option(("--no-trunc",), "flag", "Do not truncate output.")
QUIET = Option(("-q", "--quiet"), "flag", "IDs only.")
FORCE = Option(("-f", "--force"), "flag", "Do not prompt for confirmation.")
JSON = Option(("--json",), "flag", "As JSON, in the form of rootlay itself.")
NO_CONTENT_TRUST = Option(
    ("--disable-content-trust",),
    "flag",
    "Skip the verification of signatures (default: true).",
    default=True,
    accepted="images are verified by their digests",
    refused="signatures of content trust are not verified; use a digest: NAME@sha256:…",
)
SWARM_ONLY = "only cluster volumes have it, and rootlay has no swarm; leave it out"
