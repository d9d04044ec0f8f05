"""legato sample RUN …: let a language model write."""

import sys
from collections.abc import Iterator
from dataclasses import dataclass

import tyro

from legato import api
from legato.cli import arguments, show
from legato.decoding import Sampling
from legato.errors import UsageError
from legato.networks.charrnn import CharRNN
from legato.tasks.language import Language
from legato.values import Text


@dataclass
class Sample:
    """Text from a language model, on the terminal as it is written."""

    run: tyro.conf.Positional[str]
    """Folder of the run."""
    prompt: str = ""
    """How the text begins; empty: as after the end of a line."""
    length: int = 500
    """Units (characters, words, …) to write."""
    temperature: float = 1.0
    """Below 1 surer, above 1 more adventurous; 0: always the likeliest."""
    top_k: int = 0
    """Draw among the k likeliest only; 0: among all."""
    top_p: float = 1.0
    """Draw among the fewest likeliest that have this probability together."""
    seed: int = 0
    """Of the draws: the same seed writes the same text."""
    count: int = 1
    """So many texts, written together, in little more time than one; the second is that of the next seed."""
    device: str = "auto"
    """cpu, cuda, mps, or auto."""
    json: bool = False
    """Print one JSON object at the end, and nothing else, on stdout."""


def main(args: list[str]) -> None:
    options = arguments.parse(Sample, args, "sample")
    how = Sampling(
        length=options.length,
        temperature=options.temperature,
        top_k=options.top_k,
        top_p=options.top_p,
        seed=options.seed,
    )
    if options.count < 1:
        raise UsageError(f"--count {options.count}: must be at least 1")
    trained = api.load(options.run, options.device)
    task, net = trained.task, trained.network
    if not isinstance(task, Language):
        raise UsageError(f"{options.run}: is a {task.name}, which does not write; name the run of a language model")
    assert isinstance(net, CharRNN)
    with trained.device.autocast():
        if options.count > 1:
            several(options, task.several(net, Text(options.prompt), how, options.count))
        else:
            one(options, task.stream(net, [Text(options.prompt)], how))


def one(options: Sample, parts: Iterator[str]) -> None:
    """A text as it is written."""
    if options.json:
        show.as_json({"prompt": options.prompt, "text": "".join(parts)})
        return
    sys.stdout.write(options.prompt + next(parts, ""))  # a prompt that is refused is not written
    for part in parts:
        sys.stdout.write(part)
        sys.stdout.flush()
    sys.stdout.write("\n")


def several(options: Sample, texts: list[str]) -> None:
    """Texts when they are whole, a line between them."""
    if options.json:
        show.as_json({"prompt": options.prompt, "texts": texts})
    else:
        print(*(options.prompt + text for text in texts), sep="\n\n")
