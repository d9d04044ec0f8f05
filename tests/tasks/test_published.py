"""Published weights as something usable, and classes called as people call them."""

import numpy as np
import pytest
import torch

import legato
from legato.errors import DataError, UsageError
from legato.networks import registry
from legato.tasks.class_names import class_index
from legato.tasks.published import class_names, published_classifier

NAMES = ("tench, Tinca tinca", "crane (n02012849)", "toaster", "Egyptian cat", "crane (n03126707)", "cat")


@pytest.mark.parametrize(
    ("what", "index"), [("toaster", 2), ("Toaster", 2), ("tinca TINCA", 0), ("Egyptian cat", 3), ("cat", 5)]
)
def test_a_class_has_a_name_and_synonyms(what, index):
    assert class_index(what, NAMES) == index
    assert class_index("crane (n03126707)", NAMES) == 4


def test_a_name_of_several_classes_or_of_none_is_answered():
    with pytest.raises(UsageError, match=r"several classes are called 'crane': crane \(n02012849\); crane \(n0312"):
        class_index("crane", NAMES)
    with pytest.raises(UsageError, match="did you mean toaster"):
        class_index("toster", NAMES)


@pytest.fixture
def weights(tmp_path):
    """SqueezeNet's weights as its authors' file has them, random, beside names of its classes."""
    net = registry.build("squeezenet", 1000, 3, 227)
    rename = lambda n: n.replace(".conv.", ".").replace(".", "/", n.startswith("fire"))
    held = {
        rename(n).replace("squeeze.", "squeeze1x1.").replace("squeeze/", "squeeze1x1/"): t.numpy()
        for n, t in net.state_dict().items()
    }
    np.savez(tmp_path / "squeezenet.npz", **held)
    lines = [f"n{k:08}\tname {k}, other {k}" for k in range(998)] + ["n1\tcrane", "n2\tcrane"]
    (tmp_path / "imagenet_classes.txt").write_text("\n".join(lines) + "\n")
    return tmp_path / "squeezenet.npz"


def test_weights_alone_make_a_classifier_with_its_classes(weights):
    task, net = published_classifier("squeezenet", str(weights))
    assert (len(task.names), task.input_shape, net.training) == (1000, (3, 227, 227), False)
    assert task.names[-2:] == ("crane (n1)", "crane (n2)")
    assert net.normalize.mean.flatten().tolist() == pytest.approx([123 / 255, 117 / 255, 104 / 255])
    with np.load(weights) as held:
        assert torch.equal(net.conv10.conv.bias, torch.from_numpy(held["conv10.bias"]))


def test_they_are_loaded_as_a_run_is(weights):
    ready = legato.load("squeezenet", "cpu", start_from=str(weights))
    picture = legato.task.Image(torch.zeros(3, 300, 400, dtype=torch.uint8))
    [answer] = ready.answer([picture], legato.Decoding(3))
    assert len(answer["top"]) == 3
    assert ready.device.precision == "fp32"


def test_without_names_beside_them_classes_are_numbers(weights):
    (weights.parent / "imagenet_classes.txt").unlink()
    assert class_names(str(weights), 3) == ("0", "1", "2")


@pytest.mark.parametrize(
    ("text", "said"), [("a\nb\n", "2 names for 3 classes"), ("a\na\nb\n", "some classes have one name")]
)
def test_names_that_do_not_fit_are_refused(tmp_path, text, said):
    (tmp_path / "classes.txt").write_text(text)
    (tmp_path / "w.npz").touch()
    with pytest.raises(DataError, match=said):
        class_names(str(tmp_path / "w.npz"), 3)


def test_mistakes_are_a_line(weights, tmp_path):
    with pytest.raises(UsageError, match="a network without weights: --start-from"):
        legato.load("squeezenet")
    with pytest.raises(UsageError, match="did you mean squeezenet"):
        legato.load("squeezent", start_from=str(weights))
    with pytest.raises(DataError, match="name the network they were made for"):
        legato.load("squeezenet1_0", start_from=str(weights))
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "run.json").write_text("{}")
    with pytest.raises(UsageError, match="weights of its own"):
        legato.load(tmp_path / "run", start_from=str(weights))


def test_of_real_weights_a_cat_is_a_cat(real_data):
    ready = legato.load(
        "squeezenet", "cpu", start_from=str(real_data / "pretrained/squeezenet1_1/squeezenet1_1_fp16.npz")
    )
    [answer] = ready.predict(real_data / "pictures/content/cat.jpg")
    assert answer["class"] == "Egyptian cat"
    assert answer["probability"] == pytest.approx(0.74, abs=0.05)  # as counted in the data's README, by NumPy
