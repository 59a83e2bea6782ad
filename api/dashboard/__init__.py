"""The dashboard: static ES modules on the public API, and what serves them. It knows no experiments."""
