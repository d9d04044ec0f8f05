"""A page that opens anywhere, without a network: style and pictures are inside it, and there is no script."""

from base64 import b64encode
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from html import escape
from importlib.resources import files
from typing import NamedTuple

from legato.picture import Picture
from legato.picture.style import number, png


@dataclass(frozen=True)
class Figure:
    """A picture, the name of its file, and what one sees on it."""

    name: str
    picture: Picture
    caption: str

    @cached_property
    def png(self) -> bytes:
        return png(self.picture)


Part = str | Figure | list[str | Figure]  # HTML; a figure; some of these side by side


class Section(NamedTuple):
    """A heading and what stands below it."""

    title: str
    parts: list[Part]

    @property
    def figures(self) -> list[Figure]:
        each = [p for part in self.parts for p in (part if isinstance(part, list) else [part])]
        return [p for p in each if isinstance(p, Figure)]


Cell = str | int | float | None


def paragraph(text: str) -> str:
    return f"<p>{escape(text)}</p>"


def code(lines: Iterable[str]) -> str:
    return f"<pre>{escape(chr(10).join(lines))}</pre>"


def table(heads: Sequence[str], rows: Iterable[Sequence[Cell]], shares: Sequence[str] = ()) -> str:
    """Numbers stand right; in the columns named in `shares` a bar behind each says how near to 1 it is."""
    rows = list(rows)
    body = "".join(f"<tr>{''.join(cell(v, head in shares) for head, v in zip(heads, row))}</tr>" for row in rows)
    words = [any(isinstance(v, str) for v in column) for column in zip(*rows)] or [True] * len(heads)
    top = "".join(f"<th{'' if left else ' class=number'}>{escape(head)}</th>" for head, left in zip(heads, words))
    return f'<div class="scroll"><table><thead><tr>{top}</tr></thead><tbody>{body}</tbody></table></div>'


def cell(value: Cell, share: bool = False) -> str:
    if value is None:
        return "<td>–</td>"
    if isinstance(value, str):
        return f"<td>{escape(value)}</td>"
    if share:
        return f'<td class="number share" style="--share:{100 * value:.1f}%">{value:.3f}</td>'
    return f'<td class="number">{exact(value)}</td>'


def exact(value: float) -> str:
    """Whole numbers in full, others with four digits."""
    if isinstance(value, int) or float(value).is_integer():
        return f"{value:,.0f}"
    return f"{value:.4g}" if 1e-3 <= abs(value) < 1e5 else number(value)


def facts(rows: Iterable[tuple[str, Cell]]) -> str:
    """A table of two columns without heads: what, and how much."""
    body = "".join(f"<tr><th>{escape(name)}</th>{cell(value)}</tr>" for name, value in rows)
    return f'<div class="scroll"><table class="facts"><tbody>{body}</tbody></table></div>'


def folded(summary: str, inside: str) -> str:
    """Shown when clicked."""
    return f"<details><summary>{escape(summary)}</summary>{inside}</details>"


def inline(figure: Figure) -> str:
    """An <img> that needs no file."""
    data = b64encode(figure.png).decode()
    return (
        f'<img alt="{escape(figure.caption)}" width="{figure.picture.width // 2}" src="data:image/png;base64,{data}">'
    )


def drawn(part: Part) -> str:
    if isinstance(part, str):
        return part
    if isinstance(part, Figure):
        return f"<figure>{inline(part)}<figcaption>{escape(part.caption)}</figcaption></figure>"
    return f'<div class="row">{"".join(map(drawn, part))}</div>'


def page(title: str, lead: str, tiles: Iterable[tuple[str, str]], sections: Sequence[Section]) -> str:
    """The whole document. `tiles` are the numbers one looks for first, each with what it is."""
    css = files("legato.reports").joinpath("report.css").read_text("utf-8")
    first = "".join(f"<div><b>{escape(value)}</b>{escape(what)}</div>" for value, what in tiles)
    index = "".join(f'<a href="#{anchor(s.title)}">{escape(s.title)}</a>' for s in sections)
    body = "".join(
        f'<section id="{anchor(s.title)}"><h2>{escape(s.title)}</h2>{"".join(map(drawn, s.parts))}</section>'
        for s in sections
    )
    return (
        f'<!doctype html>\n<html lang="en"><head><meta charset="utf-8"><title>{escape(title)}</title>'
        f'<meta name="viewport" content="width=device-width, initial-scale=1"><style>{css}</style></head>\n'
        f'<body><header><h1>{escape(title)}</h1><p>{escape(lead)}</p><div class="tiles">{first}</div>'
        f"<nav>{index}</nav></header>\n<main>{body}</main></body></html>\n"
    )


def anchor(title: str) -> str:
    return "".join(c if c.isalnum() else "-" for c in title.lower())
