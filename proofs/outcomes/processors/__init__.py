"""Whether verdicts, causes and tests come out alike under other instructions, and from weights moved by 1e-6."""
