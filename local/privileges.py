"""Whose rights a server gets. PostgreSQL refuses to run as root, rightly; then an unprivileged user runs it."""

import os
import pwd
import subprocess
from dataclasses import dataclass
from pathlib import Path

from local.errors import LocalError

CANDIDATES = ("nobody", "daemon", "postgres")


@dataclass(frozen=True, slots=True)
class Account:
    name: str
    uid: int
    gid: int

    def may_enter(self, folder: Path) -> bool:
        """Whether this user gets into ``folder``: asked of the kernel, which knows every ancestor and rule."""
        return self.runs("/bin/sh", "-c", 'cd -- "$0"', str(folder))

    def runs(self, *argv: str) -> bool:
        try:
            done = subprocess.run(
                argv, user=self.uid, group=self.gid, extra_groups=[], cwd="/", check=False, capture_output=True
            )
        except OSError:  # a container may know this user by name and still not allow it
            return False
        return done.returncode == 0


def server_account() -> Account | None:
    """None for an ordinary user, who runs servers as themselves; for root the first unprivileged user there is."""
    if os.geteuid() != 0:
        return None
    for name in CANDIDATES:
        try:
            entry = pwd.getpwnam(name)
        except KeyError:
            continue
        account = Account(name, entry.pw_uid, entry.pw_gid)
        # Tried, as a container may know a user by name and not allow it.
        if account.uid != 0 and account.runs("/bin/sh", "-c", ":"):
            return account
    message = (
        f"PostgreSQL does not run as root, and none of the users {', '.join(CANDIDATES)} can run it here: "
        "start the clinic as an ordinary user, or name a server with CLINIC_DATABASE_URL"
    )
    raise LocalError(message)
