"""Pages of panels and graphs: what is given is drawn, where it should be."""

import numpy as np
import pytest
import torch
from PIL import Image as pil
from PIL import ImageColor

from legato.picture.graph import Edge, Graph, Node, by_depth, chains, columns
from legato.picture.page import Bars, Field, Grid, Lines, Photo, page
from legato.picture.style import BLUE, GREY, ORANGE
from legato.picture.wall import wall


def array(drawn) -> np.ndarray:
    return np.asarray(drawn.convert("RGB")).astype(int)


def has(drawn, colour: str, least: int = 20) -> bool:
    wanted = [int(colour[k : k + 2], 16) for k in (1, 3, 5)]
    return int((array(drawn) == wanted).all(-1).sum()) >= least


def test_a_page_is_as_large_as_its_rows_and_columns():
    panel = Lines({"a": ([0, 1], [0, 1])})
    one, row, block = page([panel]), page([panel] * 3), page([panel] * 3, columns=2)
    assert row.size == (3 * one.width, one.height)
    assert block.size == (2 * one.width, 2 * one.height)
    assert page([panel], "A headline takes its place").height > one.height


@pytest.mark.parametrize("log", ["", "x", "y", "xy"])
def test_lines_are_drawn_on_any_axes_and_names_with_an_underscore_are_not_shown(log):
    drawn = page([Lines({"_hidden": ([1, 10, 100], [1, 10, 100])}, log=log)])
    assert has(drawn, BLUE)
    assert not np.array_equal(array(drawn), array(page([Lines({"shown": ([1, 10, 100], [1, 10, 100])}, log=log)])))


def test_a_grid_has_its_first_row_on_top_and_a_field_at_the_bottom():
    values = torch.zeros(8, 8)
    values[0] = 1.0
    for panel, bright_above in ((Grid(values), True), (Field(values, (0, 1, 0, 1)), False)):
        picture = array(page([panel]))
        yellow = (picture[..., 0] > 200) & (picture[..., 1] > 200) & (picture[..., 2] < 100)
        assert (np.nonzero(yellow)[0].mean() < len(picture) / 2) == bright_above


def test_a_marked_cell_has_a_frame():
    assert not np.array_equal(
        array(page([Grid(torch.eye(3), digits=0)])), array(page([Grid(torch.eye(3), digits=0, marked=[(1, 1)])]))
    )


def test_photos_keep_their_pixels_and_bars_their_lengths():
    drawn = array(page([Photo(torch.tensor([[[1.0, 0]], [[0, 1]], [[0, 0]]]))]))
    assert ((drawn == [255, 0, 0]).all(-1).sum() / (drawn == [0, 255, 0]).all(-1).sum()) == pytest.approx(1, rel=0.05)
    blue = (array(page([Bars({"long": 3.0, "short": 1.0})])) == [int(BLUE[k : k + 2], 16) for k in (1, 3, 5)]).all(-1)
    lengths = blue.sum(1)
    assert lengths.max() / lengths[lengths > 30].min() == pytest.approx(3, rel=0.05)


def test_columns_are_centred_and_depth_puts_each_node_before_what_needs_it():
    places = columns([["a", "b", "c"], ["d"]], across=2)
    assert places == {"a": (0, 1), "b": (0, 0), "c": (0, -1), "d": (2, 0)}
    at = by_depth([Edge("x", "y"), Edge("y", "z"), Edge("late", "z")], across=1)
    assert (at["x"][0], at["y"][0], at["late"][0], at["z"][0]) == (0, 1, 1, 2)


def test_a_graph_shows_nodes_edges_and_what_flows_on_them():
    nodes = {"a": Node((0, 0), "a", "note", BLUE), "b": Node((1, 0), "a word", colour=ORANGE)}
    drawn = page([Graph(nodes, [Edge("a", "b", "1.5", "-2")])], side=5)
    assert has(drawn, BLUE)
    assert has(drawn, ORANGE)
    bare = page([Graph(nodes, [Edge("a", "b")])], side=5)
    assert not np.array_equal(array(drawn), array(bare))


def test_chains_end_below_one_another():
    graph = chains({"short": [("in", GREY), ("out", BLUE)], "long": [("in", GREY), ("on", BLUE), ("out", BLUE)]})
    ends = [graph.nodes["short 1"].at[0], graph.nodes["long 2"].at[0]]
    assert ends[0] == ends[1]
    assert graph.nodes["short 0"].at[0] == graph.nodes["long 0"].at[0]
    assert len(graph.edges) == 3


def test_a_wall_hangs_each_picture_whole_at_the_shortest_column():
    shapes = {"high": ((100, 300), "red"), "low": ((200, 50), "lime"), "next": ((200, 100), "blue")}
    drawn = array(wall([(pil.new("RGB", size, colour), name) for name, (size, colour) in shapes.items()], 2, width=100))
    places = {name: np.argwhere((drawn == ImageColor.getrgb(colour)).all(-1)) for name, (_, colour) in shapes.items()}
    sizes = {name: tuple(np.ptp(where, axis=0) + 1) for name, where in places.items()}
    assert sizes == {"high": (300, 100), "low": (25, 100), "next": (50, 100)}
    left = {name: int(where[:, 1].min()) for name, where in places.items()}
    assert left["high"] < left["low"] == left["next"]
    assert places["next"][:, 0].min() > places["low"][:, 0].max()
