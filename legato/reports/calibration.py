"""Whether the network is right as often as it says it is."""

from legato import picture
from legato.reports.page import Figure, Section
from legato.reports.trained import Trained


def section(trained: Trained) -> Section | None:
    by_confidence = trained.tally.get("calibration")
    if by_confidence is None or by_confidence.sum() == 0:
        return None
    drawn = picture.reliability(by_confidence, f"Calibration on {trained.split}")
    note = (
        "Of the predictions made with so much confidence, how many are right. Bars below the line: too sure of itself; "
        "above it: not sure enough. The calibration error is the mean height of the hatched gaps, weighted by count."
    )
    return Section("Calibration", [Figure("calibration", drawn, note)])
