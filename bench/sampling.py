"""Letters a second out of two LSTMs of 512, beside the loops a user would write: `python -m bench.sampling`.

Batch 1, and 64 texts at once. Every contestant draws as many letters after one letter, the state kept.
"""

import argparse
from collections.abc import Callable

import torch
from torch import Tensor, nn

from bench.recurrent import LETTERS, Job, race
from legato.device import multiplies_bf16
from legato.recurrent.cells import LSTM
from legato.recurrent.generate import Sampler

WIDTH, DEPTH, COUNT = 512, 2, 100


def by_module(rows: int) -> Job:
    """`nn.LSTM` called for one step after another, as tutorials do."""
    embed, lstm, head = nn.Embedding(LETTERS, WIDTH), nn.LSTM(WIDTH, WIDTH, DEPTH), nn.Linear(WIDTH, LETTERS)
    state: list[tuple[Tensor, Tensor] | None] = [None]

    def step(ids: Tensor) -> Tensor:
        hs, state[0] = lstm(embed(ids)[None], state[0])
        return head(hs[0])

    return looped(step, rows)


def by_cells(rows: int) -> Job:
    """`nn.LSTMCell`s in a loop."""
    embed, head = nn.Embedding(LETTERS, WIDTH), nn.Linear(WIDTH, LETTERS)
    cells = [nn.LSTMCell(WIDTH, WIDTH) for _ in range(DEPTH)]
    state = [(torch.zeros(rows, WIDTH), torch.zeros(rows, WIDTH)) for _ in cells]

    def step(ids: Tensor) -> Tensor:
        x = embed(ids)
        for k, cell in enumerate(cells):
            state[k] = cell(x, state[k])
            x = state[k][0]
        return head(x)

    return looped(step, rows)


def looped(step: Callable[[Tensor], Tensor], rows: int) -> Job:
    @torch.inference_mode()
    def write() -> None:
        ids = torch.zeros(rows, dtype=torch.long)
        for _ in range(COUNT):
            ids = torch.multinomial(step(ids).softmax(-1), 1)[:, 0]

    return write


def ours(rows: int, precision: torch.dtype) -> Job:
    cells, table = [LSTM(WIDTH, WIDTH) for _ in range(DEPTH)], torch.randn(LETTERS, WIDTH)
    sampler = Sampler(cells, table, nn.Linear(WIDTH, LETTERS), precision)
    prompt, uniforms = torch.zeros(1, rows, dtype=torch.long), torch.rand(COUNT, rows)
    return lambda: sampler(prompt, uniforms)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=7)
    told = parser.parse_args()
    torch.set_num_threads(told.threads)
    for rows in (1, 64):
        jobs: dict[str, Job | None] = {
            "nn.LSTM, step by step": by_module(rows),
            "nn.LSTMCell, step by step": by_cells(rows),
            "legato fp32": ours(rows, torch.float32),
            "legato bf16": ours(rows, torch.bfloat16) if multiplies_bf16("cpu") else None,
        }
        title = f"sampling {COUNT} letters, LSTM {WIDTH} x {DEPTH}, {rows} at once"
        race(title, jobs, told.rounds, COUNT * rows, "letters/s")


if __name__ == "__main__":
    main()
