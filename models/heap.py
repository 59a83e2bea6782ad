"""What the C library keeps of freed memory. Linux with glibc; elsewhere nothing is done.

Every thread may have an arena of its own, up to eight per core, and each keeps what its largest answer took; and one
large block that is freed raises the size up to which later ones are kept. An API of forty threads then holds several
times what it needs.
"""

import ctypes
import sys
from typing import Final

ARENAS: Final = 2
LARGE_BYTES: Final = 256 * 1024
"""Blocks from this size on are mapped by themselves, and go back to the system when they are freed."""
_ARENA_MAX, _MMAP_THRESHOLD, _TRIM_THRESHOLD = -8, -3, -1


def keep_few_arenas(*, large_apart: bool) -> None:
    """Before threads begin. ``large_apart`` is not for training: each step's tensors would be mapped anew."""
    library = _glibc()
    if library is None:
        return
    library.mallopt(_ARENA_MAX, ARENAS)
    if large_apart:
        library.mallopt(_MMAP_THRESHOLD, LARGE_BYTES)
        library.mallopt(_TRIM_THRESHOLD, LARGE_BYTES)


def give_back() -> None:
    """Free pages inside the heap go back to the system; some milliseconds."""
    library = _glibc()
    if library is not None:
        library.malloc_trim(0)


def _glibc() -> ctypes.CDLL | None:
    if sys.platform != "linux":
        return None
    library = ctypes.CDLL(None)
    return library if hasattr(library, "malloc_trim") else None  # musl has none
