"""The contract of tasks, kept by the smallest ones; and that it notices what it is for."""

from pathlib import Path

import pytest
from torch import Tensor, nn

from legato.task import Step, Tally
from tests.contract import check_task
from tests.toy import Toy


def test_the_toy_keeps_it(tmp_path):
    check_task(Toy(dropout=0.0), tmp_path)


class Means(Toy):
    """Its sums are means, which do not add up."""

    def tally(self, outputs: Tensor, targets: Tensor) -> Tally:
        return {k: v / len(targets) for k, v in super().tally(outputs, targets).items()}


class Deaf(Toy):
    """Its loss does not look at the targets."""

    def loss(self, net: nn.Module, inputs: Tensor, targets: Tensor, carry: object) -> Step:
        return Step({"class": net(inputs).square().mean() * 0 + 1})


@pytest.mark.parametrize(("kind", "clause"), [(Means, "sums of"), (Deaf, "not learnt")])
def test_it_notices_what_it_is_for(kind: type[Toy], clause: str, tmp_path: Path):
    with pytest.raises(AssertionError, match=clause):
        check_task(kind(dropout=0.0), tmp_path)
