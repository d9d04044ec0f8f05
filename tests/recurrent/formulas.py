"""Every cell's formula a second time: numpy, float64, one sequence position, weights by the papers' names.

`w(gate, part)` is W_gate,part; `b(gate)` its bias; `p` other parameters by name.
"""

import numpy as np


def sigm(x):
    return 1 / (1 + np.exp(-x))


def rnn(w, b, p, x, h):
    return (np.tanh(h @ w("h", "h").T + x @ w("h", "x").T + b("h")),)


def relurnn(w, b, p, x, h):
    return (np.maximum(0, h @ w("h", "h").T + x @ w("h", "x").T + b("h")),)


def jordan(w, b, p, x, y, _):
    h = np.tanh(y @ w("h", "y").T + x @ w("h", "x").T + b("h"))
    return h @ w("y", "h").T + b("y"), h


def gate(w, b, g, x, h):
    return h @ w(g, "h").T + x @ w(g, "x").T + b(g)


def lstm(w, b, p, x, h, c):
    i, f, o = (sigm(gate(w, b, g, x, h)) for g in "ifo")
    c = f * c + i * np.tanh(gate(w, b, "g", x, h))
    return o * np.tanh(c), c


def greff(w, b, p, x, h, c, names="ifo", without="", squash_in=np.tanh, squash_out=np.tanh, coupled=False):
    """Greff et al. 2015, section 2, with their changes of section 3."""
    v = dict(zip(names, p["V"]))
    i = 1.0 if "i" in without else sigm(gate(w, b, "i", x, h) + v["i"] * c)
    f = 1 - i if coupled else 1.0 if "f" in without else sigm(gate(w, b, "f", x, h) + v["f"] * c)
    new = squash_in(gate(w, b, "g", x, h)) * i + c * f
    o = 1.0 if "o" in without else sigm(gate(w, b, "o", x, h) + v["o"] * new)
    return squash_out(new) * o, new


def same(x):
    return x


def peepholelstm(*a):
    return greff(*a)


def nig(*a):
    return greff(*a, names="fo", without="i")


def nfg(*a):
    return greff(*a, names="io", without="f")


def nog(*a):
    return greff(*a, names="if", without="o")


def niaf(*a):
    return greff(*a, squash_in=same)


def noaf(*a):
    return greff(*a, squash_out=same)


def cifg(*a):
    return greff(*a, names="io", coupled=True)


def fgr(w, b, p, x, h, c, i, f, o):
    v = p["V"]
    full = {g: gate(w, b, g, x, h) + i @ w(g, "i").T + f @ w(g, "f").T + o @ w(g, "o").T for g in "ifo"}
    i, f = sigm(full["i"] + v[0] * c), sigm(full["f"] + v[1] * c)
    c = f * c + i * np.tanh(gate(w, b, "g", x, h))
    o = sigm(full["o"] + v[2] * c)
    return o * np.tanh(c), c, i, f, o


def gru(w, b, p, x, h):
    r = sigm(w("r", "x") @ x.T + w("r", "h") @ h.T + b("r")[:, None])
    z = sigm(w("z", "x") @ x.T + w("z", "h") @ h.T + b("z")[:, None])
    g = np.tanh(w("h", "x") @ x.T + w("h", "h") @ (r * h.T) + b("h")[:, None])
    return ((z * h.T + (1 - z) * g).T,)


def cudnngru(w, b, p, x, h):
    r, z = sigm(gate(w, b, "r", x, h)), sigm(gate(w, b, "z", x, h))
    n = np.tanh(x @ w("x", "x").T + b("x") + r * (h @ w("h", "h").T + b("h")))
    return ((1 - z) * n + z * h,)


def mut1(w, b, p, x, h):
    z = sigm(x @ w("z", "x").T + b("z"))
    r = sigm(gate(w, b, "r", x, h))
    return (np.tanh((r * h) @ w("h", "h").T + np.tanh(x) + b("h")) * z + h * (1 - z),)


def mut2(w, b, p, x, h):
    z = sigm(gate(w, b, "z", x, h))
    r = sigm(x + h @ w("r", "h").T + b("r"))
    return (np.tanh((r * h) @ w("h", "h").T + x @ w("h", "x").T + b("h")) * z + h * (1 - z),)


def mut3(w, b, p, x, h):
    z = sigm(x @ w("z", "x").T + np.tanh(h) @ w("z", "h").T + b("z"))
    r = sigm(gate(w, b, "r", x, h))
    return (np.tanh((r * h) @ w("h", "h").T + x @ w("h", "x").T + b("h")) * z + h * (1 - z),)


def slope(w, b, x, h):
    return np.tanh(gate(w, b, "w", x, h)) @ w("v", "h").T + b("v")


def euler(w, b, p, x, h):
    return (h + 0.1 * slope(w, b, x, h),)


def rungekutta(w, b, p, x, h):
    k1 = slope(w, b, x, h)
    k2 = slope(w, b, x, h + 0.05 * k1)
    k3 = slope(w, b, x, h + 0.05 * k2)
    k4 = slope(w, b, x, h + 0.1 * k3)
    return (h + 0.1 / 6 * (k1 + 2 * k2 + 2 * k3 + k4),)


FORMULAS = {
    **{f.__name__: f for f in (rnn, relurnn, jordan, lstm, peepholelstm, nig, nfg, nog, niaf, noaf, cifg, fgr, gru)},
    **{f.__name__: f for f in (cudnngru, mut1, mut2, mut3, euler, rungekutta)},
    "np": lstm,
}
