"""Memory of mapped files that others map: LMDB maps each file that it reads, and keeps what it has read.

A page of a shared mapping that leaves the process stays in the page cache. So this is safe at any time, also while
other threads read the file, and costs a page fault for what is read again.
"""

from __future__ import annotations

_DONTNEED = 4  # MADV_DONTNEED of <sys/mman.h>


def forget_pages(inode: int) -> None:
    """Drop the pages of all shared mappings of a file from the memory of this process. Without /proc: nothing."""
    import ctypes  # 5 ms

    try:
        with open("/proc/self/maps", "rb") as maps:
            found = [line.split(None, 5) for line in maps]
    except OSError:
        return
    madvise = ctypes.CDLL(None).madvise
    madvise.argtypes = (ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int)
    for fields in found:
        if len(fields) > 5 and fields[1].endswith(b"s") and int(fields[4]) == inode:
            start, end = (int(text, 16) for text in fields[0].split(b"-"))
            madvise(start, end - start, _DONTNEED)
