"""Batches of tensors for one pass, prepared ahead by threads. What comes out does not depend on how many there are."""

from collections import deque
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, NamedTuple

from legato.distributed import World
from legato.draws import Draws, generator
from legato.recipe import Recipe
from legato.task import Split, Task


class Batch(NamedTuple):
    """A micro-batch of this process: which examples, and the tensors they make."""

    indices: list[int]
    inputs: Any
    targets: Any


def order(task: Task[Any, Any, Any], split: Split, recipe: Recipe, epoch: int) -> list[list[int]]:
    """The global batches of a pass: shuffled by (seed, epoch) in training, in order elsewhere."""
    rng = generator(recipe.seed, "order", epoch) if split == "train" else None
    return task.batches(task.examples(split), recipe.batch_size, rng)


def loader(
    task: Task[Any, Any, Any], split: Split, recipe: Recipe, world: World, epoch: int = 0, first: int = 0
) -> Iterator[list[Batch]]:
    """The pass from global batch `first` on: for each, this process's micro-batches (`recipe.accumulate` of them)."""
    examples, address = task.examples(split), (recipe.seed, "augment", epoch)
    parts = recipe.accumulate if split == "train" else 1

    def prepare(group: list[int]) -> list[Batch]:
        own = world.share(group)
        micro = [m for m in (own[i::parts] for i in range(parts)) if m]
        draws = [Draws(address, m) if split == "train" else None for m in micro]
        return [Batch(m, *task.batch(examples, m, d)) for m, d in zip(micro, draws)]

    groups = order(task, split, recipe, epoch)[first:]
    if recipe.workers == 0 or getattr(examples, "in_memory", False):  # threads beside the network's halve its speed
        yield from map(prepare, groups)
        return
    yield from ahead(prepare, groups, recipe.workers)


def ahead(prepare: Any, groups: Sequence[list[int]], workers: int) -> Iterator[list[Batch]]:
    """`map(prepare, groups)` in order, up to two groups a worker ahead of who asks.

    Threads, not processes: decoding and tensor arithmetic release the interpreter's lock.
    """
    with ThreadPoolExecutor(workers, "loader") as pool:
        waiting: deque[Future[list[Batch]]] = deque()
        try:
            for group in groups:
                waiting.append(pool.submit(prepare, group))
                if len(waiting) > 2 * workers:
                    yield waiting.popleft().result()
            while waiting:
                yield waiting.popleft().result()
        finally:  # whoever asks may stop half-way
            for future in waiting:
                future.cancel()
