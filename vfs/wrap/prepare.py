"""The first start of a wrapped command after a boot: what a power failure may have left is checked.

python -m rootlay.vfs.wrap.prepare UPPER FILTER
"""

from __future__ import annotations

import contextlib
import sys
from pathlib import Path

from rootlay.vfs.run.rebootcheck import check_filters


def main(upper: str, bloom: str) -> None:
    """Complete the filter of an upper. Remove the launch files of earlier boots: their programs have ended."""
    for launch in Path(bloom).parent.glob("launch-w*"):
        with contextlib.suppress(OSError):
            launch.unlink()
    check_filters([(Path(upper), Path(bloom))])


if __name__ == "__main__":
    main(*sys.argv[1:])
