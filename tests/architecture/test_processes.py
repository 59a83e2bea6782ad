"""Tests start processes in one way only: another would leave behind what it has started, or wait for it for ever."""

import ast
from collections.abc import Iterator
from pathlib import Path

from tests.processes import ROOT

STARTERS = {
    "subprocess": {"Popen", "run", "call", "check_call", "check_output", "getoutput", "getstatusoutput"},
    "os": {"system", "popen", "fork", "forkpty", "posix_spawn", "posix_spawnp", "spawnl", "spawnv", "spawnve"},
    "asyncio": {"create_subprocess_exec", "create_subprocess_shell"},
    "concurrent.futures": {"ProcessPoolExecutor"},
    "multiprocessing": {"Process", "Pool", "get_context"},
    "psutil": {"Popen"},
}
THEMSELVES = {"processes.py", "limits.py"}


def starts(file: Path) -> Iterator[str]:
    """Every place where a process may be started in another way."""
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name):
            named = {(node.value.id, node.attr)}
        elif isinstance(node, ast.ImportFrom):
            named = {(node.module or "", name.name) for name in node.names}
        else:
            continue
        yield from (f"{file}:{node.lineno}: {where}.{what}" for where, what in named if what in STARTERS.get(where, ()))


def test_tests_start_processes_in_one_way(tmp_path: Path) -> None:
    another = tmp_path / "another.py"
    another.write_text("import subprocess\nfrom os import fork\nsubprocess.run(['true'])\n")
    assert len(list(starts(another))) == 2
    files = [file for file in (ROOT / "tests").rglob("*.py") if file.name not in THEMSELVES]
    assert [place for file in files for place in starts(file)] == []
