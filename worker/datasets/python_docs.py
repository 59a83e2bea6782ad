"""Windows of the text of Python's own help, to say the next character at every step."""

import numpy as np

from models.specs.dataset import PythonDocsSpec
from models.specs.datasets_real import docs_text, docs_vocabulary
from worker.datasets.split import Arrays


def arrays(spec: PythonDocsSpec, _seed: int) -> Arrays:
    """x and y (cases, length): tokens are places in the sorted characters, and y is x one character on."""
    place = {character: token for token, character in enumerate(docs_vocabulary())}
    tokens = np.array([place[character] for character in docs_text()], dtype=np.int64)
    cases = (len(tokens) - 1) // spec.length
    used = cases * spec.length
    return Arrays(tokens[:used].reshape(cases, -1), tokens[1 : used + 1].reshape(cases, -1))
