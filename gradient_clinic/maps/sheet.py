"""The one style sheet of every page, and what a browser lets in of one: that sheet, pictures in its text, no script."""

import base64
import hashlib
from pathlib import Path
from typing import Final

STYLE: Final = Path(__file__).with_name("page.css").read_text(encoding="utf-8")


def allowed(style: str) -> str:
    """In the words of a Content-Security-Policy; ``default-src 'none'`` is for the caller to say."""
    digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
    return f"img-src data:; style-src 'sha256-{digest}'"
