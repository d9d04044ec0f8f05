"""BLEU by sacrebleu (Papineni et al. 2002; Post 2018), as sums that add up over batches."""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from legato.errors import UsageError

ORDER = 4  # n-grams up to four words


def tally(hypotheses: Sequence[str], references: Sequence[str]) -> dict[str, Tensor]:
    """How many n-grams of the hypotheses the references have, how many there are, and the lengths of both."""
    found = metric().corpus_score(list(hypotheses), [list(references)]) if hypotheses else None
    if found is None:
        return {name: torch.zeros(size, dtype=torch.long) for name, size in (("matched", ORDER), ("ngrams", ORDER))} | {
            "lengths": torch.zeros(3, dtype=torch.long)
        }
    return {
        "matched": torch.tensor(found.counts),
        "ngrams": torch.tensor(found.totals),
        "lengths": torch.tensor([found.sys_len, found.ref_len, len(hypotheses)]),
    }


def scores(tally: dict[str, Tensor]) -> dict[str, float]:
    """BLEU in percent, the brevity penalty, words of the system for each of the reference, and sentences."""
    system, reference, sentences = tally["lengths"].tolist()
    found = metric().compute_bleu(tally["matched"].tolist(), tally["ngrams"].tolist(), system, reference, "exp")
    return {
        "bleu": float(found.score),
        "brevity_penalty": float(found.bp),
        "length_ratio": system / max(1, reference),
        "sentences": sentences,
    }


def signature() -> str:
    """What is measured, so that others can measure the same: `nrefs:1|case:mixed|eff:no|tok:13a|smooth:exp|…`."""
    found = metric()
    found.corpus_score(["a"], [["a"]])
    return str(found.get_signature().format())


def metric() -> Any:
    try:
        from sacrebleu.metrics.bleu import BLEU
    except ImportError:
        raise UsageError("BLEU needs the package sacrebleu: pip install 'legato[text]'") from None
    return BLEU()
