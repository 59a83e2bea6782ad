"""The files of the embedded PostgreSQL: programs its user can run, and a database cluster made once.

Everything lies in one home. Where root starts the clinic the programs are copied there, because the virtual
environment may lie where the unprivileged user cannot reach, or be readable by root alone.
"""

import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

from local.binaries import postgres_package
from local.errors import LocalError
from local.folder import new_password
from local.identity import is_taken, program
from local.outside import outside
from local.privileges import Account

USER = "clinic"
# Tests and trials: a password that is drawn at random needs no thousands of rounds, which each connection would take.
FORGETFUL = ("--no-sync", "--set", "scram_iterations=1")
ENVIRONMENT = {"PATH": "/usr/bin:/bin", "LC_ALL": "C"}  # none of the user's PG… variables


@dataclass(frozen=True, slots=True)
class Cluster:
    home: Path
    programs: Path
    data: Path
    password: str
    account: Account | None


def prepare(folder: Path, account: Account | None, *, durable: bool) -> Cluster:
    """The cluster that belongs to this data folder, made where there is none yet."""
    home = _home(folder, account)
    programs = _programs(home, account)
    data = home / "data"
    secret = home / "password"
    if not data.exists():
        _initialise(programs, home, account, durable=durable)
    else:
        _refuse_other_version(programs, data)
    _clear_stale_pid(data)
    return Cluster(home, programs, data, secret.read_text(), account)


def _home(folder: Path, account: Account | None) -> Path:
    reachable = account is None or account.may_enter(folder)
    home = (folder if account is None or reachable else outside(folder, account)) / "postgres"
    home.mkdir(exist_ok=True)
    home.chmod(0o700 if account is None else 0o711)
    return home


def _programs(home: Path, account: Account | None) -> Path:
    source, version = postgres_package()
    if account is None:
        return source / "pginstall" / "bin"
    copy = home / f"server-{version}"
    if not copy.exists():
        for other in home.glob("server-*"):
            shutil.rmtree(other)
        _copy(source, home / "server-new")
        # Copied beside and renamed: a copy that was cut off is never run.
        (home / "server-new").rename(copy)
    return copy / source.name / "pginstall" / "bin"


def _copy(source: Path, target: Path) -> None:
    """The wheel's folders side by side as installed, since programs find their libraries by relative paths."""
    for part in (source, source.with_name(f"{source.name}.libs")):
        if part.exists():
            shutil.copytree(part, target / part.name, ignore=shutil.ignore_patterns("include", "*.py", "__pycache__"))
    target.chmod(0o755)
    for path in target.rglob("*"):
        path.chmod(0o755 if path.is_dir() or path.parent.name == "bin" else 0o644)


def _initialise(programs: Path, home: Path, account: Account | None, *, durable: bool) -> None:
    """``initdb`` into a folder beside, renamed at the end: a cluster half made is never taken for one."""
    new, typed, password = home / "data-new", home / "password-for-initdb", new_password()
    shutil.rmtree(new, ignore_errors=True)
    new.mkdir(mode=0o700)
    # The mode first, the password after: at no moment can others read it.
    typed.touch(mode=0o600)
    typed.write_text(password)
    if account is not None:
        shutil.chown(new, account.uid, account.gid)
        shutil.chown(typed, account.uid, account.gid)
    try:
        _run_initdb(programs, new, typed, account, durable=durable)
    finally:
        typed.unlink()
    secret = home / "password"
    secret.touch(mode=0o600)
    secret.write_text(password)
    # Last: a cluster that is there has its password beside it.
    new.rename(home / "data")


def _run_initdb(programs: Path, data: Path, typed: Path, account: Account | None, *, durable: bool) -> None:
    command: list[str | Path] = [programs / "initdb", "--pgdata", data, "--username", USER, "--auth", "scram-sha-256"]
    command += ["--pwfile", typed, "--encoding", "UTF8", "--no-locale", *([] if durable else FORGETFUL)]
    done = subprocess.run(
        command,
        user=None if account is None else account.uid,
        group=None if account is None else account.gid,
        # None of root's other groups either.
        extra_groups=None if account is None else [],
        cwd=data.parent,
        env=ENVIRONMENT,
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode != 0:
        message = f"initdb failed in {data}:\n{done.stdout}{done.stderr}"
        raise LocalError(message)


def _refuse_other_version(programs: Path, data: Path) -> None:
    made_by = (data / "PG_VERSION").read_text().strip()
    answer = subprocess.run([programs / "postgres", "--version"], capture_output=True, text=True, check=True).stdout
    major = answer.split()[2].partition(".")[0]
    if made_by != major:
        message = (
            f"{data} was made by PostgreSQL {made_by}, and {major} is installed: move it away, "
            "or dump and restore it with the old programs"
        )
        raise LocalError(message)


def _clear_stale_pid(data: Path) -> None:
    """A pid file outlives a machine that lost power, and its number may by now be anybody's.

    Whatever this clinic started has been ended before. PostgreSQL clears the file itself unless a process of this
    number lives: if that is a PostgreSQL, it is not ours to end; if not, the file tells nothing any more.
    """
    file = data / "postmaster.pid"
    try:
        pid = int(file.read_text().splitlines()[0])
    except (FileNotFoundError, IndexError, ValueError):
        return
    if program(pid) == "postgres":
        message = f"a PostgreSQL that this clinic did not start (process {pid}) uses {data}: end it first"
        raise LocalError(message)
    if is_taken(pid):
        file.unlink()
