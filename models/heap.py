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
MAPPED_BYTES: Final = 32 * 1024 * 1024
"""The same for training: the most that glibc takes."""
KEPT_BYTES: Final = 1024 * 1024 * 1024
"""Free bytes at the end of the heap, beyond which training gives them back at once."""
_ARENA_MAX, _MMAP_THRESHOLD, _TRIM_THRESHOLD = -8, -3, -1


def for_answers() -> None:
    """Before threads begin: few arenas, and large blocks apart."""
    _set(_ARENA_MAX, ARENAS)
    _set(_MMAP_THRESHOLD, LARGE_BYTES)
    _set(_TRIM_THRESHOLD, LARGE_BYTES)


def for_training() -> None:
    """Before threads begin: few arenas, and what is freed is kept until ``give_back``. A step frees what the next one
    takes. In between glibc would give the end of the heap back to the system, which clears each page of it anew: an
    eighth of a recorded step of a recurrent network.
    """
    _set(_ARENA_MAX, ARENAS)
    # One of the two set would keep the other from growing by itself.
    _set(_MMAP_THRESHOLD, MAPPED_BYTES)
    _set(_TRIM_THRESHOLD, KEPT_BYTES)


def give_back() -> None:
    """Free pages inside the heap go back to the system; some milliseconds."""
    library = _glibc()
    if library is not None:
        library.malloc_trim(0)


def _set(what: int, value: int) -> None:
    library = _glibc()
    if library is not None:
        library.mallopt(what, value)


def _glibc() -> ctypes.CDLL | None:
    if sys.platform != "linux":
        return None
    library = ctypes.CDLL(None)
    return library if hasattr(library, "malloc_trim") else None  # musl has none
