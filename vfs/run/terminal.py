"""Pseudo-terminals, for `-t` if the caller has no terminal."""

from __future__ import annotations

import os
import select

from rootlay.store.disk.smallfile import write_all


def open_terminal(rows: int = 24, columns: int = 80) -> tuple[int, int]:
    """Open a new pseudo-terminal: (main side, terminal side)."""
    import fcntl
    import struct
    import termios

    main, terminal = os.openpty()
    fcntl.ioctl(terminal, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))
    return main, terminal


def terminal_size() -> tuple[int, int]:
    """Return rows and columns of the terminal at standard input; 24 and 80 if there is none, or its size is unset."""
    try:
        columns, rows = os.get_terminal_size(0)
    except OSError:
        columns = rows = 0
    return (rows, columns) if rows and columns else (24, 80)


def resize_terminal(pid: int, rows: int, columns: int) -> bool:
    """Set the size of the terminal that a process runs on. Returns False if it has none.

    The kernel tells the programs on it by SIGWINCH.
    """
    import fcntl
    import struct
    import termios

    try:
        with open(f"/proc/{pid}/stat", "rb") as stat:
            device = int(stat.read().rsplit(b")", 1)[1].split()[4])
        major, minor = os.major(device), os.minor(device)
        if not 136 <= major <= 143:  # a pseudo-terminal: Linux, admin-guide/devices.txt
            return False
        terminal = os.open(f"/dev/pts/{(major - 136) * 256 + minor if major > 136 else minor}", os.O_RDWR | os.O_NOCTTY)
    except (OSError, IndexError):
        return False
    try:
        fcntl.ioctl(terminal, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))
    except OSError:
        return False
    finally:
        os.close(terminal)
    return True


def relay(main: int, output: int, source: int | None) -> None:
    """Copy the terminal's output to `output`, and `source` to its input, until no process has the terminal open."""
    poll = select.poll()
    poll.register(main, select.POLLIN)
    if source is not None:
        poll.register(source, select.POLLIN)
    while True:
        for fd, _ in poll.poll():
            try:
                data = os.read(fd, 65536)
            except OSError:  # EIO: no process has the terminal open any more
                data = b""
            if fd == main and not data:
                return
            if not data:
                os.write(main, b"\x04")  # end of input on a terminal
                poll.unregister(fd)
            else:
                write_all(output if fd == main else main, data)
