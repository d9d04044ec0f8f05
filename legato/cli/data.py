"""legato data FOLDER: what is in it."""

from dataclasses import dataclass
from pathlib import Path

import tyro

from legato import picture
from legato.cli import arguments, show
from legato.data.survey import contact, survey
from legato.tasks.pictures import picture_set


@dataclass
class Data:
    """Counts, classes, sizes, broken and duplicate files, imbalance; and a contact sheet."""

    data: tyro.conf.Positional[str]
    """Folder or file of the data set, or `digits`."""
    sheet: str = ""
    """Draw a contact sheet into this PNG file."""
    json: bool = False
    """Print one JSON object, and nothing else, on stdout."""


def main(args: list[str]) -> None:
    options = arguments.parse(Data, args, "data")
    found = survey(Path(options.data))
    if options.sheet:
        tiles = contact(picture_set(options.data, ""), 48)
        picture.save(picture.sheet(tiles, 8, options.data), options.sheet)
    if options.json:
        show.as_json(found.to_json())
    else:
        print(found)
