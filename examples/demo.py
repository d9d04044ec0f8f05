"""LeNet-5 on 1,797 real handwritten digits: train, evaluate, explain one answer, report. Under a minute on a laptop."""

import shutil
import sys
from pathlib import Path

import legato
from legato.explain import occlusion
from legato.progress import choose

FOLDER = Path(sys.argv[1] if len(sys.argv) > 1 else "runs/demo")
SHADES = " ░▒▓█"


def on_screen(values, names=SHADES):
    """A map of numbers as two characters a pixel."""
    values = (values - values.min()) / (values.max() - values.min() + 1e-9)
    return ["".join(2 * names[int(v * (len(names) - 1) + 0.5)] for v in row) for row in values.tolist()]


def main() -> None:
    shutil.rmtree(FOLDER, ignore_errors=True)
    run = legato.train("digits", network="lenet5", to=FOLDER, epochs=15, show=choose())
    scores = run.evaluate("test")
    print(f"\ntest: {scores['errors']} errors of {scores['count']} ({scores['accuracy']:.1%} right)\n")

    image, truth = run.task.examples("test")[7]
    [answer] = run.answer([image], legato.Decoding())
    x = run.task.encode_inputs([image])
    evidence = lambda x: run.task.evidence(run.task.outputs(run.network, x, None)[0], answer["class"])
    lost = occlusion(evidence, x, patch=6, stride=1)[2:26:3, 2:26:3]
    said = f"{answer['class']} ({answer['probability']:.1%})"
    print(f"a {run.task.names[truth]} read as {said}; at the right, the pixels that answer rests on:")
    for left, right in zip(on_screen(image.pixels[0].float()), on_screen(lost)):
        print(f"  {left}    {right}")
    print(f"\nreport: {FOLDER / 'report.html'}\nnext:   legato predict {FOLDER} FILE, legato describe lenet5")


if __name__ == "__main__":
    main()
