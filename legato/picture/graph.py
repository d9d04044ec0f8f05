"""Graphs: networks, computation graphs, recurrent networks unrolled. Edges say what flows on them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from legato.picture.style import BLUE, DPI, GREY, INK, VERMILLION

Place = tuple[float, float]
RADIUS = 13.0  # of a node, points
LETTER = 4.4  # points a letter of a box is wide
BEND = 0.8  # between two edges of the same nodes
FORWARDS, BACKWARDS = BLUE, VERMILLION  # the colours of values on their way there, and of gradients on their way back


class Node(NamedTuple):
    """Where it is, what stands in it, what below it. Words and what is longer than four letters stand in boxes."""

    at: Place
    label: str
    note: str = ""
    colour: str = GREY

    @property
    def circle(self) -> bool:
        return len(self.label) <= 4 and not (len(self.label) > 2 and self.label.isalpha())

    @property
    def half_width(self) -> float:
        """Points from the middle of a box to its side."""
        return LETTER * max(map(len, self.label.split("\n"))) / 2 + 6


class Edge(NamedTuple):
    """From node to node: words above and below the arrow, at a share `along` of it."""

    source: str
    target: str
    above: str = ""
    below: str = ""
    colour: str = GREY
    bend: float = 0.0
    along: float = 0.5


def columns(layers: Sequence[Sequence[str]], across: float = 1.0, down: float = 1.0) -> dict[str, Place]:
    """Places for the nodes of a layered network: a column a layer, each centred."""
    return {
        name: (across * k, down * ((len(layer) - 1) / 2 - i))
        for k, layer in enumerate(layers)
        for i, name in enumerate(layer)
    }


def by_depth(edges: Sequence[Edge], across: float = 1.6, down: float = 1.0) -> dict[str, Place]:
    """Places for the nodes of a graph without cycles: each one column before the first that needs it."""
    targets: dict[str, list[str]] = {}
    for edge in edges:
        targets.setdefault(edge.source, []).append(edge.target)
        targets.setdefault(edge.target, [])

    def height(node: str) -> int:
        return 1 + max(map(height, targets[node]), default=-1)

    deepest = max(map(height, targets))
    layers = [[node for node in targets if height(node) == deepest - k] for k in range(deepest + 1)]
    return columns(layers, across, down)


@dataclass(frozen=True)
class Graph:
    """A panel with a graph on it. Words above edges are blue (forwards), below them vermillion (backwards)."""

    nodes: Mapping[str, Node]
    edges: Sequence[Edge]
    title: str = ""
    radius: float = RADIUS  # of circles, points
    margin: float = 0.45

    def draw(self, axes: Any) -> None:
        xs, ys = zip(*(node.at for node in self.nodes.values()))
        m = self.margin
        axes.set(xlim=(min(xs) - m, max(xs) + m), ylim=(min(ys) - m - 0.1, max(ys) + m))
        axes.set_axis_off()
        for edge in apart(self.edges):
            draw_edge(axes, edge, self.nodes[edge.source], self.nodes[edge.target], self.radius)
        for node in self.nodes.values():
            draw_node(axes, node, self.radius)


def apart(edges: Sequence[Edge]) -> list[Edge]:
    """The edges, those between the same two nodes bent away from one another."""
    pairs = [edge[:2] for edge in edges]
    twins = [pairs[:k].count(pair) - (pairs.count(pair) - 1) / 2 for k, pair in enumerate(pairs)]
    return [edge._replace(bend=edge.bend + BEND * twin) for edge, twin in zip(edges, twins)]


def chains(rows: Mapping[str, Sequence[tuple[str, str]]], title: str = "", across: float = 1.3) -> Graph:
    """A row of boxes, (label, colour) each, joined by arrows, behind each name; their ends stand below one another."""
    nodes, edges = {}, []
    longest = max(map(len, rows.values()))
    for k, (name, boxes) in enumerate(rows.items()):
        nodes[name] = Node((-1.3 * across, -k), name, colour="white")
        for i, (label, colour) in enumerate(boxes):
            place = 0 if i == 0 else longest - len(boxes) + i
            nodes[f"{name} {i}"] = Node((across * place, -k), label, colour=colour)
        edges += [Edge(f"{name} {i}", f"{name} {i + 1}") for i in range(len(boxes) - 1)]
    return Graph(nodes, edges, title)


def draw_node(axes: Any, node: Node, radius: float) -> None:
    x, y = node.at
    if node.circle:
        axes.plot([x], [y], "o", markersize=2 * radius, mfc="white", mec=node.colour, mew=1.6, zorder=3)
        axes.text(x, y, node.label, ha="center", va="center", fontsize=9.5, zorder=4)
    else:
        frame = {"boxstyle": "round,pad=0.35", "facecolor": "white", "edgecolor": node.colour, "linewidth": 1.6}
        axes.text(x, y, node.label, ha="center", va="center", fontsize=8, bbox=frame, zorder=4)
    if node.note:
        place = {"ha": "center", "va": "top", "textcoords": "offset points", "fontsize": 8, "color": INK}
        axes.annotate(node.note.replace("-", "−"), (x, y), (0, -radius - 3), **place)


def draw_edge(axes: Any, edge: Edge, source: Node, target: Node, radius: float) -> None:
    from matplotlib.patches import FancyArrowPatch

    upright = abs(source.at[0] - target.at[0]) < abs(source.at[1] - target.at[1])
    shrink = [1 + (radius if node.circle or upright else node.half_width) for node in (source, target)]
    arrow = FancyArrowPatch(
        source.at, target.at, arrowstyle="-|>", mutation_scale=9, color=edge.colour, linewidth=1.1, shrinkA=shrink[0],
        shrinkB=shrink[1], connectionstyle=f"arc3,rad={edge.bend}", zorder=1,
    )  # fmt: skip
    axes.add_patch(arrow)
    (x0, y0), (x1, y1) = source.at, target.at
    middle = (x0 + edge.along * (x1 - x0), y0 + edge.along * (y1 - y0))
    across, up = (axes.transData.transform(target.at) - axes.transData.transform(source.at)) * 72 / DPI
    bow = (0.5 * edge.bend * up, -0.5 * edge.bend * across)  # points; an arc3's middle is so far beside its chord
    frame = {"boxstyle": "square,pad=0.1", "facecolor": "white", "edgecolor": "none", "alpha": 0.85}
    for words, colour, side in ((edge.above, FORWARDS, 6), (edge.below, BACKWARDS, -6)):
        if words:
            place = {"ha": "center", "va": "center", "textcoords": "offset points", "fontsize": 7.5}
            axes.annotate(
                words.replace("-", "−"), middle, (bow[0], bow[1] + side), color=colour, bbox=frame, zorder=2, **place
            )
