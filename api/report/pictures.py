"""Drawings of the report as files of their own, for the dashboard, chat and READMEs: SVG with its style inside.

Light or dark as the page that shows it (``prefers-color-scheme``). No script, nothing from anywhere else.
"""

from html import escape
from pathlib import Path

from api.report import palette
from api.report.drawings import svg

STYLE = (Path(__file__).parent / "picture.css").read_text() + palette.style()


def standalone(drawn: str, otherwise: str) -> bytes:
    """An inline ``<svg …>`` as a file; where nothing was drawn a line that says why."""
    text = drawn or svg(920.0, 30.0, otherwise, f'<text x="0" y="20" class="tick">{escape(otherwise)}</text>')
    head, rest = text.split(">", 1)
    named = head.replace("<svg ", '<svg xmlns="http://www.w3.org/2000/svg" ', 1)
    return f"{named}><style>{STYLE}</style>{rest}".encode()
