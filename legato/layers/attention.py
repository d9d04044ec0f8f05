"""Attention: a query looks at a memory, and takes from it by how well each place fits. The weights are always told.

Shapes: queries (s, b, n), one step of them (1, b, n); memory (t, b, m); weights (s, b, t), each row a distribution over
the places where `mask` (t, b) is True. What depends on the memory alone is computed once, by `keys`.
"""

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn, tanh

Queries = Float[Tensor, "s b n"]
Memory = Float[Tensor, "t b m"]
Weights = Float[Tensor, "s b t"]


class AdditiveAttention(nn.Module):
    """e_ij = vᵀ tanh(W s_i + U h_j) (Bahdanau, Cho & Bengio 2015, arXiv:1409.0473, section A.1.2)."""

    def __init__(self, queries: int, memory: int, width: int) -> None:
        super().__init__()
        self.W = nn.Linear(queries, width, bias=False)
        self.U = nn.Linear(memory, width)
        self.v = nn.Linear(width, 1, bias=False)

    def keys(self, memory: Memory) -> Float[Tensor, "t b k"]:
        return self.U(memory)

    def forward(
        self, queries: Queries, keys: Float[Tensor, "t b k"], memory: Memory, mask: Bool[Tensor, "t b"]
    ) -> tuple[Float[Tensor, "s b m"], Weights]:
        """The context of each query, and the weights it was made with."""
        e = self.v(tanh(self.W(queries)[:, None] + keys)).squeeze(-1)  # (s, t, b)
        return read(e.transpose(1, 2), memory, mask)


class DotAttention(nn.Module):
    """e_ij = s_iᵀ W h_j (Luong, Pham & Manning 2015, arXiv:1508.04025, eq. 8, "general").

    With W = 1, where queries are as wide as the memory, it is their "dot".
    """

    def __init__(self, queries: int, memory: int) -> None:
        super().__init__()
        self.W = nn.Linear(memory, queries, bias=False)

    def keys(self, memory: Memory) -> Float[Tensor, "t b n"]:
        return self.W(memory)

    def forward(
        self, queries: Queries, keys: Float[Tensor, "t b n"], memory: Memory, mask: Bool[Tensor, "t b"]
    ) -> tuple[Float[Tensor, "s b m"], Weights]:
        """The context of each query, and the weights it was made with."""
        e = torch.einsum("sbn,tbn->sbt", queries, keys)
        return read(e, memory, mask)


def read(
    e: Float[Tensor, "s b t"], memory: Memory, mask: Bool[Tensor, "t b"]
) -> tuple[Float[Tensor, "s b m"], Weights]:
    """α_i = softmax(e_i) over the places that are there, and c_i = Σ_j α_ij h_j."""
    α = e.float().masked_fill(~mask.T, -torch.inf).softmax(-1).to(memory.dtype)
    c = torch.einsum("sbt,tbm->sbm", α, memory)
    return c, α
