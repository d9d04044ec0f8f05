"""Looks through all cells for those that keep track of what one can name: a quotation, a bracket, the line's length.

After Karpathy, Johnson & Fei-Fei 2015 (arXiv:1506.02078, figure 2 of the arXiv version), who found them by eye. A cell
is judged on text it was not chosen on: threshold and direction come from the first half, all scores from the second.
"""

import re
from collections.abc import Callable, Sequence
from itertools import accumulate
from math import isnan
from typing import Any, NamedTuple

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn

from legato.errors import UsageError, nearest
from legato.explain.cells import Read, Track, activity, read, recurrent, unit_of
from legato.explain.subject import Shown, Subject, method
from legato.picture import bars
from legato.picture.text import coloured_text
from legato.task import Task
from legato.tasks.language import Language

LISTED = 5  # best cells told of each property
COLOURED = 3  # properties whose best cell is shown
FEWEST = 5  # steps that must have a property, and that must not, in each half
EXCERPT, LINE = 2_000, 100  # characters of the part that is shown, of the longest line left out at its beginning

# what can be looked for: a number for each character of a text, true of it once the character has been read


def quotes(text: str) -> list[float]:
    """inside "…" or “…”; the closing mark is outside, and a paragraph's end closes what is still open"""
    inside, found = False, []
    for before, now in zip(" " + text, text):
        if now == '"':
            inside = not inside
        elif now in "“”":
            inside = now == "“"
        elif now == before == "\n":
            inside = False
        found.append(float(inside))
    return found


def depth(text: str) -> list[float]:
    """how many brackets ( [ { are open"""
    return nested(text, "([{", ")]}")


def brackets(text: str) -> list[float]:
    """inside ( ) or [ ]"""
    return [float(d > 0) for d in nested(text, "([", ")]")]


def braces(text: str) -> list[float]:
    """inside { }"""
    return [float(d > 0) for d in nested(text, "{", "}")]


def nested(text: str, opening: str, closing: str) -> list[float]:
    turns = ((c in opening) - (c in closing) for c in text)
    return [float(d) for d in accumulate(turns, lambda d, turn: max(0, d + turn), initial=0)][1:]


def comments(text: str) -> list[float]:
    """inside /* … */, or after // on a line"""
    found = [0.0] * len(text)
    for comment in re.finditer(r"/\*.*?\*/|//[^\n]*", text, re.DOTALL):
        begin, end = comment.start() + 1, comment.end() - comment.group().startswith("/*")
        found[begin:end] = [1.0] * (end - begin)
    return found


def since(text: str, ends: str) -> list[float]:
    """Characters since one of these, which are 0 themselves."""
    return [float(n) for n in accumulate((c in ends for c in text), lambda n, end: 0 if end else n + 1, initial=0)][1:]


def line(text: str) -> list[float]:
    """how many characters the line has by now"""
    return since(text, "\n")


def word(text: str) -> list[float]:
    """how many letters the word has by now"""
    return [float(n) for n in accumulate((c.isalnum() for c in text), lambda n, on: n + 1 if on else 0, initial=0)][1:]


def indentation(text: str) -> list[float]:
    """by how many spaces the line is indented, as far as it is known"""
    found = list[float]()
    for one in text.splitlines(keepends=True):
        blanks = len(one) - len(one.lstrip(" \t"))
        found += [float(min(i + 1, blanks)) for i in range(len(one))]
    return found


def each(test: Callable[[str], bool], about: str) -> Callable[[str], list[float]]:
    """Characters that are of a kind."""

    def values(text: str) -> list[float]:
        return [float(test(c)) for c in text]

    values.__doc__ = about
    return values


PROPERTIES: dict[str, Callable[[str], list[float]]] = {
    "quotes": quotes,
    "brackets": brackets,
    "braces": braces,
    "depth": depth,
    "comments": comments,
    "line": line,
    "word": word,
    "indentation": indentation,
    "spaces": each(lambda c: c in " \t", "spaces and tabs"),
    "newlines": each(lambda c: c == "\n", "ends of lines"),
    "digits": each(str.isdigit, "0 to 9"),
    "capitals": each(str.isupper, "capital letters"),
    "vowels": each(lambda c: c in "aeiouAEIOU", "a, e, i, o, u"),
    "punctuation": each(lambda c: not (c.isalnum() or c.isspace()), "all but letters, digits and spaces"),
}


class Match(NamedTuple):
    """How well a cell keeps track of a property, on the second half of the text."""

    cell: int
    correlation: float  # Pearson's, signed
    f1: float  # of `cell > threshold`, or < where it is so small; nan for a property that is a number
    chance: float  # F1 of always saying yes
    threshold: float
    above: bool


def search_cells(held: Float[Tensor, "t n"], values: Float[Tensor, "t"], most: int = LISTED) -> list[Match]:
    """The cells that track `values` best, best first; chosen on the first half, scored on the second.

    held: what each of n cells holds at each step. A property of zeros and ones is judged by F1, any other by |r|. Empty
    where either half has nearly nothing to tell apart.
    """
    half = len(values) // 2
    known, unseen, here, there = held[:half], held[half:], values[:half], values[half:]
    if min(telling(here), telling(there)) < FEWEST:
        return []
    r = correlation(unseen, there)
    if not is_binary(values):
        best = correlation(known, here).abs().topk(min(most, held.shape[1])).indices.tolist()
        return [Match(k, float(r[k]), float("nan"), float("nan"), float("nan"), bool(r[k] > 0)) for k in best]
    yes = here > 0.5
    (f_up, up), (f_down, down) = best_threshold(known, yes), best_threshold(-known, yes)
    best = torch.maximum(f_up, f_down).topk(min(most, held.shape[1])).indices.tolist()
    matches = []
    for k in best:
        above = bool(f_up[k] >= f_down[k])
        threshold = float(up[k]) if above else -float(down[k])
        said = (unseen[:, k] > threshold) if above else (unseen[:, k] < threshold)
        p = float(there.mean())
        matches.append(Match(k, float(r[k]), f1(said, there > 0.5), 2 * p / (1 + p), threshold, above))
    return matches


def is_binary(values: Tensor) -> bool:
    return bool(((values == 0) | (values == 1)).all())


def telling(values: Tensor) -> int:
    """Steps at which a property differs from what it mostly is."""
    return int((values != values.mode().values).sum())


def correlation(held: Float[Tensor, "t n"], values: Float[Tensor, "t"]) -> Float[Tensor, "n"]:
    """Pearson's r of each cell; 0 for one that never moves."""
    x, y = held - held.mean(0), values - values.mean()
    return (x * y[:, None]).sum(0) / (x.square().sum(0) * y.square().sum()).sqrt().clamp(min=1e-12)


def best_threshold(held: Float[Tensor, "t n"], yes: Bool[Tensor, "t"]) -> tuple[Float[Tensor, "n"], Float[Tensor, "n"]]:
    """For each cell the largest F1 that `held > threshold` can have, and a threshold that has it.

    Every cut between two different values is tried: F1 = 2 TP / (said yes + are).
    """
    ranked, order = held.sort(0, descending=True)
    hits = yes[order].cumsum(0)  # TP, if the k + 1 largest are said to be yes
    said = torch.arange(1, len(held) + 1, device=held.device)[:, None]
    scores = 2 * hits / (said + yes.sum())
    below = torch.cat((ranked[1:], ranked[-1:] - 1))  # the first value that is said to be no
    scores = scores.masked_fill(ranked == below, -1.0)  # equal values cannot be parted
    best, at = scores.max(0)
    pick = lambda x: x.gather(0, at[None])[0]
    return best, (pick(ranked) + pick(below)) / 2


def f1(said: Bool[Tensor, "t"], yes: Bool[Tensor, "t"]) -> float:
    return float(2 * (said & yes).sum() / (said.sum() + yes.sum()).clamp(min=1))


# the command line


class Found(NamedTuple):
    """A cell of a track, and how well it does."""

    track: Track
    match: Match


def search_all(tracks: Sequence[Track], values: Float[Tensor, "t"]) -> list[Found]:
    """The best cells of all tracks."""
    found = [Found(one, match) for one in tracks for match in search_cells(activity(one)[:, 0].float(), values)]
    return sorted(found, key=lambda one: -score(one.match))[:LISTED]


def score(match: Match) -> float:
    """0 … 1: F1 where there is one, else |r|."""
    return abs(match.correlation) if isnan(match.f1) else match.f1


def lift(match: Match) -> float:
    """How far the score is above what comes for nothing: 0 … 1."""
    return abs(match.correlation) if isnan(match.f1) else (match.f1 - match.chance) / (1 - match.chance + 1e-9)


def texts(task: Task[Any, Any, Any], net: nn.Module) -> str:
    """The objection to what is no language model."""
    return recurrent(task, net) if isinstance(task, Language) else f"{task.name} reads words: there are no characters"


def property_of(name: str) -> Callable[[str], list[float]]:
    """The property of this name. Raises UsageError with the nearest."""
    if name not in PROPERTIES:
        raise UsageError(f"--what {name}: no property of that name{nearest(name, PROPERTIES)}")
    return PROPERTIES[name]


@method("cell-search", texts, needs_input=None)
def show_search(subject: Subject) -> list[Shown]:
    """Cells that keep track of quotes, brackets, the line's length …, found by themselves (--what: one of these)."""
    wanted = {subject.what: property_of(subject.what)} if subject.what else PROPERTIES
    text = read(subject)
    last = torch.tensor([len(name) for name in text.names]).cumsum(0) - 1  # of each unit, its last character
    held, lines = dict[str, tuple[list[float], list[Found]]](), [f"{len(text.names):,} units read"]
    for name, values_of in wanted.items():
        values = torch.tensor(values_of("".join(text.names)), device=text.tracks[0].xs.device)[last]
        if best := search_all(text.tracks, values):
            held[name] = values.tolist(), best
        else:
            lines.append(f"{name} ({values_of.__doc__}): too rare, or everywhere, in this text")
    for name, (_, best) in held.items():
        lines += [f"{name}: {PROPERTIES[name].__doc__}", *(f"  {said(one)}" for one in best)]
    ranked = sorted(held, key=lambda name: -lift(held[name][1][0].match))
    shown = [coloured(text, name, *held[name]) for name in ranked[:COLOURED]]
    if not shown:
        raise UsageError("; ".join(lines[1:]) + "; read another text, or more of it")
    return [overview(held, ranked, tuple(lines)), *shown]


def said(found: Found) -> str:
    """A line for the terminal."""
    track, m = found
    by = "" if isnan(m.f1) else f"F1 {m.f1:.2f} (always yes: {m.chance:.2f}), "
    return f"{track.name} cell {m.cell}: {by}r {m.correlation:+.2f}"


def overview(held: dict[str, tuple[list[float], list[Found]]], ranked: list[str], lines: tuple[str, ...]) -> Shown:
    """The best cell of each property, as bars."""
    best = [held[name][1][0] for name in ranked]
    names = [f"{name}: cell {one.match.cell}" for name, one in zip(ranked, best)]
    unit = "0: no better than always saying yes, 1: every character right (numbers: |r|)"
    return Shown(
        bars(
            names,
            [max(0.0, lift(one.match)) for one in best],
            "What single cells track, on text they were not chosen on",
            unit,
        ),
        "",
        lines,
    )


def coloured(text: Read, name: str, values: list[float], best: list[Found]) -> Shown:
    """The part of the second half in which the property changes most, coloured by the cell that tracks it best."""
    track, match = best[0]
    now = torch.tensor(values)
    half, size = len(values) // 2, min(EXCERPT, len(values) // 2)
    starts = range(half, len(values) - size + 1, max(1, size // 4))
    begin = max(starts, key=lambda at: float(now[at : at + size].std()))
    begin += next((i + 1 for i, unit in enumerate(text.names[begin : begin + LINE]) if unit == "\n"), 0)
    part = slice(begin, begin + size)
    title = f"Cell {match.cell} of {track.name} tracks {name}"
    scores = said(best[0]).partition(": ")[2]
    below = f"{name}: {PROPERTIES[name].__doc__}. On text the cell was not chosen on: {scores}"
    shown = activity(track)[part, 0, match.cell]
    middle = float(shown.mean()) if isnan(match.threshold) else match.threshold
    picture = coloured_text(text.names[part], shown, title, unit_of(track), below, middle)
    return Shown(picture, name)
