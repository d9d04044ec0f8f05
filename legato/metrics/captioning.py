"""BLEU against several references (Papineni et al. 2002), by sacrebleu, as sums that add up over batches."""

from collections.abc import Sequence
from itertools import zip_longest

import torch
from torch import Tensor

from legato.metrics.translation import ORDER, metric


def tally(hypotheses: Sequence[str], references: Sequence[Sequence[str]]) -> dict[str, Tensor]:
    """How many n-grams any reference has, how many there are, and lengths: of these, of the closest references."""
    streams = [list(stream) for stream in zip_longest(*references)]  # sacrebleu's shape: None where one has fewer
    found = metric().corpus_score(list(hypotheses), streams)
    return {
        "matched": torch.tensor(found.counts),
        "ngrams": torch.tensor(found.totals),
        "lengths": torch.tensor([found.sys_len, found.ref_len, len(hypotheses)]),
    }


def scores(tally: dict[str, Tensor]) -> dict[str, float]:
    """BLEU-4 in percent (`bleu`), BLEU-1, -2 and -3, the brevity penalty, words for each of the reference, pictures."""
    system, reference, pictures = tally["lengths"].tolist()
    counts, totals = tally["matched"].tolist(), tally["ngrams"].tolist()
    upto = [
        metric().compute_bleu(counts[:n], totals[:n], system, reference, "exp", max_ngram_order=n)
        for n in range(1, ORDER + 1)
    ]
    shorter = {f"bleu{n}": float(found.score) for n, found in enumerate(upto[:-1], 1)}
    return {
        "bleu": float(upto[-1].score),
        **shorter,
        "brevity_penalty": float(upto[-1].bp),
        "length_ratio": system / max(1, reference),
        "pictures": pictures,
    }
