"""Language models by recurrence: what comes next? (Karpathy's char-rnn, 2015; Mikolov et al. 2010 for words)."""

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

from legato.recurrent.scan import Lookup
from legato.recurrent.stack import Stack, States


class CharRNN(nn.Module):
    """A table of units, a stack of recurrent layers, and a guess at the next unit after each: lectures' y_t = W_hy h_t.

    The table is `nn.Embedding`; the identity (`onehot`) is the lecture's one-hot vector.
    """

    def __init__(self, embed: nn.Embedding, stack: Stack, units: int, drop: float = 0.0) -> None:
        super().__init__()
        self.embed, self.stack = embed, stack
        self.dropout = nn.Dropout(drop)
        self.out = nn.Linear(stack.outputs, units)

    def forward(
        self, ids: Int[Tensor, "t b"], states: States | None = None, mask: Bool[Tensor, "t b"] | None = None
    ) -> tuple[Float[Tensor, "t b v"], States]:
        """Logits of the next unit after each, and the states at the end, with which the text goes on."""
        hs, states = self.stack(Lookup(self.embed.weight, ids), states, mask)
        return self.out(self.dropout(hs)), states


def onehot(units: int) -> nn.Embedding:
    """Unit i is the vector e_i, and stays so: the first layer's W_xh is the table."""
    return nn.Embedding.from_pretrained(torch.eye(units), freeze=True)
