"""Numbers against numbers: sums over examples, and what is made of them. A missing target is NaN."""

from jaxtyping import Float
from torch import Tensor


def tally(outputs: Float[Tensor, "b k"], targets: Float[Tensor, "b k"]) -> dict[str, Tensor]:
    """For each target: known examples, Σ|ŷ − y|, Σ(ŷ − y)², Σy, Σy²."""
    known = ~targets.isnan()
    y = targets.nan_to_num().double()
    error = (outputs.double() - y) * known
    parts = {"absolute": error.abs(), "squared": error.square(), "sum": y * known, "sum_squares": y.square() * known}
    return {"count": known.sum(0)} | {name: part.sum(0) for name, part in parts.items()}


def scores(tally: dict[str, Tensor]) -> dict[str, float]:
    """r2 (mean over targets, 1 − Σ(ŷ − y)² / Σ(y − ȳ)²), rmse, mae, count."""
    n = tally["count"].clamp(min=1).double()
    spread = tally["sum_squares"] - tally["sum"].square() / n
    r2 = 1 - tally["squared"] / spread.clamp(min=1e-12)
    return {
        "r2": float(r2.mean()),
        "rmse": float((tally["squared"].sum() / n.sum()).sqrt()),
        "mae": float(tally["absolute"].sum() / n.sum()),
        "count": int(tally["count"].max()),
    }
