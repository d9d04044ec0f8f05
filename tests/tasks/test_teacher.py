"""A network learns what another one answers."""

import json

import pytest
import torch
from torch.nn import functional as F

import legato
from legato.cli import main
from legato.errors import LegatoError, UsageError
from legato.tasks import teacher
from legato.tasks.teacher import TEMPERATURE, answers, check, distillation

TEN = tuple("0123456789")


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """A LeNet-5 that reads scikit-learn's digits, and a linear network that has seen little."""
    root = tmp_path_factory.mktemp("teachers")
    for name, network, epochs in (("good", "lenet5", 4), ("poor", "linear", 1)):
        legato.train("digits", "classify", root / name, network=network, epochs=epochs, batch_size=64, size=28, seed=0)
    return root


def test_the_loss_is_that_of_the_paper():
    """Equation 1's probabilities at T; section 2: hard targets' gradients at T = 1, times T²."""
    torch.manual_seed(0)
    z, v = torch.randn(2, 5, 7, dtype=torch.float64).unbind()
    z.requires_grad_()
    p, q = ((a / TEMPERATURE).exp() / (a / TEMPERATURE).exp().sum(1, keepdim=True) for a in (v, z))
    loss = distillation(z, p)
    torch.testing.assert_close(loss, -(TEMPERATURE**2) * (p * q.log()).sum() / 5)
    (gradient,) = torch.autograd.grad(loss, z)
    torch.testing.assert_close(gradient, TEMPERATURE * (q - p) / 5)


def test_answers_are_the_mean_of_teachers(runs):
    x = torch.rand(3, 1, 28, 28)
    each = [answers(str(runs / name), x) for name in ("good", "poor")]
    both = answers(f"{runs / 'good'}, {runs / 'poor'}", x)
    torch.testing.assert_close(both, (each[0] + each[1]) / 2)
    torch.testing.assert_close(both.sum(1), torch.ones(3))
    trained = legato.load(runs / "good")
    want = (trained.task.logits(trained.network, x) / TEMPERATURE).softmax(1)
    torch.testing.assert_close(each[0], want, rtol=1e-4, atol=1e-5)


def test_a_teacher_sees_pictures_at_its_own_size(runs):
    x = F.interpolate(torch.rand(2, 1, 14, 14), size=(28, 28), mode="bilinear", antialias=True)
    small = F.interpolate(x, size=(14, 14), mode="bilinear", antialias=True)
    again = F.interpolate(small, size=(28, 28), mode="bilinear", antialias=True)
    torch.testing.assert_close(answers(str(runs / "good"), small), answers(str(runs / "good"), again))


def test_a_student_agrees_with_its_teacher(runs, tmp_path):
    """A teacher that is often wrong: who learns from it is wrong where it is, more often than who learns labels."""
    alone = legato.train("digits", "classify", tmp_path / "alone", network="linear", epochs=8, size=28, seed=1)
    taught = legato.train(
        "digits",
        "classify",
        tmp_path / "taught",
        network="linear",
        epochs=8,
        size=28,
        seed=1,
        teacher=str(runs / "poor"),
    )
    x = alone.task.batch(alone.task.examples("test"), range(176), None)[0]
    want = answers(str(runs / "poor"), x).argmax(1)
    share = lambda one: (one.task.logits(one.network, x).argmax(1) == want).float().mean()
    assert share(taught) > share(alone) + 0.02


def test_it_is_said_and_kept(runs, tmp_path, capsys):
    where = str(tmp_path / "run")
    main(["train", "digits", "--network", "mlp", "--epochs", "1", "--teacher", str(runs / "good"), "--to", where])
    assert f"taught by {runs / 'good'}: lenet5" in "".join(capsys.readouterr())
    assert str(runs / "good") in json.dumps(json.loads((tmp_path / "run" / "run.json").read_text()))
    main(["resume", where, "--epochs", "2"])
    main(["evaluate", where, "--json"])


def test_who_cannot_teach(runs, tmp_path):
    with pytest.raises(UsageError, match="other things apart"):
        check(str(runs / "good"), (*TEN[:9], "ten"), 1)
    with pytest.raises(UsageError, match="1 channels, and here are 3"):
        check(str(runs / "good"), TEN, 3)
    with pytest.raises(UsageError, match="loss of its own"):
        legato.train("digits", "classify", tmp_path / "a", network="lenet5_1998", teacher=str(runs / "good"))
    with pytest.raises(LegatoError, match="nobody"):
        legato.train("digits", "classify", tmp_path / "b", network="mlp", teacher=str(tmp_path / "nobody"))


def test_teachers_are_read_once(runs):
    spec = str(runs / "good")
    assert teacher.teachers(spec, torch.device("cpu")) is teacher.teachers(spec, torch.device("cpu"))
