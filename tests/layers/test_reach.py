"""The arithmetic of receptive fields, by the formula and by hand."""

import pytest

from legato.layers.reach import PIXEL, Reach


@pytest.mark.parametrize("layers", [[(3, 1)] * 3, [(11, 4), (3, 2), (5, 1)], [(7, 2), (3, 2), (1, 1), (3, 2)]])
def test_windows_follow_the_formula(layers):
    """r ← r + (k − 1) j and j ← j s (Araujo et al. 2019, equation 2)."""
    field, jump, reach = 1, 1, PIXEL
    for kernel, stride in layers:
        field, jump = field + (kernel - 1) * jump, jump * stride
        reach = reach.window(kernel, stride)
    assert (reach.size, reach.advance, reach.period) == (field, jump, 1)


def test_padding_moves_the_first_position_to_the_left():
    assert PIXEL.window(3, 1, 1).at(0) == (-1, 1)
    assert PIXEL.window(3, 2, 1).at(5) == (9, 11)
    assert PIXEL.window(3, 1, 0, dilation=4).at(2) == (2, 10)


def test_a_transposed_convolution_repeats_with_its_stride():
    up = PIXEL.stamps(4, 2, 1)
    assert (up.period, up.advance, up.size) == (2, 1, 2)
    assert [up.at(o) for o in range(4)] == [(-1, 0), (0, 1), (0, 1), (1, 2)]
    assert up.window(4, 2, 1) == Reach((-1,), (1,), 1)  # and the way back


def test_branches_see_what_either_sees():
    both = PIXEL.window(1).beside(PIXEL.window(5, 1, 2))
    assert both.at(10) == (8, 12)
    fine, coarse = PIXEL, PIXEL.window(2, 2).stamps(2, 2)
    assert fine.beside(coarse) == Reach((0, 0), (1, 1), 2)
    assert not PIXEL.keeps_pace(PIXEL.window(1, 2))


def test_what_sees_all_sees_the_same_everywhere():
    everything = PIXEL.window(3, 1, 1).whole(8)
    assert everything.at(0) == everything.at(5) == (-1, 8)
    assert everything.window(3, 2).size == 10
