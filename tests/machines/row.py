"""Runs inside a place: the smoke tests and `rootlay doctor`, and one line of JSON about both.

python3 row.py          the last line is `@@row` and the fields of Row
"""

from __future__ import annotations

import json
import os
import subprocess
import sys

from tests.machines.smoke import MAIN, smoke


def doctor() -> tuple[int, list[dict[str, str]]]:
    """Return the exit code of `rootlay doctor` and its checks."""
    done = subprocess.run([sys.executable, *MAIN, "doctor", "--json"], capture_output=True, text=True, check=False)
    try:
        found: list[dict[str, str]] = json.loads(done.stdout)
    except ValueError:
        return done.returncode, [{"name": "doctor", "status": "fail", "text": done.stderr.strip()[-300:]}]
    return done.returncode, found


def main() -> None:
    code, checks = doctor()
    failures: list[str] = []
    refused: list[str] = []
    smoke(failures, refused)
    row = {
        "kernel": os.uname().release,
        "uid": os.geteuid(),
        "python": sys.version.partition(" (")[0],
        "doctor": code,
        "landlock": next((check["text"] for check in checks if check["name"] == "landlock"), ""),
        "notes": [f"{check['name']}: {check['text']}" for check in checks if check["status"] != "ok"] + refused,
        "failures": failures,
    }
    sys.stdout.write(f"@@row {json.dumps(row)}\n")


if __name__ == "__main__":
    main()
