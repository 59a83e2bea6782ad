"""Text that people read in lists and logs: what it may not hold, so that it is shown as it is."""

NOT_PLAIN = r"\u0000-\u001f\u007f-\u009f\u2028\u2029\u202a-\u202e\u2066-\u2069"
"""Inside the brackets of a pattern: control characters (C0, DEL, C1), separators of lines and paragraphs, and what
turns the direction of writing (embeddings, overrides, isolates). Python, Rust and JavaScript read it alike."""
PLAIN = f"^[^{NOT_PLAIN}]+$"
