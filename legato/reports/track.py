"""The same numbers and pictures as event files, for TensorBoard."""

from collections.abc import Sequence

import numpy as np

from legato.errors import UsageError
from legato.reports.making import clock_of
from legato.reports.page import Figure
from legato.reports.trained import Trained

SUFFIX = ".legato"


def write_events(trained: Trained, figures: Sequence[Figure]) -> None:
    """events.out.tfevents.*.legato in the run's folder, in place of those written before.

    Raises UsageError where tensorboard is not installed.
    """
    try:
        from torch.utils.tensorboard import SummaryWriter
    except ImportError:
        raise UsageError("tracking needs tensorboard: pip install 'legato[track]'") from None
    folder = trained.run.folder
    for old in folder.glob(f"events.out.tfevents.*{SUFFIX}"):
        old.unlink()
    when = {line.get("step"): line.get("time") for line in clock_of(trained.run)}
    with SummaryWriter(str(folder), filename_suffix=SUFFIX) as writer:
        for line in trained.metrics:
            step = int(line["step"])
            for name, value in line.items():
                if name != "step":
                    writer.add_scalar(name, value, step, when.get(step))
        for figure in figures:
            writer.add_image(figure.name, np.asarray(figure.picture), dataformats="HWC")
