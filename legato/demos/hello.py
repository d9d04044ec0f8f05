"""“hello” (lecture 003): a vocabulary of four letters, one recurrent layer, and what it thinks comes next."""

import torch
from jaxtyping import Float, Int
from torch import Tensor
from torch.nn.functional import cross_entropy

from legato.demos.learning import minimise
from legato.demos.registry import Demo, demo
from legato.networks.charrnn import CharRNN, onehot
from legato.picture.page import Grid, page
from legato.recurrent import CELLS, Stack

VOCABULARY = "helo"


def ids(text: str) -> Int[Tensor, "t 1"]:
    return torch.tensor([[VOCABULARY.index(letter)] for letter in text])


def network() -> CharRNN:
    """W_xh sees one-hot letters; h has three numbers, as on the slide; y = W_hy h."""
    return CharRNN(onehot(4), Stack(CELLS["rnn"], 4, 3), 4)


def loss(net: CharRNN) -> Tensor:
    """Nats a letter: of "hell", each letter is asked for the next of "hello"."""
    return cross_entropy(net(ids("hell"))[0][:, 0], ids("ello")[:, 0])


@torch.no_grad()
def written(net: CharRNN, first: str, length: int) -> str:
    """The likeliest letter each time, fed back."""
    text, states = first, None
    while len(text) < length:
        logits, states = net(ids(text[-1]), states)
        text += VOCABULARY[int(logits[0, 0].argmax())]
    return text


@torch.no_grad()
def inside(net: CharRNN) -> tuple[Float[Tensor, "4 t"], Float[Tensor, "3 t"], Float[Tensor, "4 t"]]:
    """What the slide draws, a column for each letter of "hell": inputs, hidden states, probabilities."""
    x = ids("hell")
    return net.embed(x)[:, 0].T, net.stack(net.embed(x))[0][:, 0].T, net(x)[0][:, 0].softmax(1).T


@demo("L1")
def hello() -> Demo:
    """The “hello” example: one-hot letters, hidden state, probabilities, and writing by itself.

    After the first l comes l, after the second o: the letter is the same, h is not. That is its memory.
    """
    net = network()
    before, at_first = written(net, "h", 5), float(loss(net).detach())
    at_last = minimise(lambda: loss(net), [p for p in net.parameters() if p.requires_grad], steps=30)
    (x, h, p), after = inside(net), written(net, "h", 5)
    right = [(VOCABULARY.index(letter), t) for t, letter in enumerate("ello")]
    letters, seen = [f"“{letter}”" for letter in VOCABULARY], list("hell")
    panels = [
        Grid(x, "x: one-hot", digits=0, rows=letters, columns=seen),
        Grid(h, "h = tanh(W_hh h + W_xh x)", digits=1, signed=True, columns=seen),
        Grid(p, "P(next), the true one framed", digits=2, rows=letters, columns=seen, marked=right),
    ]
    lines = [f"before learning it writes “{before}”, after it “{after}”"]
    lines += [f"loss {at_first:.3f} → {at_last:.1e} nats a letter; knowing nothing is ln 4 = 1.386"]
    lines += [f"after “{'hell'[: t + 1]}” P({VOCABULARY[row]}) = {p[row, t]:.3f}" for row, t in right]
    numbers = {"loss": at_last, "least": min(float(p[place]) for place in right), "written": float(after == "hello")}
    return Demo(page(panels, "“hello”, one letter after another", side=2.7), lines, numbers)
