"""Writes the tables of docs/ that can be derived: `python docs/build.py`, or `make docs`.

ledger.md     what the lectures describe and what of it works. The rows are those of ledger.tsv; where they work and
              whether they do is found in the tests, so that the page cannot lie
networks.md   all networks there are, from their registry
index.md      all pages, by their first lines
"""

import csv
import json
import re
from functools import cache
from pathlib import Path
from typing import NamedTuple

from legato.networks.registry import NETWORKS

DOCS = Path(__file__).parent
ROOT = DOCS.parent
MARKS = ("<!-- ledger: begin -->\n", "<!-- ledger: end -->")
HEAD = "| row | lecture | what | status | where | still missing |\n|---|---|---|---|---|---|\n"


class Row(NamedTuple):
    """A line of ledger.tsv."""

    id: str
    lecture: str
    kind: str  # what it becomes when it works: reproduced, computed, quoted
    what: str
    evidence: (
        str  # besides tests/ledger, parted by spaces: `tests/file.py::test_name`, `results:row` of docs/results.md
    )
    command: str  # what to type; shown, and no evidence
    missing: str  # what the row asks for and no test shows yet


def rows() -> list[Row]:
    with (DOCS / "ledger.tsv").open(newline="") as file:
        return [Row(*line) for line in list(csv.reader(file, delimiter="\t", quoting=csv.QUOTE_NONE))[1:]]


@cache
def tests() -> dict[str, list[tuple[str, str]]]:
    """Of each row the tests that have its id in their name: (file, name)."""
    found: dict[str, list[tuple[str, str]]] = {}
    for file in sorted((ROOT / "tests").rglob("test_*.py")):
        for name in re.findall(r"^def (test_\w+)", file.read_text(), re.M):
            for row in re.findall(r"(?<=_)[A-Z]\d+(?=_|$)", name):
                found.setdefault(row, []).append((file.relative_to(ROOT).as_posix(), name))
    return found


@cache
def measured() -> dict[str, object]:
    """The rows of docs/results.md that have been run."""
    file = ROOT / "bench" / "results" / "accept.json"
    return json.loads(file.read_text()) if file.exists() else {}


def proofs(row: Row) -> list[str]:
    """What shows that it works, as links; none where nothing does."""
    found = [file for file, _ in tests().get(row.id, [])]
    shown = [f"[{Path(file).name}](../{file}): {found.count(file)}" for file in dict.fromkeys(found)]
    for proof in row.evidence.split():
        if proof.startswith("results:"):
            shown += (
                ["[results](results.md): " + name] if (name := proof.removeprefix("results:")) in measured() else []
            )
        else:
            file, _, name = proof.partition("::")
            shown += [f"[{Path(file).name}](../{file}): `{name}`"] if defines(ROOT / file, name) else []
    return shown


def defines(file: Path, name: str) -> bool:
    return file.exists() and re.search(rf"^(def|class) {name}\b", file.read_text(), re.M) is not None


def missing(row: Row) -> str:
    """What is said to be, and the trainings that nobody has run yet."""
    named = [proof.removeprefix("results:") for proof in row.evidence.split() if proof.startswith("results:")]
    not_run = [name for name in named if name not in measured()]
    return "; ".join(part for part in (row.missing, f"not run: {', '.join(not_run)}" if not_run else "") if part)


def status(row: Row) -> str:
    if not proofs(row):
        return "not yet"
    return f"{row.kind}, in part" if missing(row) else row.kind


def line(row: Row) -> str:
    where = "; ".join([*proofs(row), *([f"`{row.command}`"] if row.command else [])])
    return f"| {row.id} | {row.lecture} | {row.what} | {status(row)} | {where} | {missing(row)} |\n"


def ledger(text: str) -> str:
    """The page with its table written anew."""
    counts: dict[str, int] = {}
    for row in rows():
        counts[status(row)] = counts.get(status(row), 0) + 1
    summary = ", ".join(f"{count} {kind}" for kind, count in sorted(counts.items(), key=lambda pair: -pair[1]))
    table = f"{len(rows())} rows: {summary}.\n\n{HEAD}{''.join(map(line, rows()))}"
    before, _, rest = text.partition(MARKS[0])
    return before + MARKS[0] + table + MARKS[1] + rest.partition(MARKS[1])[2]


def networks() -> str:
    """A page of all that is registered."""
    head = (
        "# Networks\n\n"
        "All networks that are chosen by name, as `legato list networks` has them; `docs/build.py` writes this page.\n"
        "`params` is the paper's number, or the counted one where the paper gives none, for the classes of the paper;\n"
        "a test counts it. `size` is the side of the picture the network was drawn for; without one, any will do.\n\n"
        "| name | params | size | paper | what |\n|---|--:|--:|---|---|\n"
    )
    table = (
        f"| `{name}` | {entry.params:,} | {entry.size or ''} | {link(entry.paper)} | {entry.about} |\n"
        for name, entry in sorted(NETWORKS.items())
    )
    return head + "".join(table)


FIRST = ("classify", "where", "text", "recurrent")  # pages to begin with, in this order
LAST = ("faq", "networks", "results", "ledger")  # to look something up


def index() -> str:
    """Every page with its title and the first sentence it says."""
    names = [page.stem for page in sorted(DOCS.glob("*.md")) if page.stem != "index"]
    place = {name: k for k, name in enumerate([*FIRST, *(n for n in names if n not in FIRST + LAST), *LAST])}
    lines = (opening((DOCS / f"{name}.md").read_text()) for name in sorted(names, key=place.__getitem__))
    rows = (f"| [{t}]({n}.md) | {s} |\n" for (t, s), n in zip(lines, sorted(names, key=place.__getitem__)))
    return (
        "# The pages\n\nEach is a story whose code the tests run. `legato VERB --help` has every flag;\n"
        "the [README](../README.md) says what legato is, [ARCHITECTURE](../ARCHITECTURE.md) how it is built,\n"
        "[CONTRIBUTING](../CONTRIBUTING.md) how to add to it, and the [decisions](../decisions) why it is so.\n\n"
        f"| page | begins |\n|---|---|\n{''.join(rows)}"
    )


def opening(text: str) -> tuple[str, str]:
    """The title of a page, and its first sentence, without links."""
    title, _, rest = text.lstrip().partition("\n")
    first = next(part for part in rest.split("\n\n") if part.strip() and not part.startswith(("<!--", "|", "```")))
    plain = re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", " ".join(first.split()))
    return title.lstrip("# "), re.split(r"(?<=[.!?])\s", plain)[0]


def link(paper: str) -> str:
    """A paper's identifier, to be clicked."""
    kind, _, rest = paper.partition(":")
    hosts = {"arXiv": "https://arxiv.org/abs/", "doi": "https://doi.org/"}
    if kind in hosts:
        return f"[{paper}]({hosts[kind]}{rest})"
    return f"[{rest.split('/')[2]}]({paper})" if kind.startswith("http") else paper


def main() -> None:
    page = DOCS / "ledger.md"
    page.write_text(ledger(page.read_text()))
    (DOCS / "networks.md").write_text(networks())
    (DOCS / "index.md").write_text(index())


if __name__ == "__main__":
    main()
