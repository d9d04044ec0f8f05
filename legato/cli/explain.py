"""legato explain RUN FILE …: which pixels an answer rests on."""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import torch
import tyro
from torch import Tensor

from legato import api, picture
from legato.cli import arguments
from legato.explain import occlusion, saliency
from legato.task import Decoding

HOW = {
    "occlusion": lambda evidence, x: occlusion(evidence, x),
    "saliency": lambda evidence, x: saliency(evidence, x)[0],
}


@dataclass
class Explain:
    """For each picture, a map of the pixels its answer rests on, beside the picture."""

    run: tyro.conf.Positional[str]
    """Folder of the run."""
    sources: tyro.conf.Positional[tuple[str, ...]]
    """Picture files."""
    how: Literal["occlusion", "saliency"] = "occlusion"
    """occlusion: cover patches, see what is lost. saliency: the gradient."""
    what: str = ""
    """Class to explain; empty: the answer."""
    save: str = "explained"
    """Folder for the pictures."""


def main(args: list[str]) -> None:
    options = arguments.parse(Explain, args, "explain")
    trained = api.load(options.run)
    folder = Path(options.save)
    folder.mkdir(parents=True, exist_ok=True)
    for source in options.sources:
        image = trained.task.read_input(source)
        answer = trained.answer([image], Decoding())[0]
        x, what = trained.device.move(trained.task.encode_inputs([image])), options.what or answer["class"]

        def evidence(x: Tensor, what: str = what) -> Tensor:
            outputs, _ = trained.task.outputs(trained.network, x, None)
            found = trained.task.evidence(outputs, what)
            assert found is not None
            return found

        with torch.no_grad():
            where = HOW[options.how](evidence, x)
        file = folder / f"{Path(source).stem}-{options.how}.png"
        picture.save(picture.heat(where.cpu(), image, f"{what}: {options.how}"), file)
        print(f"{source}\t{trained.task.line(answer)}\t{file}")
