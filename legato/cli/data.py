"""legato data FOLDER: what is in it; legato data --make scenes FOLDER --task detect: pictures to try a task on."""

from dataclasses import dataclass
from pathlib import Path

import tyro

from legato import picture
from legato.cli import arguments, show
from legato.data import scene_files, survey_text, survey_where
from legato.data.survey import contact, survey
from legato.errors import UsageError, nearest
from legato.tasks.pictures import picture_set


@dataclass
class Data:
    """Counts, classes, sizes, broken and duplicate files, and a contact sheet. Of texts: words, tags, leaks."""

    data: tyro.conf.Positional[str]
    """Folder or file of the data set, or `digits`; with --make a new folder."""
    sheet: str = ""
    """Draw a contact sheet into this PNG file."""
    json: bool = False
    """Print one JSON object, and nothing else, on stdout."""
    make: str = ""
    """`scenes`: write a data set of pictures drawn by legato, with exact truth."""
    task: str = "detect"
    """What the scenes are for: classify, segment, localize, pose, detect, instances, motions (read by none)."""
    count: int = 200
    """How many scenes, over all splits."""
    seed: int = 0
    """The same seed draws the same scenes."""
    size: int = 96
    """Side of the scenes, pixels."""
    format: str = ""
    """How the scenes are written, where a task reads several: coco, voc, yolo_txt; voc_masks, pairs (roads)."""


def main(args: list[str]) -> None:
    options = arguments.parse(Data, args, "data")
    if options.make:
        make(options)
        if options.task == "motions":  # no task reads them, so that there is no card of them
            show.as_json({"motions": options.count}) if options.json else print(
                f"{options.data}: {options.count} motions"
            )
            return
    where = survey_where.recognises(options.data)
    if not where and survey_text.recognises(options.data):
        text(options)
        return
    if options.sheet:
        picture.save(sheet(options.data, where), options.sheet)
    found = survey_where.survey(options.data) if where else survey(Path(options.data))
    if options.json:
        show.as_json(found.to_json())
    else:
        print(found)


def text(options: Data) -> None:
    """The card of a set of texts, of which there is no sheet."""
    if options.sheet:
        raise UsageError(f"--sheet: {options.data} holds texts, of which there is no contact sheet")
    found = survey_text.survey(options.data)
    show.as_json(found.to_json()) if options.json else print(found)


def make(options: Data) -> None:
    if options.make != "scenes":
        raise UsageError(f"--make {options.make}: legato makes scenes{nearest(options.make, ['scenes'])}")
    scene_files.make(options.data, options.task, options.count, options.seed, options.size, options.format)


def sheet(data: str, where: bool) -> picture.Picture:
    """Pictures from all over; with masks, boxes or joints drawn on them, fewer and larger ones."""
    if where:
        return picture.sheet(survey_where.contact(survey_where.read(data), 24), 6, data, tile=320)
    return picture.sheet(contact(picture_set(data, ""), 48), 8, data)
