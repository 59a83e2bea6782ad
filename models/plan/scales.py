"""Initialisations that look at the whole network: GPT-2's and Fixup's factors for the weights of residual branches."""

from models.specs.init import InitSpec


def branch_scales(init: InitSpec, layers: int, branches: int) -> list[float]:
    """The factor of each weight layer of one branch, in forward order, in a network of ``branches``.

    GPT-2 (Radford et al. 2019): the last by 1/√branches. Fixup (Zhang et al. 2019, arXiv:1901.09321): the last by 0,
    the others by branches^(−1/(2m − 2)), m the layers of a branch.
    """
    scales = [1.0] * layers
    if init.kind == "gpt2":
        scales[-1] = branches**-0.5
    elif init.kind == "fixup":
        scales = [branches ** (-1.0 / (2 * layers - 2)) if layers > 1 else 0.0] * layers
        scales[-1] = 0.0
    return scales


def head_scale(init: InitSpec) -> float:
    """Fixup starts the output layer at zero."""
    return 0.0 if init.kind == "fixup" else 1.0
