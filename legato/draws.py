"""Randomness is addressed, not consumed: a draw is a function of (seed, purpose, epoch, example, name of the draw).

Nothing has to be saved to resume, and neither workers nor machines nor the order of calls can change a number.
"""

import hashlib
from collections.abc import Sequence
from math import prod

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

# SplitMix64 (Steele, Lea & Flood 2014, "Fast splittable pseudorandom number generators", figure 15)
GOLDEN, MIX1, MIX2 = (np.uint64(n) for n in (0x9E3779B97F4A7C15, 0xBF58476D1CE4E5B9, 0x94D049BB133111EB))


def number(*address: object) -> int:
    """A 63-bit number that any change of the address changes: ("seed", 0) and ("seed", 1) have nothing in common."""
    return int.from_bytes(hashlib.blake2b(repr(address).encode(), digest_size=8).digest(), "big") >> 1


def seed_from(*address: object) -> None:
    """Set torch's own generators (dropout, initial weights) to this address.

    Those in use only: `torch.manual_seed` tells the others too, and writes down who asked, which takes a millisecond.
    """
    seed = number(*address)
    torch.default_generator.manual_seed(seed)
    if torch.cuda.is_initialized():
        torch.cuda.manual_seed_all(seed)
    if torch.backends.mps.is_available():
        torch.mps.manual_seed(seed)


def generator(*address: object) -> torch.Generator:
    """A generator of its own, for what draws many numbers one after another (the order of an epoch)."""
    return torch.Generator().manual_seed(number(*address))


class Draws:
    """The random numbers of some examples: row i belongs to examples[i] alone, whatever batch it is in.

    `draws.uniform("flip")` is (b,), `draws.normal("pca", 3)` is (b, 3); 0.1 µs a number.
    """

    def __init__(self, address: tuple[object, ...], examples: Sequence[int]) -> None:
        self.address, self.examples = address, np.asarray(examples, dtype=np.uint64)

    def __len__(self) -> int:
        return len(self.examples)

    def uniform(self, name: str, *shape: int) -> Float[Tensor, "b ..."]:
        """(b, *shape) float32 in [0, 1)."""
        count = prod(shape)
        with np.errstate(over="ignore"):  # arithmetic modulo 2⁶⁴ is the point
            z = np.uint64(number(*self.address, name)) + GOLDEN * (self.examples[:, None] + np.uint64(1))
            z = mix(z) + GOLDEN * np.arange(1, count + 1, dtype=np.uint64)
            bits = mix(z) >> np.uint64(40)  # the 24 bits a float32 in [0, 1) can hold
        values = bits.astype(np.float32) * np.float32(2**-24)
        return torch.from_numpy(values).view(len(self.examples), *shape)

    def normal(self, name: str, *shape: int) -> Float[Tensor, "b ..."]:
        """(b, *shape) float32, standard normal (Box & Muller 1958)."""
        radius = (-2 * (1 - self.uniform(f"{name}/radius", *shape)).log()).sqrt()
        return radius * (2 * torch.pi * self.uniform(f"{name}/angle", *shape)).cos()

    def integers(self, name: str, high: int, *shape: int) -> Tensor:
        """(b, *shape) int64 in [0, high)."""
        return (self.uniform(name, *shape).double() * high).long()


def mix(z: np.ndarray) -> np.ndarray:
    """SplitMix64's finalizer: every bit of z decides about every bit of the result."""
    z = (z ^ (z >> np.uint64(30))) * MIX1
    z = (z ^ (z >> np.uint64(27))) * MIX2
    return z ^ (z >> np.uint64(31))
