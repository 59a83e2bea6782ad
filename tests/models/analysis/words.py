"""What is asked of every sentence that is made of numbers."""

import re

MOST_WORDS = 25


def assert_short(text: str) -> None:
    """Words outside brackets, which hold figures for who wants them."""
    for sentence in re.split(r"(?<=\.)\s+(?=[A-ZΣ\d])", text):
        # A colon behind a bracket is no word.
        words = [word for word in re.sub(r"\([^()]*\)", "", sentence).split() if re.search(r"\w", word)]
        assert len(words) <= MOST_WORDS, f"{len(words)} words: {sentence}"
