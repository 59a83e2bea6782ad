"""Drawings of the report as files of their own, for the dashboard, chat and READMEs: SVG with its style inside.

Light or dark as the page that shows it (``prefers-color-scheme``). No script, nothing from anywhere else.
"""

from pathlib import Path

from api.report import palette
from api.report.drawings import svg, tick

STYLE = (Path(__file__).parent / "picture.css").read_text() + palette.style()


def standalone(drawn: str, otherwise: str, width: float) -> bytes:
    """An inline ``<svg …>`` as a file; where nothing was drawn a line as wide that says why."""
    text = drawn or svg(width, 30.0, otherwise, tick(0.0, 20.0, otherwise))
    head, rest = text.split(">", 1)
    named = head.replace("<svg ", '<svg xmlns="http://www.w3.org/2000/svg" ', 1)
    return f"{named}><style>{STYLE}</style>{rest}".encode()
