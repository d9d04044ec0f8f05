"""The gallery of worst errors: the lecture's "Errors by LeNet-5", for any task."""

from collections.abc import Mapping, Sequence
from typing import Any

from legato import picture
from legato.picture.style import percent
from legato.reports.page import Figure, Section, paragraph, table
from legato.reports.showing import image_in, said, with_target
from legato.reports.trained import Trained
from legato.task import Decoding, Split
from legato.values import Image

MOST, LEAST_CERTAIN = 60, 20  # pictures of errors; of right answers where there are no errors
PAIRS = 12  # of truth and answer, where both are drawn
TEXT = 300  # letters of an input that is text


def section(trained: Trained) -> Section | None:
    split, evaluation = trained.split, trained.evaluation
    if split is None or evaluation is None or not evaluation.worst:
        return None
    indices = [i for _, i in evaluation.worst[:MOST]]
    return (misclassified if "confusion" in evaluation.tally else misjudged)(trained, split, indices)


def misclassified(trained: Trained, split: Split, indices: Sequence[int]) -> Section:
    """True → predicted class, and how probable the network holds what it says."""
    _, targets, probabilities = trained.outputs(split, indices)
    names, examples = trained.names(probabilities.shape[1]), trained.task.examples(split)
    confidence, predicted = probabilities.float().max(dim=1)
    judged = list(zip(indices, targets.tolist(), predicted.tolist(), confidence.tolist()))
    wrong = [one for one in judged if one[1] != one[2]]
    shown = wrong or judged[:LEAST_CERTAIN]
    captions = [f"{names[true]}{f' → {names[guess]}' * (true != guess)}\n{percent(p)}" for _, true, guess, p in shown]
    errors = trained.evaluations[split].scores.get("errors", len(wrong))
    note = "True class → predicted class, and the probability of what is predicted; the least probable truth first."
    return exhibited(
        trained, [examples[i][0] for i, *_ in shown], captions, heading(len(wrong), int(errors), split), note
    )


def heading(shown: int, errors: int, split: Split) -> str:
    if not shown:
        return f"No errors on {split}: the least certain"
    if shown == errors:
        return f"All {errors:,} errors on {split}" if errors > 1 else f"The one error on {split}"
    return f"The worst {shown:,} of {errors:,} errors on {split}"


def misjudged(trained: Trained, split: Split, indices: Sequence[int]) -> Section:
    """What is true and what the network says, where there is more to say than one class."""
    if with_target(*trained.task.examples(split)[indices[0]]) is not None:  # two pictures of each
        indices = indices[:PAIRS]
    inputs, _, outputs = trained.outputs(split, indices)
    task, chosen = trained.task, [trained.task.examples(split)[i] for i in indices]
    answers = task.predict(outputs, inputs, Decoding())
    drawn = [task.draw(x, one) for (x, _), one in zip(chosen, answers)]
    title, note = f"The worst {len(indices)} on {split}", "What is true, and what the network says; the worst first."
    if any(isinstance(one, Image) for one in drawn):
        both = zip(chosen[:PAIRS], drawn)
        pairs = [(with_target(x, target) or x, one) for (x, target), one in both if isinstance(one, Image)]
        shown = [(image, what) for pair in pairs for image, what in zip(pair, ("true", "predicted"))]
        title = f"The worst {len(pairs)} on {split}"
        return Section("Worst errors", [Figure("worst", picture.sheet(shown, 4, title, tile=448), note)])
    if all(isinstance(one, dict) and tuple(one) == task.names for one in answers):  # a number a name
        drawn, note = [numbers(one) for one in answers], f"{note} Of each: {', '.join(task.names[:4])}."
    captions = [f"true: {said(target, task.names)}\n{one}" for (_, target), one in zip(chosen, drawn)]
    return exhibited(trained, [x for x, _ in chosen], captions, title, note)


def numbers(answer: Mapping[str, float]) -> str:
    """In the form that `said` gives the truth."""
    return f"said: {', '.join(f'{value:.2f}' for value in list(answer.values())[:4])}"


def exhibited(trained: Trained, inputs: Sequence[Any], captions: Sequence[str], title: str, note: str) -> Section:
    """The pictures in these inputs, each with its caption; a table where there are none."""
    found = [(image, caption) for x, caption in zip(inputs, captions) if (image := image_in(x)) is not None]
    if found:
        return Section("Worst errors", [Figure("worst", picture.sheet(found, title=title), note)])
    rows = [(said(x, trained.task.names)[:TEXT], *caption.split("\n")) for x, caption in zip(inputs, captions)]
    return Section("Worst errors", [paragraph(f"{title}. {note}"), table(["input", "", ""], rows)])
