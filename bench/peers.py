"""The same language model and step in JAX and Keras, raced where these are installed; legato needs neither."""

import os
from collections.abc import Callable
from typing import Any

import numpy as np

Job = Callable[[], object]


def jax_scan(letters: int, width: int, depth: int, steps: int, rows: int) -> Job | None:
    """Embedding → LSTMs by `jax.lax.scan` → linear → cross entropy, Adam; jitted as a whole, float32."""
    os.environ.setdefault("JAX_PLATFORMS", "cpu")
    try:
        import jax
        import jax.numpy as jnp
    except ImportError:
        return None
    draw = np.random.default_rng(0)
    matrix = lambda *shape: jnp.asarray(draw.normal(0, width**-0.5, shape), jnp.float32)
    layer = lambda: {"w": matrix(width, 4 * width), "u": matrix(width, 4 * width), "b": jnp.zeros(4 * width)}
    weights = {
        "embed": matrix(letters, width),
        "layers": [layer() for _ in range(depth)],
        "head": matrix(width, letters),
    }
    ids, truth = (jnp.asarray(draw.integers(0, letters, (steps, rows))) for _ in range(2))

    def lstm(p: Any, xs: Any) -> Any:
        def step(carry: Any, x: Any) -> Any:
            h, c = carry
            i, f, g, o = jnp.split(x + h @ p["u"], 4, -1)
            c = jax.nn.sigmoid(f) * c + jax.nn.sigmoid(i) * jnp.tanh(g)
            h = jax.nn.sigmoid(o) * jnp.tanh(c)
            return (h, c), h

        zeros = jnp.zeros((rows, width))
        return jax.lax.scan(step, (zeros, zeros), xs @ p["w"] + p["b"])[1]

    def loss(p: Any) -> Any:
        xs = p["embed"][ids]
        for one in p["layers"]:
            xs = lstm(one, xs)
        logp = jax.nn.log_softmax(xs @ p["head"])
        return -jnp.take_along_axis(logp, truth[..., None], -1).mean()

    @jax.jit
    def update(p: Any, m: Any, v: Any, t: Any) -> Any:
        grads = jax.grad(loss)(p)
        m = jax.tree.map(lambda a, g: 0.9 * a + 0.1 * g, m, grads)
        v = jax.tree.map(lambda a, g: 0.999 * a + 0.001 * g * g, v, grads)
        move = lambda w, a, b: w - 1e-3 * (a / (1 - 0.9**t)) / (jnp.sqrt(b / (1 - 0.999**t)) + 1e-8)
        return jax.tree.map(move, p, m, v), m, v

    zeros = jax.tree.map(jnp.zeros_like, weights)
    state = {"now": (weights, zeros, zeros), "t": 0}

    def once() -> None:
        state["t"] += 1
        state["now"] = jax.block_until_ready(update(*state["now"], float(state["t"])))

    return once


def keras(letters: int, width: int, depth: int, steps: int, rows: int) -> Job | None:
    """Keras' own layers and `train_on_batch`, on JAX, its fastest backend on a CPU (float32)."""
    os.environ.setdefault("KERAS_BACKEND", "jax")
    try:
        import keras
    except ImportError:
        return None
    layers = keras.layers
    lstms = [layers.LSTM(width, return_sequences=True) for _ in range(depth)]
    net = keras.Sequential([layers.Embedding(letters, width), *lstms, layers.Dense(letters)])
    net.compile("adam", keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    draw = np.random.default_rng(0)
    ids, truth = (draw.integers(0, letters, (rows, steps)) for _ in range(2))
    return lambda: net.train_on_batch(ids, truth)
