"""How large a map becomes under a sliding window: W' = (W − F + 2P) / S + 1."""

from legato.errors import UsageError


def output_size(
    size: int, kernel: int, stride: int = 1, padding: int = 0, dilation: int = 1, *, ceil: bool = False
) -> int:
    """Positions of a window of `kernel` pixels on a line of `size`: what PyTorch's convolutions and pools give.

    When the stride does not divide, floor drops the pixels that are left over; `ceil` lets the last window hang over
    the edge, but never start behind it. 98 pixels under windows of 3, not overlapping: 32, and 33 with `ceil`.
    """
    check(size, kernel, stride, padding, dilation)
    free = size + 2 * padding - span(kernel, dilation)
    if not ceil:
        return free // stride + 1
    positions = -(-free // stride) + 1
    starts_behind_the_edge = (positions - 1) * stride >= size + padding
    return positions - 1 if starts_behind_the_edge else positions


def explain_size(size: int, kernel: int, stride: int = 1, padding: int = 0, dilation: int = 1) -> str:
    """The formula with its numbers, and what floor and ceil make of it when the stride does not divide."""
    floor = output_size(size, kernel, stride, padding, dilation)
    free = size + 2 * padding - span(kernel, dilation)
    formula = f"({size} − {span(kernel, dilation)} + 2·{padding}) / {stride} + 1"
    if not (left := free % stride):
        return f"{formula} = {floor}"
    ceil = output_size(size, kernel, stride, padding, dilation, ceil=True)
    return f"{formula} = {free / stride + 1:.2f}: floor gives {floor} and drops {left} of the pixels, ceil gives {ceil}"


def span(kernel: int, dilation: int) -> int:
    """Pixels from the first to the last that a dilated window touches."""
    return dilation * (kernel - 1) + 1


def check(size: int, kernel: int, stride: int, padding: int, dilation: int) -> None:
    given = {"size": size, "kernel": kernel, "stride": stride, "dilation": dilation, "padding": padding}
    for name, value in given.items():
        if value < (least := 0 if name == "padding" else 1):
            raise UsageError(f"a sliding window cannot have {name} {value}: it must be at least {least}")
    if (missing := span(kernel, dilation) - size - 2 * padding) > 0:
        raise UsageError(
            f"a window over {span(kernel, dilation)} pixels does not fit into {size} with padding {padding}: "
            f"pad by {padding + -(-missing // 2)} or take a larger picture"
        )
