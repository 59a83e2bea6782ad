"""Drawings as PNG, for what shows no SVG: chats, slides, trackers of issues. On white, as these are.

resvg draws them in a process of its own (0.2 s): as a library it would keep every other request waiting meanwhile, and
hold on to the memory. Letters are DejaVu Sans wherever it runs. Both come from installed, pinned wheels, of which
nothing is imported.
"""

import math
import re
import subprocess
import threading
from functools import cache
from importlib.metadata import files
from typing import Final

ZOOM: Final = 2.0
"""Pixels for each unit of a drawing, as screens of now have them."""
MOST_PIXELS: Final = 12_000_000
LONGEST_S: Final = 30.0
_AT_ONCE = threading.BoundedSemaphore(2)
"""Each takes a core and up to 100 MB."""


def rasterised(drawing: bytes) -> bytes:
    """An SVG file of ours as PNG. ValueError where it would be too large to be read even at one pixel for a unit."""
    width, height = size_of(drawing)
    zoom = min(ZOOM, math.sqrt(MOST_PIXELS / (width * height)))
    if zoom < 1.0:
        message = f"at {width:.0f} by {height:.0f} it is too large for a PNG, which has {MOST_PIXELS:,} pixels at most"
        raise ValueError(message)
    font = ["--skip-system-fonts", "--use-font-file", _file("rinoh-typeface-dejavusans", "DejaVuSans.ttf")]
    # Squares of a map are squares: what it does not know of a style it would take for smooth.
    look = ["--background", "#ffffff", "--image-rendering", "optimizeSpeed", "--sans-serif-family", "DejaVu Sans"]
    command = [_file("resvg-cli", "resvg"), *font, *look, "--zoom", f"{zoom:.3f}", "-", "-c"]
    with _AT_ONCE:
        # The program is ours to choose, and what it reads we have drawn.
        drawn = subprocess.run(command, input=drawing, capture_output=True, check=True, timeout=LONGEST_S)  # noqa: S603
    return drawn.stdout


def size_of(drawing: bytes) -> tuple[float, float]:
    found = re.search(rb'viewBox="0 0 (\d+) (\d+)"', drawing)
    assert found is not None  # ``drawings.svg`` writes it
    return float(found[1]), float(found[2])


@cache
def _file(package: str, name: str) -> str:
    """FileNotFoundError where the wheel is not installed."""
    for file in files(package) or ():
        if file.name == name:
            return str(file.locate())
    message = f"the package {package} has no {name}"
    raise FileNotFoundError(message)
