"""Random numbers by purpose."""

import hashlib

import torch


def derived_seed(seed: int, *purpose: object) -> int:
    """63 bits from the seed and a purpose, so that one draw more never shifts another."""
    text = ":".join(map(str, (seed, *purpose)))
    return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=8).digest(), "big") >> 1


def generator(seed: int, *purpose: object, device: torch.device | str = "cpu") -> torch.Generator:
    return torch.Generator(device=device).manual_seed(derived_seed(seed, *purpose))
