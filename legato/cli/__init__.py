"""The command line: a file a verb. The dispatcher knows their names, and imports nothing heavy before one is chosen."""

import sys
import warnings
from importlib import import_module

from legato import __version__
from legato.errors import LegatoError, Notice, UsageError, nearest

VERBS = {
    "train": "learn from a folder or file of data; what is in it decides the task",
    "resume": "go on after a crash, a Ctrl-C or a power cut: bit-identical",
    "evaluate": "scores of a run on a split; of several runs, of their ensemble",
    "predict": "answers for files, folders, globs, or - for paths from stdin",
    "sample": "text from a language model, as it comes",
    "explain": "why a network answers as it does: maps, filters, cells, neighbours",
    "attack": "change a picture by its gradient until the network sees something else",
    "dream": "let a network put into a picture what it looks for",
    "style": "paint one picture in the manner of another",
    "demo": "the foundations of the lectures, each as a picture and ten lines",
    "describe": "the table of a network: shapes, parameters, activations, multiply-adds, receptive field",
    "list": "networks, tasks, formats",
    "data": "what a data set is: counts, classes, sizes, broken and duplicate files, a contact sheet",
    "runs": "compare the runs in a folder",
    "doctor": "what this machine offers legato",
}

HELP = f"""legato {__version__}: train, open up and ship the deep networks of the lectures, on your own data

usage: legato VERB …        legato VERB --help says more

{chr(10).join(f"  {verb:10}{what}" for verb, what in VERBS.items())}

  legato train flowers/                                     find out what it is, choose, train, report
  legato train classify flowers/ --network resnet18 --start-from imagenet --epochs 5 --to runs/flowers
  legato evaluate runs/flowers --split test --json
  legato predict runs/flowers photo.jpg

every verb takes --with FILE.py: networks, tasks and cells of your own

exit codes: 0 done, 1 failure, 2 usage, 3 bad data, 130 interrupted (state kept)"""


def main(args: list[str] | None = None) -> int:
    """Run one command; its exit code. Errors that the user can act on are one line on stderr."""
    args = sys.argv[1:] if args is None else args
    if not args or args[0] in ("-h", "--help", "help"):
        print(HELP)
        return 0
    if args[0] == "--version":
        print(__version__)
        return 0
    warnings.formatwarning = as_line
    try:
        if args[0] not in VERBS:
            raise UsageError(f"no verb {args[0]!r}{nearest(args[0], VERBS)}")
        import_module(f"legato.cli.{args[0]}").main(with_given_files(args[1:]))
    except LegatoError as error:
        print(f"legato: {error}", file=sys.stderr)
        return error.code
    except KeyboardInterrupt:
        print("legato: interrupted", file=sys.stderr)
        return 130
    except BrokenPipeError:  # whoever read us has enough
        sys.stderr.close()
        return 0
    except OSError as error:  # a disk that is full, a folder one may not write to
        print(f"legato: {error.filename or args[0]}: {error.strerror or error}", file=sys.stderr)
        return 1
    return 0


def with_given_files(args: list[str]) -> list[str]:
    """The arguments without `--with FILE.py`, which every verb takes; the files are executed."""
    rest, left = [], iter(args)
    for arg in left:
        name, is_one, file = arg.partition("=")
        if name != "--with":
            rest.append(arg)
            continue
        from legato import extension

        extension.give(file if is_one else next(left, ""))
    return rest


def as_line(
    message: Warning | str, category: type[Warning], filename: str, lineno: int, line: str | None = None
) -> str:
    """A notice of legato's without the place in legato's source that it comes from."""
    return f"legato: {message}\n" if issubclass(category, Notice) else USUAL(message, category, filename, lineno, line)


USUAL = warnings.formatwarning
