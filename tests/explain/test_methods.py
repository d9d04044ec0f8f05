"""The contract between what is explained and the methods: what is in question, who fits, who is refused."""

import numpy as np
import pytest
import torch
from torch import nn

from legato.device import Device
from legato.errors import DataError, UsageError
from legato.explain import Among, Subject, default, fitting
from legato.explain.subject import METHODS, lookup
from legato.task import TASKS
from legato.tasks.label import Label
from legato.tasks.localize import Stretched
from legato.tasks.regress import Regress
from legato.values import Image
from tests.explain.subjects import NAMES, labels, noise, subject
from tests.toy import Toy

OF_PICTURES = (
    "saliency", "gradient-input", "smooth", "integrated", "guided", "guided-gradcam", "gradcam", "occlusion",
    "heatmap", "sliding-window", "activations", "filters",
)  # fmt: skip


@pytest.mark.parametrize("name", OF_PICTURES)
def test_every_method_draws_a_classifiers_answer(name, monkeypatch):
    monkeypatch.setattr("legato.explain.smooth.SAMPLES", 2)
    one = subject()
    found = fitting(name, one.task, one.net).show(one)
    assert found
    for shown in found:
        assert min(shown.picture.size) > 200
        assert np.asarray(shown.picture.convert("L")).std() > 5
        assert all("\n" not in line for line in shown.lines)


@pytest.mark.parametrize("name", ["saliency", "integrated", "guided", "gradcam", "occlusion"])
@pytest.mark.parametrize("kind", [Label, Regress])
def test_labels_and_numbers_are_explained_too(name, kind):
    one = subject(kind=kind, what="dog")
    assert fitting(name, one.task, one.net).show(one)
    unknown = subject(kind=kind, what="dgo")
    with pytest.raises(UsageError, match="no class called 'dgo'; did you mean dog"):
        fitting(name, unknown.task, unknown.net).show(unknown)


def test_what_is_explained_is_the_answer_unless_something_else_is_asked_for():
    one = subject()
    with torch.no_grad():
        p = one.net(one.pixels).softmax(1)[0]
    likeliest = NAMES[int(p.argmax())]
    assert one.target == one.answer["class"] == likeliest
    torch.testing.assert_close(one.evidence_of(one.pixels), p.max()[None])
    other = subject(what=NAMES[int(p.argmin())])
    torch.testing.assert_close(other.evidence_of(other.pixels), p.min()[None])
    worse = one.pixels.flip(3) * 0.1  # whatever is likeliest there, the class in question stays
    k = NAMES.index(likeliest)
    torch.testing.assert_close(one.score_of(worse), one.net(worse)[:, k])


def test_the_score_of_a_label_is_its_logit():
    one = labels(what="fish")
    x = one.pixels
    torch.testing.assert_close(one.score_of(x), one.net(x)[:, 2])
    torch.testing.assert_close(one.evidence_of(x), one.net(x)[:, 2].sigmoid())


class Framing(Toy):
    """Toy with inputs of several parts."""

    name = "framing"

    def encode_inputs(self, inputs):
        return Stretched(torch.stack(list(inputs)), torch.tensor([[8, 8]] * len(inputs)))


TASKS.pop("framing")  # only this file's


def test_other_pictures_take_the_place_of_the_inputs_own():
    task = Framing()
    one = Subject(task, nn.Identity(), Device(), torch.rand(1, 8, 8))
    three = one.with_pixels(torch.rand(3, 1, 8, 8))
    assert three.pixels.shape[0] == 3
    assert three.sizes.tolist() == [[8, 8]] * 3
    assert one.pixels.shape == (1, 1, 8, 8)


def test_a_task_without_a_number_is_refused_with_what_fits():
    task = Toy()
    with pytest.raises(UsageError, match="saliency makes no sense here: toy takes no pictures; these do:"):
        fitting("saliency", task, task.build())
    one = Subject(task, task.build(), Device(), torch.rand(1, 8, 8))
    with pytest.raises(UsageError, match="no one number"):
        one.evidence(one.encoded)


def test_names_of_methods_are_looked_up_and_the_default_is_gradcam_where_there_are_maps():
    with pytest.raises(UsageError, match="no method called 'grad-cam'; did you mean gradcam"):
        lookup("grad-cam")
    one, dense = subject(), subject("mlp")
    assert default(one.task, one.net).name == "gradcam"
    assert default(dense.task, dense.net).name == "occlusion"
    assert not default(one.task, one.net, needs_input=False).needs_input


def test_every_method_says_what_it_is_in_a_line():
    assert set(OF_PICTURES) <= set(METHODS)
    assert all(20 < len(m.about) < 130 for m in METHODS.values())


def test_others_to_look_among_are_read_when_asked_for(tmp_path):
    one = subject()
    nothing = Among(one.task, "train")  # the data set does not exist, which nobody has noticed yet
    with pytest.raises(DataError):
        len(nothing)
    picture = Image(noise())
    import PIL.Image

    for name in ("b.png", "a.png", "notes.txt"):
        PIL.Image.fromarray(picture.pixels.permute(1, 2, 0).numpy()).save(tmp_path / name, "PNG")
    found = Among(one.task, str(tmp_path))
    assert [caption for _, caption in found] == ["a.png", "b.png"]
    assert torch.equal(found[1][0].pixels, picture.pixels)
    with pytest.raises(UsageError, match="name a folder, or train, valid or test"):
        len(Among(one.task, str(tmp_path / "nowhere")))
