"""A root file system without some of its directories: an image of a size that others measured with.

    python bench/without.py ROOTFS.tar OUT.tar usr/lib/jvm usr/share/locale …

Hard links to what is left out are left out, too.
"""

from __future__ import annotations

import sys
import tarfile
from pathlib import Path


def main() -> None:
    """Copy the tar."""
    source, target, *left_out = sys.argv[1:]
    prefixes = tuple(path.strip("/") + "/" for path in left_out)

    def is_out(name: str) -> bool:
        return (name.removeprefix("./") + "/").startswith(prefixes)

    with tarfile.open(source) as old, tarfile.open(target, "w", format=tarfile.PAX_FORMAT) as new:
        for entry in old:
            if not is_out(entry.name) and not (entry.islnk() and is_out(entry.linkname)):
                new.addfile(entry, old.extractfile(entry) if entry.isreg() else None)
    print(f"{target}: {Path(target).stat().st_size / 1e6:,.0f} MB")


if __name__ == "__main__":
    main()
