"""From anybody's network to a spec that a clinic can try: ``describe``."""
