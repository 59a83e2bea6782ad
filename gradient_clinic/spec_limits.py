"""What a spec takes at most, and so what a description of somebody's network can say."""

from typing import Final

MAX_WIDTH: Final = 16_384
"""Units of a layer."""
MAX_SKIP_FACTOR: Final = 100
"""By which a skip scales its branch."""
