"""legato demo NAME: a foundation of the lectures, as a picture and ten lines."""

import re
from dataclasses import dataclass
from pathlib import Path

import tyro

from legato import demos, picture
from legato.cli import arguments, show
from legato.data.decode import read_image
from legato.errors import UsageError
from legato.picture.wall import wall
from legato.values import Image


@dataclass
class Show:
    """The foundations of the lectures, live: each computes what it says, prints it and draws it, in seconds."""

    name: tyro.conf.Positional[str] = ""
    """A name from the list, or a row of the ledger (F9, say); `all` shows all of them and a sheet of their pictures."""
    list: bool = False
    """What there is: names, rows of the ledger, one line each."""
    seed: int = 0
    """Of all that is drawn at random: the same seed, the same picture."""
    picture: str = ""
    """A picture of yours, for those that are shown on one; empty: one that comes with scikit-learn."""
    save: str = ""
    """Where the picture goes, a PNG file (for `all` a folder); empty: demos/NAME.png (demos)."""
    json: bool = False
    """Print one JSON object, and nothing else, on stdout."""


def main(args: list[str]) -> None:
    options = arguments.parse(Show, args, "demo")
    if options.list or not options.name:
        listed(options.json)
    elif options.name == "all":
        everything(options)
    else:
        one(options)


def listed(json: bool) -> None:
    entries = sorted(demos.DEMOS.values(), key=lambda entry: [natural(row) for row in entry.rows])
    rows = [{"name": e.name, "rows": " ".join(e.rows), "picture": e.on_picture, "what": e.about} for e in entries]
    show.as_json(rows) if json else show.table(rows)


def natural(row: str) -> tuple[str, int]:
    """F2 before F11."""
    kind, number = re.fullmatch(r"([A-Z]+)(\d+)", row).groups()  # type: ignore[union-attr]
    return kind, int(number)


def one(options: Show) -> None:
    entry = demos.lookup(options.name)
    if options.save and Path(options.save).suffix.lower() != ".png":
        raise UsageError(f"--save {options.save}: the picture is written as PNG, so name a file that ends in .png")
    image = Image(read_image(Path(options.picture)), options.picture) if options.picture else None
    found = demos.run(entry.name, options.seed, image)
    file = picture.save(found.picture, options.save or f"demos/{entry.name}.png")
    if options.json:
        numbers = dict(found.numbers)
        show.as_json({"name": entry.name, "rows": entry.rows, "about": entry.about, "lines": found.lines,
                      "numbers": numbers, "picture": str(file)})  # fmt: skip
        return
    print(f"{entry.name} ({', '.join(entry.rows)}): {entry.about}\n")
    print("\n".join(f"  {line}" for line in found.lines))
    print(f"\npicture: {file}\ncode:    {Path(demos.__file__).parent / entry.name}.py")


def everything(options: Show) -> None:
    """Each picture into a folder, and one sheet of them all."""
    if options.json or options.picture:
        raise UsageError("`legato demo all` takes --seed and --save; for --json and --picture name one demonstration")
    folder, pictures = Path(options.save or "demos"), []
    for name in sorted(demos.DEMOS):
        found = demos.run(name, options.seed)
        print(f"{name:16}{picture.save(found.picture, folder / f'{name}.png')}", flush=True)
        pictures.append((found.picture, name))
    print(f"{'all':16}{picture.save(wall(pictures, title='legato demo'), folder / 'all.png')}")
