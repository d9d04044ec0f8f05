"""The gallery of worst errors: the lecture's "Errors by LeNet-5", for any task."""

from collections.abc import Sequence
from typing import Any

from torch import Tensor

from legato import picture
from legato.picture.style import percent
from legato.reports.page import Figure, Section, table
from legato.reports.trained import Trained, image_in, said
from legato.task import Decoding, Split
from legato.values import Image

MOST = 60  # pictures
COLUMNS = 10


def section(trained: Trained) -> Section | None:
    split, evaluation = trained.split, trained.evaluation
    if split is None or evaluation is None or not evaluation.worst:
        return None
    indices = [i for _, i in evaluation.worst[:MOST]]
    if "confusion" in evaluation.tally:
        return misclassified(trained, split, indices)
    return misjudged(trained, split, indices)


def misclassified(trained: Trained, split: Split, indices: Sequence[int]) -> Section | None:
    """Pictures with true → predicted class and how probable the network holds what it says."""
    _, targets, probabilities = trained.outputs(split, indices)
    names = trained.names(probabilities.shape[1])
    confidence, predicted = probabilities.float().max(dim=1)
    judged = list(zip(indices, targets.tolist(), predicted.tolist(), confidence.tolist()))
    wrong = [one for one in judged if one[1] != one[2]]
    shown = wrong or judged[: 2 * COLUMNS]
    lines = [
        (f"{names[true]} → {names[said_]}" if true != said_ else names[true], sure) for _, true, said_, sure in shown
    ]
    captions = [f"{line}\n{percent(sure)}" for line, sure in lines]
    errors = int(trained.evaluation.scores.get("errors", len(wrong))) if trained.evaluation else len(wrong)
    title = (
        f"The worst {len(wrong)} of {errors:,} errors on {split}"
        if wrong
        else f"No errors on {split}: the least certain"
    )
    if len(wrong) == errors and wrong:
        title = f"All {errors} errors on {split}" if errors > 1 else f"The one error on {split}"
    note = "True class → predicted class, and the probability given to the prediction; the least probable truth first."
    return gallery(trained, split, [i for i, *_ in shown], captions, title, note)


def misjudged(trained: Trained, split: Split, indices: Sequence[int]) -> Section | None:
    """What is true and what the network says, where there is more to say than one class."""
    inputs, _, outputs = trained.outputs(split, indices)
    examples = trained.task.examples(split)
    predictions = trained.task.predict(outputs, inputs, Decoding())
    targets = [examples[i][1] for i in indices]
    names = trained.names(next((len(t) for t in targets if isinstance(t, Tensor) and t.dim() == 1), 0))
    pairs = [(said(target, names), said(prediction, names)) for target, prediction in zip(targets, predictions)]
    title = f"The worst {len(indices)} on {split}"
    if image_in(examples[indices[0]][0]) is None:
        rows = [(said(examples[i][0], names)[:300], *pair) for i, pair in zip(indices[:20], pairs)]
        return Section("Worst errors", [table(["input", "true", "predicted"], rows)])
    captions = [f"true: {true}\n{prediction}" for true, prediction in pairs]
    return gallery(
        trained, split, indices, captions, title, "What is true, and below it what the network says; the worst first."
    )


def gallery(
    trained: Trained, split: Split, indices: Sequence[int], captions: Sequence[str], title: str, note: str
) -> Section | None:
    examples: Any = trained.task.examples(split)
    images: list[tuple[Image | Tensor, str]] = []
    for i, caption in zip(indices, captions):
        if (image := image_in(examples[i][0])) is not None:
            images.append((image, caption))
    if not images:
        return None
    return Section("Worst errors", [Figure("worst", picture.sheet(images, min(COLUMNS, len(images)), title), note)])
