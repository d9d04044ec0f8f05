"""Which input pixels a place of a map can see, along one axis: exactly, through strides, branches and up-sampling."""

from math import gcd, lcm
from typing import NamedTuple


class Reach(NamedTuple):
    """Position i of a map sees the input pixels first[i] … last[i], and `period` positions further on, all is moved by
    `advance` pixels. Padding counts as pixels outside the picture: negative numbers at its left.

    Behind convolutions and pools alone the period is 1 and `advance` the product of their strides; a transposed
    convolution multiplies the period. A period of 1 that does not advance sees the same everywhere, as a `Linear` does.
    """

    first: tuple[int, ...]
    last: tuple[int, ...]
    advance: int

    @property
    def period(self) -> int:
        return len(self.first)

    @property
    def size(self) -> int:
        """Pixels from the first to the last, both included, where they are most: the receptive field."""
        return max(last - first for first, last in zip(self.first, self.last)) + 1

    def at(self, position: int) -> tuple[int, int]:
        turns, phase = divmod(position, self.period)
        return self.first[phase] + turns * self.advance, self.last[phase] + turns * self.advance

    def window(self, size: int, stride: int = 1, padding: int = 0, dilation: int = 1) -> "Reach":
        """What a convolution or a pool sees that reads positions o·stride − padding + t·dilation, 0 ≤ t < size."""
        period = self.period // gcd(self.period, stride)
        starts = [o * stride - padding for o in range(period)]
        return Reach(
            first=tuple(self.at(start)[0] for start in starts),
            last=tuple(self.at(start + dilation * (size - 1))[1] for start in starts),
            advance=self.advance * stride * period // self.period,
        )

    def stamps(self, size: int, stride: int = 1, padding: int = 0, dilation: int = 1) -> "Reach":
        """What a transposed convolution sees: o reads those i for which o = i·stride − padding + t·dilation."""
        places = [o + padding for o in range(self.period * stride)]
        return Reach(
            # a place between stamps, where stride > size, reads nothing; it counts as reading its neighbour
            first=tuple(self.at(min(-(-(o - dilation * (size - 1)) // stride), o // stride))[0] for o in places),
            last=tuple(self.at(o // stride)[1] for o in places),
            advance=self.advance,
        )

    def whole(self, length: int) -> "Reach":
        """What sees all `length` positions at once."""
        return Reach((self.at(0)[0],), (self.at(length - 1)[1],), 0)

    def keeps_pace(self, other: "Reach") -> bool:
        return self.advance * other.period == other.advance * self.period

    def beside(self, other: "Reach") -> "Reach":
        """What sees this and the other, at equal positions of two maps that keep pace (branches, skips)."""
        period = lcm(self.period, other.period)
        pairs = [(self.at(o), other.at(o)) for o in range(period)]
        return Reach(
            first=tuple(min(a[0], b[0]) for a, b in pairs),
            last=tuple(max(a[1], b[1]) for a, b in pairs),
            advance=self.advance * period // self.period,
        )


PIXEL = Reach((0,), (0,), 1)  # of the picture itself
