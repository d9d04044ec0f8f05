import numpy as np
import pytest
import torch

from legato.picture import overlays as o
from legato.values import VOID, Image, LabelMap
from legato.values import boxes as b
from legato.values import keypoints as k
from legato.values import masks as m


def grey(height: int, width: int) -> Image:
    return Image(torch.full((3, height, width), 120, dtype=torch.uint8))


def test_the_first_forty_classes_have_colours_of_their_own() -> None:
    colours = np.array([o.colour(i) for i in range(40)], float)
    apart = np.linalg.norm(colours[:, None] - colours[None], axis=-1) + 1e3 * np.eye(40)
    assert apart[:14, :14].min() > 60
    assert apart.min() > 9
    assert o.palette()[3 * VOID :] == [255, 255, 255]


@pytest.mark.parametrize("side", [200, 2000])
def test_lines_and_letters_grow_with_the_picture(side: int) -> None:
    drawn = np.asarray(o.boxes(grey(side, side), b.truth([[side // 4] * 2 + [side // 2] * 2], [1], ("cat", "dog"))))
    coloured = (drawn == o.colour(1)).all(axis=-1)
    factor = len(drawn) // side
    column = coloured[:, 3 * len(drawn) // 8]  # through the upper and lower edge of the box
    assert column.sum() / 2 >= len(drawn) / 300
    assert coloured[: side * factor // 4].sum(axis=0).max() >= len(drawn) / 50  # the tag above the box


def test_a_label_map_is_tinted_and_says_what_it_shows() -> None:
    labels = torch.zeros(100, 200, dtype=torch.uint8)
    labels[:, 100:] = 2
    labels[:20] = VOID
    drawn = np.asarray(o.label_map(grey(100, 200), LabelMap(labels, ("sky", "road", "car"))))
    assert drawn.shape[1] == 600
    assert drawn.shape[0] > 300  # the legend
    assert (drawn[30, 30] == 120).all()  # nothing known, nothing tinted
    for x, klass in ((150, 0), (450, 2)):
        expected = 0.45 * 120 + 0.55 * np.array(o.colour(klass))
        np.testing.assert_allclose(drawn[200, x], expected, atol=1)


def test_a_background_stays_as_it_is() -> None:
    labels = torch.zeros(100, 200, dtype=torch.uint8)
    labels[:, 100:] = 1
    drawn = np.asarray(o.label_map(grey(100, 200), LabelMap(labels, ("background", "road"))))
    assert (drawn[200, 150] == 120).all()
    np.testing.assert_allclose(drawn[200, 450], 0.45 * 120 + 0.55 * np.array(o.colour(1)), atol=1)
    alone = np.asarray(o.label_map(grey(100, 200), LabelMap(torch.zeros_like(labels), ("background", "road"))))
    assert alone.shape == drawn.shape  # a legend all the same


def test_left_is_blue_and_right_is_orange() -> None:
    x = torch.linspace(20, 180, 14)
    bodies = k.truth(torch.stack([x, x], dim=1), [True] * 14, k.LSP)
    drawn = np.asarray(o.skeletons(grey(200, 200), bodies))
    for name, ink in (("left wrist", o.BLUE), ("right wrist", o.VERMILLION)):
        at = 3 * int(x[k.LSP.names.index(name)])
        assert tuple(drawn[at, at]) == o.rgb(ink)


def test_instances_and_nothing_at_all() -> None:
    bitmaps = torch.zeros(1, 50, 60, dtype=torch.bool)
    bitmaps[0, 10:30, 10:40] = True
    found = m.from_bitmaps(bitmaps, [0], ("cell",))
    assert o.instances(grey(50, 60), found).size == (480, 400)
    nothing = b.truth([], [], ("cell",))
    assert (np.asarray(o.boxes(grey(500, 500), nothing)) == 120).all()
