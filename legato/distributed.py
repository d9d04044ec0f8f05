"""Alone, or one of several processes under torchrun. The only file that imports torch.distributed."""

import os
from typing import Any, NamedTuple

import torch
from torch import Tensor, distributed, nn
from torch.nn.parallel import DistributedDataParallel


class World(NamedTuple):
    """Which process this is, of how many."""

    rank: int = 0
    size: int = 1
    local: int = 0

    @property
    def first(self) -> bool:
        """The one that writes files and speaks."""
        return self.rank == 0

    def share(self, batch: list[int]) -> list[int]:
        """This process's part of a global batch. Batches do not depend on how many processes there are."""
        return batch[self.rank :: self.size]

    def wrap(self, net: nn.Module) -> nn.Module:
        """Gradients averaged over the processes (Li et al. 2020, "PyTorch Distributed")."""
        return DistributedDataParallel(net) if self.size > 1 else net

    def sum(self, tally: dict[str, Tensor]) -> dict[str, Tensor]:
        """Each process's sums, added up, in every process."""
        if self.size > 1:
            for value in tally.values():
                distributed.all_reduce(value)
        return tally

    def total(self, number: float) -> float:
        return float(self.sum({"n": torch.tensor(number, dtype=torch.float64)})["n"]) if self.size > 1 else number

    def gather(self, thing: list[Any]) -> list[Any]:
        """The lists of all processes, one after another: plain content, or tensors on the CPU."""
        if self.size == 1:
            return thing
        parts: list[list[Any]] = [[] for _ in range(self.size)]
        distributed.all_gather_object(parts, thing)
        return [item for part in parts for item in part]

    def any(self, here: bool) -> bool:
        """Whether it is so in any process: all of them hear the same."""
        return self.total(float(here)) > 0

    def wait(self) -> None:
        if self.size > 1:
            distributed.barrier()


def join() -> World:
    """Join the processes torchrun has started, if it has."""
    size = int(os.environ.get("WORLD_SIZE", 1))
    if size == 1:
        return World()
    local = int(os.environ.get("LOCAL_RANK", 0))
    if not distributed.is_initialized():
        if torch.cuda.is_available():
            torch.cuda.set_device(local)
        # sums of counts are added up on the CPU, gradients where they are
        distributed.init_process_group("cpu:gloo,cuda:nccl" if torch.cuda.is_available() else "gloo")
    return World(distributed.get_rank(), size, local)


def first() -> bool:
    """Whether this process is the one that speaks, whether or not it has joined the others."""
    return os.environ.get("RANK", "0") == "0"


def leave() -> None:
    if distributed.is_initialized():
        distributed.destroy_process_group()
