"""Loss against wall time: a language model twice, from the same weights on the same batches: `python -m bench.curves`.

Two LSTMs of 512 between an embedding and a linear layer, tinyshakespeare, 100 letters of 32 places at a time, the state
carried, Adam. Once the layers are `nn.LSTM`, once legato's; all else is the same code. They take turns of STRIP steps,
so that what else the machine does hits both alike; validation is outside the clock. Draws docs/pictures/curves.png.
"""

import argparse
import json
import os
import sys
import time
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from bench.timing import RESULTS, busy
from legato.device import choose
from legato.picture.page import Lines, page
from legato.recurrent.cells import LSTM
from legato.recurrent.scan import Lookup
from legato.recurrent.stack import Stack

WIDTH, DEPTH, STEPS, ROWS, STRIP, RATE = 512, 2, 100, 32, 25, 2e-3
PICTURE = Path(__file__).parent.parent / "docs" / "pictures" / "curves.png"


class Torch(nn.Module):
    """The model on `nn.LSTM`."""

    def __init__(self, letters: int) -> None:
        super().__init__()
        self.embed, self.head = nn.Embedding(letters, WIDTH), nn.Linear(WIDTH, letters)
        self.lstm = nn.LSTM(WIDTH, WIDTH, DEPTH)

    def forward(self, ids: Tensor, state: object) -> tuple[Tensor, object]:
        hs, (h, c) = self.lstm(self.embed(ids), state)
        return self.head(hs), (h.detach(), c.detach())


class Ours(nn.Module):
    """The same model on legato's stack."""

    def __init__(self, letters: int) -> None:
        super().__init__()
        self.embed, self.head = nn.Embedding(letters, WIDTH), nn.Linear(WIDTH, letters)
        self.stack = Stack(LSTM, WIDTH, WIDTH, DEPTH)

    def forward(self, ids: Tensor, state: object) -> tuple[Tensor, object]:
        hs, states = self.stack(Lookup(self.embed.weight, ids), state)
        return self.head(hs), tuple(tuple(s.detach() for s in one) for one in states)


@torch.no_grad()
def take_over(ours: Ours, theirs: Torch) -> None:
    """The weights of `theirs`: nn.LSTM keeps the gates i, f, g, o in one matrix, and two biases where one does."""
    ours.embed.load_state_dict(theirs.embed.state_dict())
    ours.head.load_state_dict(theirs.head.state_dict())
    for k, cell in enumerate(ours.stack.cells):
        W, U, b, d = (getattr(theirs.lstm, f"{name}_l{k}") for name in ("weight_ih", "weight_hh", "bias_ih", "bias_hh"))
        i, f, g, o = torch.cat([U, W, (b + d)[:, None]], 1).chunk(4)
        both = torch.cat([i, f, o, g])
        cell.ifog.weight.copy_(both[:, :-1])
        cell.ifog.bias.copy_(both[:, -1])


def read() -> tuple[Tensor, Tensor, int]:
    """Training and validation letters, (time, rows), and how many letters there are; the last tenth is validation."""
    folder = Path(os.environ.get("LEGATO_DATA") or sys.exit("curves: set LEGATO_DATA to the folder of real data sets"))
    text = "".join(file.read_text() for file in sorted((folder / "text" / "tinyshakespeare").iterdir()))
    letters = sorted(set(text))
    numbers = {letter: n for n, letter in enumerate(letters)}
    ids = torch.tensor([numbers[letter] for letter in text])
    train, valid = ids[: -len(ids) // 10], ids[-len(ids) // 10 :]
    rows = lambda ids: ids[: len(ids) // ROWS * ROWS].view(ROWS, -1).T.contiguous()
    return rows(train), rows(valid)[:2001], len(letters)


class Course:
    """A training that stops and goes on, with a clock of its own."""

    def __init__(self, net: nn.Module, half: bool) -> None:
        self.net, self.half = net, half
        self.rule = torch.optim.Adam(net.parameters(), RATE, fused=True)
        self.at, self.state, self.seconds = 0, None, 0.0
        self.curve: list[tuple[int, float, float]] = []  # step, seconds, nats a letter of validation

    def loss(self, ids: Tensor) -> Tensor:
        with torch.autocast("cpu", torch.bfloat16, enabled=self.half):
            logits, self.state = self.net(ids[:-1], self.state)
        return cross_entropy(logits.float().flatten(0, 1), ids[1:].flatten())

    def go_on(self, train: Tensor) -> None:
        began = time.perf_counter()
        for _ in range(STRIP):
            first = self.at * STEPS % (len(train) - STEPS - 1)
            self.loss(train[first : first + STEPS + 1]).backward()
            nn.utils.clip_grad_norm_(self.net.parameters(), 1.0)
            self.rule.step()
            self.rule.zero_grad()
            self.at += 1
        self.seconds += time.perf_counter() - began

    @torch.no_grad()
    def judge(self, valid: Tensor) -> float:
        kept, self.state = self.state, None
        losses = [float(self.loss(valid[t : t + STEPS + 1])) for t in range(0, len(valid) - STEPS, STEPS)]
        self.state = kept
        self.curve.append((self.at, self.seconds, sum(losses) / len(losses)))
        return self.curve[-1][2]


def drawn(curves: dict[str, list[tuple[int, float, float]]]) -> None:
    """Loss by time, and by step: the same curve, sooner."""
    by_time = {name: ([s / 60 for _, s, _ in curve], [y for *_, y in curve]) for name, curve in curves.items()}
    by_step = {name: ([step for step, *_ in curve], [y for *_, y in curve]) for name, curve in curves.items()}
    panels = [Lines(by_time, "by time", "minutes", "nats a letter"), Lines(by_step, "by step", "steps")]
    page(panels, "tinyshakespeare, two LSTMs of 512", side=3.6).save(PICTURE)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--strips", type=int, default=12)
    told = parser.parse_args()
    torch.set_num_threads(told.threads)
    torch.manual_seed(0)
    train, valid, letters = read()
    theirs, ours = Torch(letters), Ours(letters)
    take_over(ours, theirs)
    half = choose().precision == "bf16"
    courses = {"nn.LSTM": Course(theirs, half), "legato": Course(ours, half)}
    before, own, began = busy(), time.process_time(), time.perf_counter()
    for strip in range(told.strips + 1):
        for name, course in courses.items():
            if strip:
                course.go_on(train)
            print(f"{name:8} step {course.at:4}  {course.seconds:7.1f} s  {course.judge(valid):.4f} nats", flush=True)
    wall = (time.perf_counter() - began) * (os.cpu_count() or 1)
    others = max(0.0, busy() - before - (time.process_time() - own)) / wall
    a, b = (course.seconds for course in courses.values())
    print(f"the same steps in {a / b:.2f} × less time; others used {others:.0%} of the machine")
    found = {"ratio": a / b, "others": others, "threads": told.threads, **{n: c.curve for n, c in courses.items()}}
    RESULTS.mkdir(exist_ok=True)
    (RESULTS / "curves.json").write_text(json.dumps(found))
    drawn({name: course.curve for name, course in courses.items()})


if __name__ == "__main__":
    main()
