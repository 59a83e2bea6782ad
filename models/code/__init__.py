"""A variant as plain PyTorch: one file that needs nothing of ours. Text alone: no torch is loaded to write it.

``pieces/`` holds what such files are made of, real code that is read and never imported here.
"""

from models.code.program import Origin, program

__all__ = ["Origin", "program"]
