"""Write docs/coming-from-apptainer.md from the tables of the face.

python docs/make_apptainer.py            # with rootlay installed; writes docs/coming-from-apptainer.md
"""

from __future__ import annotations

import sys
from pathlib import Path

from rootlay.cli.apptainer.face import COMMANDS, REFUSED
from rootlay.cli.apptainer.report import VERSION

HEAD = f"""# Coming from Apptainer

Made by `python docs/make_apptainer.py` from the tables of the face; a test keeps it up to date. `rootlay \
apptainer-link DIR` makes `apptainer` and `singularity` commands in a directory. They have the command line of \
Apptainer {VERSION}; [workflows](howto/workflows.md) shows them with Snakemake and cwltool.

Each option works, or is accepted because it has no effect here, or is refused with a message.

What is the same: programs run as the caller, with the caller's environment, home directory, `/tmp`, `/var/tmp` and \
working directory; the image is read-only; `APPTAINERENV_NAME` and `SINGULARITYENV_NAME` set variables, \
`APPTAINER_OPTION` and `SINGULARITY_OPTION` set options; errors are lines that start with `FATAL:`, and exit with 255.

What differs:

- A `.sif` that these commands write is a [bundle](howto/bundles.md). SIF files of Apptainer contain squashfs, which \
only the kernel or FUSE can mount: they are recognized and refused. Pull such an image again from its registry.
- `oras://NAME` is such a file in a registry (pushed with `oras push HOST/NAME:TAG \
FILE:application/vnd.sylabs.sif.layer.v1.sif`), or an ordinary image. `pull` writes the file unchanged.
- `docker://NAME` uses the image of the store if it has one, as `oras://NAME` does; `--disable-cache` asks the registry.
- The home directory is `$HOME`, not that of the user database.
- A program that is not found exits with 127, one that cannot be executed with 126.
- There are no namespaces: programs see the host's processes and network. `--net --network none` works.
- `--nv` reads CDI files (`nvidia-ctk cdi generate`). `/etc/localtime` is the image's.
- `cache clean` removes unfinished downloads; images are removed with `rootlay rmi` and `rootlay prune`.
- Instances, definition files, signatures and encryption are refused.
"""


def page() -> str:
    """Return the whole page."""
    text = HEAD
    for name, command in COMMANDS.items():
        table = command.table
        expected = " ".join(argument.name.upper() for argument in table.arguments)
        text += f"\n## apptainer {name}\n\n{table.help} `apptainer {name} [OPTIONS] {expected}`\n\n"
        text += "| Option | | Meaning, or the reason |\n|---|---|---|\n"
        for option in table.options:
            flags = ", ".join(f"`{flag}`" for flag in option.flags)
            reason = option.accepted or (option.refused if option.status == "refused" else option.help)
            text += f"| {flags} | {option.status} | {reason} |\n"
    text += "\n## Refused commands\n\n| Command | Reason |\n|---|---|\n"
    return text + "".join(f"| `{name}` | {reason} |\n" for name, reason in REFUSED.items())


if __name__ == "__main__":
    target = Path(__file__).parent / "coming-from-apptainer.md"
    target.write_text(page(), encoding="utf-8")
    sys.exit(0)
