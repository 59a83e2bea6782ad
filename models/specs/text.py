"""Text that people read in lists and logs: what it may not hold, so that it is shown as it is."""

import unicodedata
from typing import Annotated

from pydantic import AfterValidator, StringConstraints

NOT_PLAIN = r"\u0000-\u001f\u007f-\u009f\u2028\u2029\u202a-\u202e\u2066-\u2069"
"""Inside the brackets of a pattern: control characters (C0, DEL, C1), separators of lines and paragraphs, and what
turns the direction of writing (embeddings, overrides, isolates). Python, Rust and JavaScript read it alike."""
PLAIN = f"^[^{NOT_PLAIN}]+$"


def _told_apart(name: str) -> str:
    if name != name.strip() or not name.isprintable() or not unicodedata.is_normalized("NFC", name):
        message = "this must have no spaces at its ends and nothing that is not seen, and be in Unicode's form NFC"
        raise ValueError(message)
    return name


OwnerName = Annotated[str, StringConstraints(pattern=PLAIN, max_length=200), AfterValidator(_told_apart)]
"""Of two owners that look alike one would be taken for the other."""
