"""The files of the dashboard as they are sent: read once, packed once, each with its tag.

uPlot is the only one that is not ours: it comes from the installed, pinned wheel, which is never imported (its Python
asks for IPython).
"""

import gzip
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib.metadata import files
from pathlib import Path

PAGE = "index.html"
UPLOT = "uplot.js"
STATIC = Path(__file__).parent / "static"
_MEDIA_TYPES = {
    ".css": "text/css; charset=utf-8",
    ".html": "text/html; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
}


@dataclass(frozen=True, slots=True)
class Asset:
    """``packed``: the same by gzip."""

    content: bytes
    packed: bytes
    media_type: str


@cache
def assets() -> Mapping[str, Asset]:
    """All there are, by name. FileNotFoundError where the wheel of uPlot is not installed."""
    ours = {file.name: _asset(file) for file in STATIC.iterdir() if file.suffix in _MEDIA_TYPES}
    return ours | {UPLOT: _asset(uplot_file())}


def uplot_file() -> Path:
    """uPlot as one script, in the installed wheel."""
    for file in files("uplot-python") or ():
        if file.name == "uPlot.iife.js":
            return Path(str(file.locate()))
    message = "the package uplot-python has no uPlot.iife.js"
    raise FileNotFoundError(message)


def _asset(file: Path) -> Asset:
    content = file.read_bytes()
    # Without a time stamp, so that the same file is always the same bytes.
    return Asset(content, gzip.compress(content, 9, mtime=0), _MEDIA_TYPES[file.suffix])
