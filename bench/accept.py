"""The trainings behind docs/results.md: `make accept`. Prints its cost, does what is not done yet, writes the table.

Everything goes through the command line as a user types it. Rows that are done are kept in bench/results/accept.json
and not repeated; delete a row there to do it again. `python bench/accept.py NAME …` does only these. A row's training
that was interrupted is resumed.
"""

import json
import os
import shlex
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from statistics import mean, stdev
from typing import Any, NamedTuple

HERE = Path(__file__).parent
STORE = HERE / "results" / "accept.json"
TABLE = HERE.parent / "docs" / "results.md"
RUNS = Path(os.environ.get("LEGATO_RUNS", "runs/accept"))
MARKS = ("<!-- accept: begin -->\n", "<!-- accept: end -->")


class Row(NamedTuple):
    """A line of the table: a training for each seed, and what is read of it once."""

    name: str
    what: str
    train: str  # arguments of `legato train`; {data} is the folder of data sets
    minutes: float  # expected for all seeds, on two cores
    score: str = "accuracy"
    seeds: tuple[int, ...] = (0,)
    split: str = "test"  # or `metrics`: the last line of metrics.jsonl; `folds`: the mean over folds; `attack`
    members: tuple[str, ...] = ()  # rows whose runs make an ensemble, instead of a training
    made: str = ""  # arguments of `legato data`; {made} in `train` is the folder it fills
    views: int = 1  # ways in which each test example is looked at


ATTACKED = 2000  # test pictures, to measure what a network withstands
THREE = (0, 1, 2)
BENT = "--augmentation rotate15,scale15,shear15,shift2,elastic20"
BENT_20 = f"{{data}}/mnist --epochs 20 {BENT}"
BENT_45 = f"{{data}}/mnist --epochs 45 --fold all {BENT}"
DIGITNETS = ("mnist-digitnet", "mnist-digitnet-20", "mnist-digitnet-bent", "mnist-digitnet-45")
IMAGENET = "{data}/pretrained/squeezenet1_1/squeezenet1_1_fp16.npz"
PROBE = f"--network squeezenet --start-from {IMAGENET} --freeze trunk"
LINEAR = f"--start-from {IMAGENET} --freeze trunk --fit stretch"
START = f"--start-from {IMAGENET}"
FCN = f"{START} --lr 1e-3 --augmentation flip,scale40,light"
ROADS = f"{START} --network fpn --dice 1 --epochs 40 --lr 1e-3 --augmentation flip,updown,rotate45,scale40,light"
CELLS = "--augmentation flip,updown,light"
DEPTH = "{data}/cifar10_small --epochs 8 --augmentation cifar --network"
ROWS = [
    Row("mnist-quicknet", "MNIST, quicknet: 99 % after seconds", "{data}/mnist --network quicknet", 1, seeds=THREE),
    Row("mnist-lenet5", "MNIST, LeNet-5 as by default", "{data}/mnist --network lenet5", 5, "errors", THREE),
    Row(
        "mnist-lenet5-best",
        "MNIST, LeNet-5, 60 epochs of all of train",
        "{data}/mnist --network lenet5 --epochs 60 --fold all",
        8,
        "errors",
    ),
    Row("mnist-digitnet", "MNIST, as by default", "{data}/mnist", 25, "errors", (0, 1)),
    Row("mnist-digitnet-20", "MNIST, digitnet, 20 epochs", "{data}/mnist --epochs 20", 20, "errors", (2,)),
    Row("mnist-digitnet-bent", "MNIST, digitnet, stronger variations", BENT_20, 33, "errors", (1,)),
    Row("mnist-digitnet-45", "MNIST, digitnet, 45 epochs of all of train", BENT_45, 83, "errors"),
    Row("mnist-ensemble", "MNIST, the five digitnets together", "", 1, "errors", members=DIGITNETS),
    Row("cifar10-resnet", "cifar10_small (10,000), from scratch", "{data}/cifar10_small", 6),
    Row("gtsrb", "gtsrb_small, from scratch", "{data}/gtsrb_small --augmentation rotate10,scale10,shift3", 3),
    Row("caltech-probe", "caltech101_20, last stage of SqueezeNet", f"{{data}}/caltech101_20 {LINEAR}", 2, seeds=THREE),
    Row("caltech-scratch", "caltech101_20, from scratch", "{data}/caltech101_20 --network resnet18 --size 96", 25),
    Row(
        "galaxies",
        "galaxies_small, 5 folds",
        f"{{data}}/galaxies_small {PROBE} --folds 5",
        3,
        seeds=THREE,
        split="folds",
    ),
    Row(
        "shakespeare",
        "tinyshakespeare, 2 LSTMs of 512, last tenth",
        "{data}/text/tinyshakespeare",
        45,
        "nats_per_character",
        split="valid",
    ),
    Row("trec", "TREC questions, 6 classes, Kim's CNN", "{data}/trec_questions --fold all", 8, seeds=THREE),
    Row("trec-ensemble", "TREC, the three of them", "", 1, members=("trec",)),
    Row("rt-polarity", "RT polarity, 10 folds, Kim's CNN", "{data}/rt_polarity --folds 10", 26, split="folds"),
    Row(
        "multi30k",
        "Multi30K, German to English, GRU with attention",
        "translate {data}/multi30k --source de --target en",
        60,
        "bleu",
    ),
    Row("tagger", "UD English EWT, universal tags, BLSTM", "{data}/ud_english_ewt", 8),
    Row(
        "withstands",
        "MNIST, trained on attacks: PGD-40, 5 restarts, ε 0.3",
        "classify {data}/mnist --network wong --augmentation none --adversarial 0.3x5",
        25,
        split="attack",
    ),
    Row(
        "camvid-fcn8s",
        "CamVid, FCN-8s on SqueezeNet",
        f"segment {{data}}/camvid {FCN} --network fcn8s --epochs 60",
        25,
        "mean_iou",
    ),
    *(
        Row(
            f"camvid-{n}-4",
            f"CamVid, {n.upper()}, 4 epochs",
            f"segment {{data}}/camvid {FCN} --network {n} --epochs 4",
            9,
            "mean_iou",
        )
        for n in ("fcn8s", "fcn16s", "fcn32s")
    ),
    Row(
        "roads",
        "Massachusetts roads, FPN, 8 views of a tile",
        f"segment {{data}}/massachusetts_roads {ROADS}",
        20,
        "iou/foreground",
        views=8,
    ),
    *(
        Row(f"bccd-{n}", f"BCCD, {what}", f"detect {{data}}/bccd {START} --network {n} {how}", minutes, "AP50")
        for n, what, how, minutes in (
            ("faster_rcnn_pyramid", "Faster R-CNN with a pyramid", f"--epochs 30 {CELLS}", 38),
            ("yolo", "YOLO v1, S = 7", f"--epochs 80 {CELLS},zoom", 35),
            ("yolo_fine", "YOLO v1, S = 14", f"--epochs 80 {CELLS},zoom", 35),
            ("rcnn", "R-CNN of 2014", "", 35),
        )
    ),
    Row(
        "bccd-resnet18",
        "BCCD, Faster R-CNN with a pyramid, ResNet-18 from scratch",
        f"detect {{data}}/bccd --network faster_rcnn_pyramid --trunk resnet18 --size 160 --epochs 10 {CELLS}",
        20,
        "AP50",
    ),
    Row(
        "nuclei",
        "nuclei, Mask R-CNN",
        f"instances {{data}}/nuclei {START} --epochs 8 {CELLS}",
        40,
        "AP50",
        split="valid",
    ),
    Row(
        "localize",
        "2,000 drawn scenes with one object each: class and box",
        f"localize {{made}} {START} --epochs 8",
        25,
        "mean_iou",
        made="--make scenes {made} --task localize --count 2000 --size 128",
    ),
    Row(
        "captions",
        "Flickr8k, 700 pictures: show, attend and tell",
        f"caption {{data}}/flickr8k_small {START}",
        15,
        "bleu",
    ),
    Row("lsp", "Leeds Sports Pose, heat maps", f"pose {{data}}/lsp {START} --epochs 30", 33, "pck@0.2"),
    *(
        Row(f"depth-{n}", f"degradation: training loss of {n}", f"{DEPTH} {n}", minutes, "train/class", split="metrics")
        for n, minutes in (("plain20", 2), ("plain56", 5), ("resnet20", 2), ("resnet56", 5))
    ),
]


def main(names: list[str]) -> None:
    data = os.environ.get("LEGATO_DATA")
    if not data:
        sys.exit("accept: set LEGATO_DATA to the folder of real data sets")
    done = kept()
    todo = [row for row in ROWS if row.name not in done and (not names or row.name in names)]
    print(f"{len(done)} rows done; {len(todo)} to do, about {sum(r.minutes for r in todo):.0f} minutes on two cores")
    for row in todo:
        print(f"— {row.name}: {row.what} (about {row.minutes:g} min)", flush=True)
        found = measured(row, data)
        done = kept() | {row.name: found}  # other rows may have been done beside this one
        STORE.parent.mkdir(exist_ok=True)
        STORE.write_text(json.dumps(done, indent=1))
        write_table(done)
    write_table(done)


def kept() -> dict[str, Any]:
    """What has been measured before."""
    return json.loads(STORE.read_text()) if STORE.exists() else {}


def measured(row: Row, data: str) -> dict[str, object]:
    """Train what is not trained yet, read the score once, and say with what."""
    if row.members:
        folders = [str(RUNS / f"{name}-{seed}") for name in row.members for seed in by_name(name).seeds]
        found = legato("evaluate", *folders, "--split", row.split, "--json")
        return {"scores": [found[row.score]], "n": found["count"], "minutes": 0, "commit": commit()}
    reads, minutes = [], 0.0
    made = RUNS / f"{row.name}-data"
    if row.made and not made.exists():
        legato("data", *shlex.split(row.made.format(made=made)))
    for seed in row.seeds:
        run = RUNS / f"{row.name}-{seed}"
        if (run / "run.json").exists():
            legato("resume", str(run))
        elif not (run / "summary.json").exists():
            legato(
                "train",
                *shlex.split(row.train.format(data=data, made=made)),
                "--seed",
                str(seed),
                "--to",
                str(run),
            )
        reads.append(READ.get(row.split, read_split)(run, row))
        minutes += minutes_of(run)
    found = {"scores": [read.score for read in reads], "n": reads[-1].judged}
    between = {"between": reads[0].between} if len(reads) == 1 and reads[0].between else {}
    return {**found, **between, "minutes": round(minutes / len(reads), 2), "commit": commit()}


class Read(NamedTuple):
    """What a run scores, on how many examples, and between what a bootstrap over them puts it, if there is one."""

    score: float
    judged: int
    between: tuple[float, ...] = ()


def read_split(run: Path, row: Row) -> Read:
    found = legato("evaluate", str(run), "--split", row.split, "--views", str(row.views), "--json")
    judged = next((found[name] for name in ("count", "words", "characters") if name in found), None)
    examples = json.loads((run / "run.json").read_text())["task"]["learnt"]["examples"]  # of train, valid and test
    between = tuple(found[f"{row.score} {end}"] for end in ("low", "high") if f"{row.score} {end}" in found)
    return Read(found[row.score], int(judged or examples[("train", "valid", "test").index(row.split)]), between)


def read_attack(run: Path, row: Row) -> Read:
    how = f"--curve --points 1 --epsilon 0.3 --steps 40 --restarts 5 --count {ATTACKED} --json"
    return Read(legato("attack", str(run), *how.split())["accuracy"][-1], ATTACKED)


def read_metrics(run: Path, row: Row) -> Read:
    lines = (run / "metrics.jsonl").read_text().splitlines()
    examples = json.loads((run / "run.json").read_text())["task"]["learnt"]["examples"]
    return Read(json.loads(lines[-1])[row.score], examples[0])


def read_folds(run: Path, row: Row) -> Read:
    folds = [json.loads(file.read_text())["task"]["learnt"]["examples"] for file in sorted(run.glob("fold*/run.json"))]
    found = json.loads((run / "summary.json").read_text())[f"valid/{row.score}"]
    return Read(found["mean"], sum(valid for _, valid, _ in folds))


READ: dict[str, Callable[[Path, Row], Read]] = {
    "metrics": read_metrics,
    "folds": read_folds,
    "attack": read_attack,
}


def minutes_of(run: Path) -> float:
    lines = [line for file in run.rglob("timing.jsonl") for line in file.read_text().splitlines()]
    return sum(json.loads(line)["seconds"] for line in lines) / 60


def legato(*arguments: str) -> dict[str, Any]:
    done = subprocess.run([sys.executable, "-m", "legato", *arguments], stdout=subprocess.PIPE, text=True)
    if done.returncode:
        sys.exit(f"accept: legato {shlex.join(arguments)} ended with {done.returncode}")
    return json.loads(done.stdout) if "--json" in arguments else {}


def by_name(name: str) -> Row:
    return next(row for row in ROWS if row.name == name)


def commit() -> str:
    return subprocess.run(["git", "rev-parse", "--short", "HEAD"], capture_output=True, text=True).stdout.strip()


def write_table(done: dict[str, dict]) -> None:
    """The part of docs/results.md between the marks."""
    lines = ["| row | what | score | n | seeds | minutes each | commit |", "|---|---|---|---|---|---|---|"]
    for row in ROWS:
        if (found := done.get(row.name)) is None:
            lines.append(f"| {row.name} | {row.what} | *not run* | | | about {row.minutes:g} in all | |")
            continue
        cells = [
            row.name,
            row.what,
            shown(row, found["scores"], found.get("between", [])),
            found["n"],
            len(found["scores"]),
        ]
        lines.append(f"| {' | '.join(map(str, [*cells, found['minutes'], found['commit']]))} |")
    lines += ["", "```", *(f"{row.name:20} {command(row)}" for row in ROWS), "```", ""]
    text = TABLE.read_text()
    before, _, rest = text.partition(MARKS[0])
    TABLE.write_text(before + MARKS[0] + "\n".join(lines) + MARKS[1] + rest.partition(MARKS[1])[2])


def command(row: Row) -> str:
    if row.members:
        return f"legato evaluate {' '.join(f'{m}-{s}' for m in row.members for s in by_name(m).seeds)} --split test"
    first = f"legato data {row.made.format(made='DATA')} && " if row.made else ""
    then = f" && legato evaluate RUN --views {row.views}" if row.views > 1 else ""
    return f"{first}legato train {row.train.format(data='$LEGATO_DATA', made='DATA')}{then}"


def shown(row: Row, values: list[float], between: list[float]) -> str:
    share = row.score in ("accuracy", "f1")
    texts = [f"{v:.2%}" if share else f"{v:.4g}" for v in ([mean(values), stdev(values)] if values[1:] else values)]
    interval = f" ({'–'.join(f'{v:.3f}' for v in between)})" if between else ""
    return f"{' ± '.join(texts)}{interval} {row.score}"


if __name__ == "__main__":
    main(sys.argv[1:])
