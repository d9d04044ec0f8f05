"""What the lectures say of practice: the checklist, features by hand, transfer, ensembles, what won, what is quoted."""

from collections.abc import Callable
from dataclasses import replace
from itertools import pairwise, product
from math import exp, log
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest
import scipy.linalg
import torch
import torch.nn.functional as F
from sklearn.datasets import load_digits
from torch import Tensor, nn

from docs import build as page
from legato import api, picture
from legato.data.idx import read_array
from legato.decoding import Sampling, probabilities
from legato.device import Device
from legato.explain.hog import hog, linear_svm
from legato.networks import registry
from legato.networks.autoencoder import autoencoder_linear
from legato.networks.describe import describe
from legato.picture import timeline
from legato.recipe import Recipe
from legato.run import Run
from legato.task import Decoding
from legato.tasks.classify import Classify
from legato.training import evaluate, fit
from legato.values import Image

CPU = Device("cpu", "fp32", 1)
ROOT = Path(__file__).parents[2]
PLAIN = Recipe(epochs=1, batch_size=32, lr=1e-2, precision="fp32", workers=0)


class Trained(NamedTuple):
    run: Run
    net: nn.Module

    def scores(self, split: Any = "valid") -> dict[str, float]:
        return evaluate(self.run.task(), self.net, split, self.run.recipe(), CPU).scores


Train = Callable[..., Trained]


@pytest.fixture
def train(tmp_path: Path) -> Train:
    """Train a task by the plain recipe, some fields of it replaced."""

    def trained(task: Classify, **fields: Any) -> Trained:
        recipe = replace(PLAIN, **fields)
        run = Run.begin(tmp_path / f"run{len(list(tmp_path.glob('run*')))}", task, recipe, CPU)
        return Trained(run, fit(task, recipe, run, CPU))

    return trained


def classify(network: str, data: str | Path = "digits", size: int = 8, **fields: Any) -> Classify:
    return Classify(**({"data": str(data), "network": network, "size": size, "augmentation": "none"} | fields)).adapt()


def digits() -> tuple[np.ndarray, np.ndarray]:
    """(1797, 8, 8) bytes and classes."""
    pictures, classes = load_digits(return_X_y=True)
    return np.round(pictures.reshape(-1, 8, 8) * (255 / 16)).astype(np.uint8), classes


def whole(task: Classify, split: Any) -> tuple[Tensor, Tensor]:
    """A split as the network sees it: pictures and classes."""
    examples = task.examples(split)
    return task.batch(examples, range(len(examples)), None)


# --- 003: empirical risk


def midpoints(risk: Callable[[Tensor], Tensor], a: Tensor, b: Tensor) -> tuple[float, float]:
    """The risk half way from a to b, and the mean of both ends: convex functions have the first below the second."""
    return float(risk((a + b) / 2)), float((risk(a) + risk(b)) / 2)


def test_F7_the_risk_of_a_linear_predictor_is_convex_along_every_line():
    torch.manual_seed(0)
    x, y = torch.randn(50, 4, dtype=torch.float64), torch.rand(50, dtype=torch.float64).round()
    squared = lambda w: (x @ w - y).square().mean()
    logistic = lambda w: F.binary_cross_entropy_with_logits(x @ w, y)
    for risk in (squared, logistic):
        for _ in range(200):
            middle, ends = midpoints(risk, *(5 * torch.randn(2, 4, dtype=torch.float64)))
            assert middle <= ends + 1e-12


def test_F7_the_risk_of_a_network_is_not():
    x = torch.tensor([[0.0, 0], [0, 1], [1, 0], [1, 1]])
    y = torch.tensor([0.0, 1, 1, 0])  # exclusive or

    def risk(w: Tensor) -> Tensor:  # two hidden units: relu(u·x + c), weighed by v
        u, c, v = w[:4].view(2, 2), w[4:6], w[6:]
        return ((x @ u.T + c).relu() @ v - y).square().mean()

    best = torch.tensor([1.0, 1, 1, 1, 0, -1, 1, -2])  # Goodfellow et al. 2016, section 6.1
    exchanged = best[[2, 3, 0, 1, 5, 4, 7, 6]]  # the same function, its units in the other order
    middle, ends = midpoints(risk, best, exchanged)
    assert ends == 0
    assert middle > 0.2


# --- 003: linear autoencoder and PCA


def learnt_subspace(X: Tensor, side: int, code: int, steps: int) -> tuple[nn.Module, Tensor]:
    """A linear autoencoder after LBFGS on ‖f(X) − X‖²; X (n, side²) has mean 0, so no biases. The decoder's columns."""
    torch.manual_seed(0)
    net = autoencoder_linear(1, side, code).double()
    for bias in (net.encode.project.bias, net.decode.restore.bias):
        nn.init.zeros_(bias).requires_grad_(False)
    weights = [p for p in net.parameters() if p.requires_grad]
    for weight in weights:  # near 0, where all directions are still to be found: a tenth of the steps
        weight.data *= 0.1
    pictures = X.view(-1, 1, side, side)
    scale = X.square().sum()
    optimizer = torch.optim.LBFGS(
        weights,
        max_iter=steps,
        history_size=20,
        tolerance_grad=1e-12,
        tolerance_change=0,
        line_search_fn="strong_wolfe",
    )

    def loss() -> Tensor:
        optimizer.zero_grad()
        value = (net(pictures) - pictures).square().sum() / scale
        value.backward()
        return value

    optimizer.step(loss)
    return net.requires_grad_(False), net.decode.restore.weight.detach()


def test_F15_a_linear_autoencoder_finds_the_principal_subspace():
    torch.manual_seed(1)
    X = torch.randn(300, 16, dtype=torch.float64) * torch.logspace(1, -1, 16, dtype=torch.float64)
    X = (X - X.mean(0)) @ torch.linalg.qr(torch.randn(16, 16, dtype=torch.float64)).Q
    _, sigma, Vt = np.linalg.svd(X.numpy(), full_matrices=False)
    net, decoder = learnt_subspace(X, side=4, code=3, steps=200)
    assert scipy.linalg.subspace_angles(decoder.numpy(), Vt[:3].T).max() < 1e-3
    error = (net(X.view(-1, 1, 4, 4)).flatten(1) - X).square().sum()
    assert float(error) == pytest.approx((sigma[3:] ** 2).sum(), rel=1e-6)


def test_F15_a_linear_autoencoder_of_8_finds_the_principal_subspace_of_mnist(real_data):
    X = torch.from_numpy(read_array(real_data / "mnist" / "train-images-idx3-ubyte.gz", 3)).flatten(1).double() / 255
    X = X - X.mean(0)
    squares, V = torch.linalg.eigh(X.T @ X)  # σ² and the columns of V in X = UΣVᵀ, smallest first
    small = squares.clamp(min=0).sqrt()[:, None] * V.T  # 784 rows ΣVᵀ have the same risk as the 60,000 of X
    net, decoder = learnt_subspace(small, side=28, code=8, steps=250)
    assert scipy.linalg.subspace_angles(decoder.numpy(), V[:, -8:].numpy()).max() < 1e-3
    error = sum((net(part.view(-1, 1, 28, 28)).flatten(1) - part).square().sum() for part in X.split(5000))
    assert float(error) == pytest.approx(float(squares[:-8].sum()), rel=1e-6)


# --- 004: the checklist; each switch off and on


def moved(task: Classify, train: Train, **fields: Any) -> dict[str, Tensor]:
    """By how much one step from the same initial weights moves each parameter."""
    one = {"steps": 1, "warmup": 0.0} | fields
    start = train(task, **one | {"lr": 0.0}).net.state_dict()
    return {name: p.detach() - start[name] for name, p in train(task, **one).net.named_parameters()}


def test_F16_weight_decay_shrinks_weights_and_leaves_biases(train):
    task = classify("conv4-relu-pool-fc")
    initial = train(task, steps=1, lr=0.0).net.state_dict()
    off, on = moved(task, train, lr=0.1), moved(task, train, lr=0.1, weight_decay=0.5)
    for name, weights in initial.items():
        if name in off:
            shrinks = -0.1 * 0.5 * weights if weights.dim() > 1 else torch.zeros_like(weights)  # −αλw
            torch.testing.assert_close(on[name] - off[name], shrinks, atol=1e-6, rtol=1e-4)


def test_F16_clip_norm_bounds_the_step(train):
    task, sgd = classify("conv4-relu-pool-fc"), {"optimizer": "sgd", "momentum": 0.0, "lr": 0.5}
    off, on = moved(task, train, **sgd), moved(task, train, **sgd, clip_norm=0.01)
    norms = [torch.cat([step.flatten() for step in steps.values()]).norm().item() for steps in (off, on)]
    assert norms[0] > 0.5 * 0.01
    assert norms[1] == pytest.approx(0.5 * 0.01, rel=1e-3)  # rate times limit
    for name in off:
        torch.testing.assert_close(on[name] / norms[1], off[name] / norms[0], atol=1e-4, rtol=1e-3)  # same direction


def test_F16_dropout_and_batch_norm_are_parts_of_a_network(train):
    x = torch.rand(64, 1, 8, 8)
    for part, draws in (("drop0.5", True), ("bn", False)):
        net = train(classify(f"conv4-{part}-relu-pool-fc"), epochs=1).net
        with torch.no_grad():
            assert torch.equal(net.eval()(x), net(x))
            assert torch.equal(net.train()(x), net(x)) != draws
    assert net.bn1.running_mean.abs().max() > 0  # what it has seen, for use


def test_F16_augmentation_varies_the_pictures_of_training_alone(train):
    off, on = classify("conv4-relu-pool-fc"), classify("conv4-relu-pool-fc", augmentation="shift1")
    assert all(torch.equal(a, b) for a, b in zip(whole(off, "valid"), whole(on, "valid")))
    first, second = (train(task, steps=1).net.state_dict() for task in (off, on))
    assert not torch.equal(first["fc1.weight"], second["fc1.weight"])


def test_F16_class_weights_bring_up_the_rare_class(train, tmp_path):
    pictures, classes = digits()
    rows = np.concatenate([np.flatnonzero(classes == 8)[:150], np.flatnonzero(classes == 1)[:6]])
    held_out = np.flatnonzero(np.isin(classes, (1, 8)))[160:]
    data = tmp_path / "unbalanced.npz"
    arrays = {"x_train": pictures[rows], "y_train": classes[rows] // 8, "x_valid": pictures[held_out]}
    np.savez(data, **arrays, y_valid=classes[held_out] // 8)
    recall = []
    for on in (False, True):
        task = classify("linear", data, class_weights=on)
        net = train(task, epochs=3, lr=3e-3).net.eval()
        x, y = whole(task, "valid")
        recall.append(float((net(x).argmax(1) == y)[y == 0].float().mean()))  # of the ones, which are rare
    assert recall[1] > recall[0] + 0.2


def test_F16_patience_ends_a_training_that_gets_no_better(train):
    task = classify("conv4-relu-pool-fc")
    assert len(train(task, epochs=4, lr=0.0).run.metrics()) == 4
    assert len(train(task, epochs=4, lr=0.0, patience=2).run.metrics()) == 1 + 2


# --- 004, 000: softmax and the card of class scores


def test_F17_softmax_with_a_temperature():
    logits = torch.tensor([2.0, 1.0, -1.0], dtype=torch.float64)
    for T in (0.5, 1.0, 4.0):
        by_hand = [exp(z / T) for z in logits.tolist()]
        expected = [e / sum(by_hand) for e in by_hand]
        assert probabilities(logits, Sampling(temperature=T)).tolist() == pytest.approx(expected)
    entropies = []
    for T in (0, 0.1, 0.5, 1, 2, 10, 1e6):
        p = probabilities(logits, Sampling(temperature=T))
        entropies.append(float(torch.special.entr(p).sum()))
    assert all(colder < warmer for colder, warmer in pairwise(entropies))
    assert (entropies[0], entropies[-1]) == (0, pytest.approx(log(3)))  # from one class to all alike


def test_F17_the_card_shows_the_likeliest_classes_in_order():
    card = picture.card(torch.zeros(3, 40, 40), [("persian cat", 0.87), ("siamese", 0.12), ("lynx", 0.0)])
    blue = (np.asarray(card) == tuple(bytes.fromhex(picture.BLUE[1:]))).all(axis=2).sum(axis=1)
    bars = [blue[rows].max() for rows in np.split(np.arange(len(blue)), np.flatnonzero(np.diff(blue > 0)) + 1)]
    long, short = [length for length in bars if length]  # from top to bottom; nothing for the lynx
    assert long / short == pytest.approx(0.87 / 0.12, rel=0.05)


def test_F17_every_answer_is_a_card(train):
    task = classify("linear")
    trained = api.Trained(train(task).run, "cpu")
    image, _ = task.examples("test")[0]
    (answer,) = trained.answer([image], Decoding(top=3))
    names, values = zip(*answer["top"])
    logits = trained.network.eval()(task.encode_inputs([image])).softmax(1)[0]
    assert list(values) == pytest.approx(sorted(logits.tolist(), reverse=True)[:3], abs=1e-5)
    assert (answer["class"], answer["probability"]) == (names[0], values[0])
    assert isinstance(task.draw(image, answer), Image)


# --- 001: features by hand beside learnt ones


def test_F18_a_window_of_64x128_has_3780_features():
    assert hog(torch.rand(2, 3, 128, 64)).shape == (2, 3780)  # Dalal & Triggs 2005: 7 × 15 blocks of 4 cells of 9


@pytest.mark.parametrize("degrees", [10, 50, 90, 130, 170])  # middles of bins
def test_F18_a_ramp_votes_for_its_direction_whatever_its_contrast(degrees):
    angle = torch.tensor(degrees * torch.pi / 180)
    y, x = torch.meshgrid(torch.arange(32.0), torch.arange(32.0), indexing="ij")
    ramp = 0.01 * (x * angle.cos() + y * angle.sin())
    features = hog(ramp[None, None])
    votes = features.view(3, 3, 4, 9)[1, 1].sum(0)  # the block in the middle
    assert votes.argmax() == degrees // 20
    assert votes[degrees // 20] > 0.999 * votes.sum()
    torch.testing.assert_close(hog(0.5 - 3 * ramp[None, None]), features, atol=0.01, rtol=0)


def test_F18_features_by_hand_beside_learnt_ones_on_digits(train):
    task = classify("lenet5", size=28)
    (x, y), (unseen, truth) = whole(task, "train"), whole(task, "test")
    machine = linear_svm(hog(x, cell=7), y)
    by_hand = float((machine.predict(hog(unseen, cell=7).numpy()) == truth.numpy()).mean())
    learnt = train(task, epochs=6, lr=3e-3, batch_size=64).scores("test")["accuracy"]
    assert by_hand > 0.95
    assert learnt > 0.95


# --- 004: the four knobs of a convolutional network; 001: what pooling is good for


@pytest.mark.parametrize(("size", "number", "stride", "pool"), [*product((3, 5), (4, 16), (1, 2), (2, 4))])
def test_C24_filter_size_number_shift_and_pooling_rate_decide_shapes_and_weights(size, number, stride, pool):
    W, C, classes, P = 32, 3, 10, size // 2
    spec = f"conv{number}k{size}s{stride}-relu-pool{pool}-fc"
    rows = {row.name: row for row in describe(registry.build(spec, classes, C, W), (C, W, W))}
    maps = (W - size + 2 * P) // stride + 1
    pooled = (maps - pool) // pool + 1
    assert rows["conv1"].shape == (number, maps, maps)
    assert rows["pool1"].shape == (number, pooled, pooled)
    assert rows["fc1"].shape == (classes,)
    assert rows["conv1"].params == number * (size**2 * C + 1)
    assert rows["pool1"].params == 0
    assert rows["fc1"].params == classes * (number * pooled**2 + 1)


def test_C25_pooling_leaves_fewer_parameters_and_a_smaller_gap(train, tmp_path):
    pictures, classes = digits()
    places = np.random.default_rng(0).integers(0, 5, (len(pictures), 2))
    canvas = np.zeros((len(pictures), 12, 12), np.uint8)  # a digit is where it is
    for into, digit, (top, left) in zip(canvas, pictures, places):
        into[top : top + 8, left : left + 8] = digit
    data = tmp_path / "anywhere.npz"
    np.savez(data, x_train=canvas[:400], y_train=classes[:400], x_valid=canvas[-600:], y_valid=classes[-600:])
    gap, parameters, valid = [], [], []
    for pool in ("", "pool-"):
        trained = train(classify(f"conv8-relu-{pool}conv16-relu-{pool}fc", data, size=12), epochs=16)
        valid.append(trained.scores("valid")["accuracy"])
        gap.append(trained.scores("train")["accuracy"] - valid[-1])
        parameters.append(sum(p.numel() for p in trained.net.parameters()))
    without, with_pools = range(2)
    assert parameters == [80 + 1168 + 10 * (16 * 144 + 1), 80 + 1168 + 10 * (16 * 9 + 1)]
    assert gap[with_pools] < gap[without] - 0.05
    assert valid[with_pools] > valid[without] + 0.05


# --- what won, and how it grew


def test_N8_the_chart_has_a_bar_for_each_year_from_2010_to_2015_and_says_whose_figures_they_are():
    assert sorted({winner.year for winner in timeline.WINNERS}) == list(range(2010, 2016))
    layers = [winner.layers for winner in timeline.WINNERS if winner.layers]
    assert layers == [8, 8, 19, 22, 152]  # as tests/ledger/test_networks.py counts them
    assert [winner.error for winner in timeline.WINNERS] == [28.2, 25.8, 16.4, 11.7, 7.3, 6.7, 3.57]
    assert all("arXiv:" in winner.source for winner in timeline.WINNERS)
    heights = bar_heights(timeline.winners(), picture.BLUE)
    expected = [winner.error for winner in timeline.WINNERS if winner.layers]
    assert np.array(heights) / heights[0] == pytest.approx(np.array(expected) / expected[0], abs=0.02)


def test_N9_from_lenet_to_alexnet_processors_grew_a_thousandfold_and_data_ten_millionfold():
    lenet, alexnet = timeline.SCALES
    assert (lenet.year, lenet.transistors, lenet.pixels) == (1998, 1e6, 1e7)
    assert (alexnet.year, alexnet.transistors, alexnet.pixels) == (2012, 1e9, 1e14)
    assert int(log(60_000 * 28**2, 10)) == 7  # the pixels of MNIST, counted
    transistors, pixels = (bar_heights(timeline.scaling(), colour) for colour in (picture.BLUE, picture.VERMILLION))
    assert transistors[1] / transistors[0] == pytest.approx(9 / 6, abs=0.03)
    assert pixels[1] / pixels[0] == pytest.approx(14 / 7, abs=0.03)


def bar_heights(drawn: picture.Picture, colour: str) -> list[int]:
    """In pixels, of the bars of this colour, from left to right."""
    there = (np.asarray(drawn) == tuple(bytes.fromhex(colour[1:]))).all(axis=2)
    wide = there.sum(axis=0)
    runs = np.split(wide, np.flatnonzero(np.diff(wide > 20)) + 1)
    return [int(np.median(run)) for run in runs if len(run) > 20 and run[len(run) // 2] > 20]


def test_E8_both_figures_of_zfnet_and_of_resnet_are_shown_with_their_source():
    text = (ROOT / "docs" / "ledger.md").read_text()
    (section,) = [part for part in text.split("\n## ") if part.startswith("Quoted figures")]
    for figure, source in (("14.8", "1311.2901"), ("11.7", "1409.0575"), ("3.57", "1512.03385"), ("3.6", "001")):
        assert any(figure in line and source in line for line in section.splitlines()), figure


# --- 001, 003: ensembles; transfer


def test_N12_the_mean_of_probabilities_beats_the_mean_member(train):
    task = classify("[conv8-relu-pool]*2-fc")
    runs = [train(task, epochs=2, seed=seed).run.folder for seed in range(4)]
    members = [api.evaluate([run], "test", device="cpu") for run in runs]
    together = api.evaluate(runs, "test", device="cpu")
    assert together["log_loss"] < np.mean([member["log_loss"] for member in members])  # Jensen: always
    assert together["accuracy"] > np.mean([member["accuracy"] for member in members])  # here


@pytest.fixture(scope="module")
def six(tmp_path_factory) -> Path:
    """A run that has learnt the digits 0 to 5."""
    folder = tmp_path_factory.mktemp("six")
    task = classify(TRUNK, few(folder / "0-5.npz", range(6), 120))
    run = Run.begin(folder / "run", task, replace(PLAIN, epochs=8), CPU)
    fit(task, run.recipe(), run, CPU)
    return run.folder


TRUNK = "conv16-bn-relu-conv16-bn-relu-pool-conv32-bn-relu-pool-fc"


def few(file: Path, chosen: range, count: int, first: int = 0, times: int = 1) -> Path:
    """An archive of `count` training examples of each chosen digit, from the `first` on, each so many times; and of 50
    of each, that are no part of them, to validate.
    """
    pictures, classes = digits()
    rows = [np.flatnonzero(classes == k) for k in chosen]
    train = np.concatenate([r[first : first + count] for r in rows]).repeat(times)
    valid = np.concatenate([r[-50:] for r in rows])
    x, y = pictures, classes - chosen.start
    np.savez(file, x_train=x[train], y_train=y[train], x_valid=x[valid], y_valid=y[valid])
    return file


def test_T1_a_frozen_trunk_does_not_move_and_the_head_is_new(train, six, tmp_path):
    task = classify(TRUNK, few(tmp_path / "6-9.npz", range(6, 10), 5), start_from=str(six), freeze="trunk")
    said = task.initialise(task.build())
    assert "; new: fc1.weight, fc1.bias" in said
    donor, net = Run(six).best(), train(task, epochs=3).net.state_dict()
    for name, weights in net.items():
        if not name.startswith(("fc1", "normaliz")):  # a frozen batch norm keeps its statistics, too
            assert torch.equal(weights, donor[name]), name
    assert net["fc1.weight"].shape == (4, 128)
    assert donor["fc1.weight"].shape == (6, 128)


def test_T1_a_head_alone_is_given_a_larger_rate_than_a_whole_network_that_is_tuned(six, tmp_path):
    data = few(tmp_path / "6-9.npz", range(6, 10), 5)
    head, whole_network = (classify(TRUNK, data, start_from=str(six), freeze=f).recipe() for f in ("trunk", ""))
    assert head.optimizer == whole_network.optimizer
    assert head.lr > whole_network.lr


def test_T2_frozen_partial_and_full_transfer_to_other_classes_with_one_example_each(train, six, tmp_path):
    begin = {"start_from": str(six)}
    ways: dict[str, tuple[dict[str, str], float]] = {
        "from scratch": ({}, 3e-3),
        "frozen": (begin | {"freeze": "trunk"}, 2e-2),
        "partial": (begin | {"freeze": "conv1,bn1,conv2,bn2"}, 3e-3),
        "full": (begin, 3e-3),
    }
    found: dict[str, list[float]] = {how: [] for how in ways}
    for which in range(3):  # examples, and so many trainings of each way
        data = few(tmp_path / f"{which}.npz", range(6, 10), 1, first=which, times=32)
        for how, (fields, lr) in ways.items():
            trained = train(classify(TRUNK, data, **fields), epochs=2, batch_size=8, lr=lr, seed=which)
            found[how].append(trained.scores()["accuracy"])
    accuracy = {how: float(np.mean(values)) for how, values in found.items()}
    assert min(accuracy.values()) > 0.5  # a quarter by chance
    assert min(accuracy["full"], accuracy["partial"]) > accuracy["from scratch"]
    assert accuracy["full"] > accuracy["frozen"]


# --- the pages


def test_X4_nine_questions_have_answers_that_run():
    text = (ROOT / "docs" / "faq.md").read_text()  # tests/test_docs.py runs them
    questions = text.split("\n### ")[1:]
    assert [int(question.partition(".")[0]) for question in questions] == list(range(1, 10))
    assert all("```python" in question for question in questions)


def test_X1_signs_galaxies_and_roads_are_commands():
    text = (ROOT / "docs" / "ledger.md").read_text()
    for data in ("gtsrb_small", "galaxies_small", "massachusetts_roads"):
        assert any(line.startswith("$ legato train ") and data in line for line in text.splitlines())


def test_the_ledger_claims_nothing_that_nothing_shows():
    cells = [line.split(" | ") for line in (ROOT / "docs" / "ledger.md").read_text().splitlines()]
    claimed = {row[0].removeprefix("| "): row[3] for row in cells if len(row) == 6 and row[0] != "| row"}
    rows = {row.id: row for row in page.rows()}
    assert claimed.keys() == rows.keys()
    assert all(page.proofs(rows[id]) for id, status in claimed.items() if status != "not yet")
