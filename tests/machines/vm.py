"""A virtual machine that runs one command: a kernel of any architecture that qemu has, and a disk made from a tree.

The initial RAM file system holds a static busybox, the modules for the disk and INIT. The command's output and its exit
code come from the serial console.
"""

from __future__ import annotations

import re
import subprocess
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from tests.machines.debian import Kernel, module, need

INIT = """#!/bin/busybox sh
/bin/busybox mount -t proc proc /proc
/bin/busybox mount -t sysfs sys /sys
/bin/busybox mount -t devtmpfs dev /dev
for m in /modules/*; do /bin/busybox insmod $m; done
t=0; until [ -b /dev/vda ]; do /bin/busybox sleep 0.1; t=$((t+1)); [ $t -lt 100 ] || break; done
/bin/busybox mount -t ext4 -o rw,noatime /dev/vda /root
for d in proc sys dev; do /bin/busybox mkdir -p /root/$d; /bin/busybox mount --move /$d /root/$d; done
exec /bin/busybox switch_root /root /bin/sh /vm-command
"""
#: Before the command, as root in the machine.
SETUP = """mount -t tmpfs -o mode=1777 tmpfs /run; mkdir -p /dev/shm /dev/pts
mount -t tmpfs -o mode=1777 tmpfs /dev/shm
mount -t devpts devpts /dev/pts; ln -sf /proc/self/fd /dev/fd; ln -sf pts/ptmx /dev/ptmx; chmod 666 /dev/pts/ptmx
ip link set lo up 2>/dev/null; hostname machine
export PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
stty -onlcr 2>/dev/null; echo '@@start'
"""
SYSTEMS: Mapping[str, tuple[str, ...]] = {
    "arm64": ("qemu-system-aarch64", "-M", "virt", "-cpu", "max", "-append", "console=ttyAMA0"),
    "amd64": ("qemu-system-x86_64", "-M", "q35", "-cpu", "max", "-append", "console=ttyS0 no_timer_check"),
}
PACKAGES = {"arm64": "qemu-system-arm", "amd64": "qemu-system-x86"}


@dataclass(frozen=True, slots=True)
class Result:
    """What a command in a machine printed. `code` is None if the machine ended or was stopped before."""

    code: int | None
    output: str
    seconds: float
    boot_seconds: float


def archive(files: Mapping[str, tuple[int, bytes]]) -> bytes:
    """Return a cpio archive ("newc") of files by name, each with its mode and bytes."""
    out = bytearray()
    for number, (name, (mode, data)) in enumerate([*files.items(), ("TRAILER!!!", (0, b""))], 1):
        raw = name.encode() + b"\0"
        fields = (number, mode, 0, 0, 1, 0, len(data), 0, 0, 0, 0, len(raw), 0)
        out += b"070701" + b"".join(b"%08x" % field for field in fields) + raw
        out += bytes(-len(out) % 4) + data
        out += bytes(-len(out) % 4)
    return bytes(out)


def initrd(kernel: Kernel, busybox: bytes) -> bytes:
    """Return the initial RAM file system for a kernel."""
    files = dict.fromkeys(("bin", "dev", "proc", "sys", "root", "modules"), (16877, b""))
    files |= {"bin/busybox": (0o100755, busybox), "init": (0o100755, INIT.encode())}
    for number, path in enumerate(kernel.modules):
        files[f"modules/{number:02}-{path.name.partition('.')[0]}"] = (0o100644, module(path))
    return archive(files)


def disk(target: Path, tree: Path, mebibytes: int) -> Path:
    """Make an ext4 file system in a sparse file from a directory or a tar."""
    target.unlink(missing_ok=True)
    command = [need("mke2fs", "e2fsprogs"), "-q", "-t", "ext4", "-O", "^has_journal", "-m", "0", "-d", str(tree)]
    subprocess.run([*command, str(target), f"{mebibytes}M"], check=True, timeout=600)
    return target


def put(image: Path, name: str, data: bytes) -> None:
    """Write a file into the root of a file system made by disk()."""
    source = image.with_name("put")
    source.write_bytes(data)
    for script in (f"rm {name}", f"write {source} {name}"):
        subprocess.run([need("debugfs", "e2fsprogs"), "-w", "-R", script, str(image)], check=True, capture_output=True)
    source.unlink()


@dataclass(frozen=True, slots=True)
class Machine:
    """A kernel and a disk.

    Attributes:
        architecture: Debian's name.
        accelerator: of qemu; `tcg` needs no privilege.
        memory: MiB.
    """

    architecture: str
    kernel: Kernel
    image: Path
    busybox: bytes
    accelerator: str
    memory: int = 3072
    processors: int = 2

    def run(self, command: str, *, timeout: float, log: Path) -> Result:
        """Boot, run a shell command as root of the machine, and stop.

        Args:
            timeout: seconds, the boot included.
            log: gets the console's output while the machine runs.
        """
        script = f'{SETUP}({command}\n) 2>&1; echo "@@end $?"; sync; echo o > /proc/sysrq-trigger; sleep 60\n'
        put(self.image, "vm-command", script.encode())
        ram = self.image.with_name(self.image.name + ".initrd")
        ram.write_bytes(initrd(self.kernel, self.busybox))
        program, *options = SYSTEMS[self.architecture]
        options[-1] += " quiet panic=-1 loglevel=3"
        start = time.monotonic()
        with log.open("wb") as console:
            qemu = subprocess.Popen(
                [need(program, PACKAGES[self.architecture]), *options, "-accel", self.accelerator, "-nographic",
                 "-nodefaults", "-no-reboot", "-smp", str(self.processors), "-m", str(self.memory), "-serial", "stdio",
                 "-kernel", str(self.kernel.image), "-initrd", str(ram),
                 "-drive", f"file={self.image},if=virtio,format=raw,cache=unsafe"],
                stdin=subprocess.DEVNULL, stdout=console, stderr=console,
            )  # fmt: skip
            boot = _wait(qemu, log, start, timeout)
            if qemu.poll() is None:
                qemu.kill()
            qemu.wait()
        return _read(log, time.monotonic() - start, boot)


def _wait(qemu: subprocess.Popen[bytes], log: Path, start: float, timeout: float) -> float:
    """Wait for the end of the command; return the seconds until it began."""
    boot = 0.0
    while qemu.poll() is None and time.monotonic() - start < timeout:
        time.sleep(0.2)
        text = log.read_bytes()
        if not boot and b"@@start" in text:
            boot = time.monotonic() - start
        if re.search(rb"^@@end \d+", text, re.MULTILINE):
            break
    return boot


def _read(log: Path, seconds: float, boot: float) -> Result:
    text = log.read_text("utf-8", "replace").replace("\r", "")
    end = re.search(r"^@@end (\d+)", text, re.MULTILINE)
    body = text.partition("@@start\n")[2] or text
    return Result(int(end[1]) if end else None, body.partition("@@end")[0], seconds, boot)
