"""Random numbers by purpose: a generator per (seed, purpose), so that one draw more never shifts another.

One layer or remedy more changes neither the other layers' weights and dropout nor the order of the data. So two runs
under one seed differ by the remedy alone.
"""

import hashlib

import torch


def derived_seed(seed: int, *purpose: object) -> int:
    """63 bits from the run's seed and a purpose, the same on every machine."""
    text = ":".join([str(seed), *map(str, purpose)])
    return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=8).digest(), "big") >> 1


def generator(seed: int, *purpose: object, device: torch.device | str = "cpu") -> torch.Generator:
    """A fresh generator for one purpose. Weights and data order are drawn on the CPU: alike on every device."""
    return torch.Generator(device=device).manual_seed(derived_seed(seed, *purpose))
