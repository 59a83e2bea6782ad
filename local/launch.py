"""Becomes another program, with less rights and bound to the life of whoever started it.

A script of its own, run by path and without site-packages: ``launch.py PARENT DEATH_SIGNAL UID GID ARGV…`` (UID ``-``
keeps the rights). The kernel's "signal at the parent's death" is Linux only and is forgotten when rights change, so
it is asked for last. Elsewhere a killed supervisor leaves children behind; its next start ends them.
"""

import ctypes
import os
import signal
import sys

PR_SET_PDEATHSIG = 1


def drop_rights(uid: int, gid: int) -> None:
    # In this order: once root's rights are gone neither groups nor group can be changed.
    os.setgroups([])
    os.setgid(gid)
    os.setuid(uid)


def die_with(parent: int, death_signal: int) -> None:
    """Called in the child, also as the initializer of a pool: a pool's idle processes do not notice a killed parent."""
    if sys.platform != "linux":
        return
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, death_signal)
    # The parent may have ended before the kernel was asked, and then no signal will come.
    if os.getppid() != parent:
        sys.exit("the supervisor has ended before its child began")


def main() -> None:
    parent, death_signal, uid, gid, *argv = sys.argv[1:]
    if uid != "-":
        drop_rights(int(uid), int(gid))
    die_with(int(parent), int(death_signal))
    signal.signal(signal.SIGPIPE, signal.SIG_DFL)  # Python ignores it, and an exec would pass that on
    os.execv(argv[0], argv)  # noqa: S606 -- the caller's own program, no shell


if __name__ == "__main__":
    main()
