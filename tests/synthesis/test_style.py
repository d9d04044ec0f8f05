"""Style transfer against its formulas written again, and what must be: zero at the aim, nothing outside a mask."""

import pytest
import torch
from torch import nn

from legato.errors import UsageError
from legato.layers.conv import ConvRelu
from legato.layers.stages import stages, walk
from legato.synthesis import style
from legato.synthesis.features import Features, row, style_stages
from legato.synthesis.tiles import lay

STAGES, CONTENT = ("conv1", "conv2"), "conv2"
REACH = 5  # pixels beside its own that a place of conv2 sees at most: 3×3, pool 2, 3×3


def net(channels=3):
    torch.manual_seed(0)
    return stages(
        conv1=ConvRelu(channels, 8, 3),
        pool1=nn.MaxPool2d(2),
        conv2=ConvRelu(8, 12, 3),
        flat=nn.Flatten(),
        fc=nn.Linear(12 * 8 * 8, 4),
    )


def picture(seed, height=24, width=20):
    return torch.rand(1, 3, height, width, generator=torch.Generator().manual_seed(seed))


def manner(**choices):
    return style.Manner(STAGES, CONTENT, **choices)


def features():
    return Features(net(), [*STAGES])


def objective(content, paintings, **choices):
    f = features()
    return style.Objective(f, content, paintings, manner(**choices), lay(f, *content.shape[2:], 1000))


def test_gram_is_the_sum_of_products_over_all_places():
    maps, guide = torch.randn(1, 5, 6, 7), torch.rand(6, 7)
    torch.testing.assert_close(style.gram(maps), torch.einsum("bchw,bdhw->cd", maps, maps))
    torch.testing.assert_close(style.gram(maps, guide), torch.einsum("bchw,bdhw,hw->cd", maps, maps, guide**2))


def test_grams_gradient_is_the_true_one():
    maps, guide = torch.randn(1, 3, 4, 2, dtype=torch.double, requires_grad=True), torch.rand(4, 2, dtype=torch.double)
    skewed = torch.randn(3, 3, dtype=torch.double)  # a slope that is not symmetric
    assert torch.autograd.gradcheck(lambda m: (style.gram(m, guide) * skewed).sum(), maps)


def test_the_loss_is_its_formula_written_again():
    content, a, b, x = picture(0), picture(1, 16, 18), picture(2), picture(3)
    found = objective(content, [style.Painting(a, 3.0), style.Painting(b, 1.0)], likeness=0.3, smoothness=0.7)
    value, slope = found(x)

    def maps(pixels):
        return walk(net(), pixels, STAGES)

    def mean_products(m):
        return torch.einsum("bchw,bdhw->cd", m, m) / (m.shape[2] * m.shape[3])

    x = x.requires_grad_()
    here, there = maps(x), maps(content)
    expected = 0.3 * ((here[CONTENT] - there[CONTENT]) ** 2).sum() / (there[CONTENT] ** 2).sum()
    for share, painting in ((0.75, a), (0.25, b)):
        for name, aim in maps(painting).items():
            aim = mean_products(aim)
            expected = expected + share / 2 * ((mean_products(here[name]) - aim) ** 2).sum() / (aim**2).sum()
    neighbours = ((x[..., 1:] - x[..., :-1]) ** 2).mean() + ((x[..., 1:, :] - x[..., :-1, :]) ** 2).mean()
    expected = expected + 0.7 * neighbours
    torch.testing.assert_close(value, expected.detach())
    torch.testing.assert_close(slope, torch.autograd.grad(expected, x)[0], rtol=1e-4, atol=1e-7)
    assert sum(found.losses[0]) == pytest.approx(float(expected.detach()))


def test_a_picture_in_its_own_manner_has_no_loss():
    x = picture(0)
    value, slope = objective(x, [style.Painting(x)], smoothness=0.0)(x)
    assert float(value) == pytest.approx(0, abs=1e-10)
    assert slope.abs().max() < 1e-6


@pytest.mark.parametrize("optimizer", ["lbfgs", "adam"])
def test_the_loss_falls_and_every_gradient_is_seen(optimizer):
    seen = []
    done = style.transfer(
        features(),
        picture(0),
        [style.Painting(picture(1) * torch.tensor([1, 0.3, 0.1]).view(3, 1, 1))],
        manner(steps=25, optimizer=optimizer),
        seen=lambda step, pixels, losses: seen.append((step, pixels.shape, losses)),
    )
    assert sum(done.losses[-1]) < 0.5 * sum(done.losses[0])
    assert [step for step, _, _ in seen] == list(range(1, len(done.losses) + 1))
    assert 25 <= len(done.losses) <= 50  # a line search may end later
    assert done.pixels.min() >= 0
    assert done.pixels.max() <= 1


def test_nothing_is_learnt_from_outside_the_style_mask():
    inside = torch.zeros(24, 20)
    inside[:, :8] = 1
    one, other = picture(1), picture(1)
    other[..., 8 + REACH + 1 :] = picture(5)[..., 8 + REACH + 1 :]
    f = features()
    a, b = (style.grams(f, STAGES, style.Painting(p, inside=inside), 1000) for p in (one, other))
    whole = style.grams(f, STAGES, style.Painting(other), 1000)
    for name in STAGES:
        torch.testing.assert_close(a[name], b[name])
        assert (whole[name] - b[name]).abs().max() > 1e-3


def test_a_style_mask_that_is_white_everywhere_changes_nothing():
    f = features()
    a, b = (style.grams(f, STAGES, style.Painting(picture(1), inside=m), 1000) for m in (None, torch.ones(24, 20)))
    for name in STAGES:
        torch.testing.assert_close(a[name], b[name])


def test_outside_the_mask_the_content_stays_to_the_last_bit():
    onto = torch.zeros(24, 20)
    onto[6:18, 4:12] = 1
    content = picture(0)
    done = style.transfer(features(), content, [style.Painting(picture(1), onto=onto)], manner(steps=5))
    changed = (done.pixels != content).any(dim=1)[0]
    assert not changed[onto == 0].any()
    assert changed[onto == 1].float().mean() > 0.9


def test_two_masks_two_manners():
    left = torch.zeros(24, 20)
    left[:, :10] = 1
    red, blue = (torch.zeros(1, 3, 24, 20).index_fill_(1, torch.tensor([c]), 1.0) for c in (0, 2))
    paintings = [style.Painting(red, onto=left), style.Painting(blue, onto=1 - left)]
    done = style.transfer(features(), picture(0) / 4 + 0.4, paintings, manner(steps=60, likeness=0.0))
    r, _, b = done.pixels[0].unbind(0)
    assert (r - b)[:, :7].mean() > 0.2
    assert (r - b)[:, 13:].mean() < -0.2


def test_black_masks_are_refused():
    with pytest.raises(UsageError, match="black everywhere"):
        objective(picture(0), [style.Painting(picture(1), onto=torch.zeros(24, 20))])


# --- stages


def test_features_are_those_of_the_network_and_no_stage_further():
    x, own = torch.rand(2, 3, 16, 16), net()
    found = Features(own, ["conv2", "conv1.conv"])
    assert [name for name, _ in found.part.named_children()] == ["conv1", "pool1", "conv2"]
    torch.testing.assert_close(found(x)["conv2"], walk(own, x, ["conv2"])["conv2"])
    torch.testing.assert_close(found(x)["conv1.conv"], own.conv1.conv(x))
    assert not any(p.requires_grad for p in found.parameters())
    assert all(p.requires_grad for p in own.parameters())


def test_a_grey_picture_is_shown_to_a_network_for_colour():
    grey = torch.rand(1, 1, 16, 16)
    f = features()
    torch.testing.assert_close(f(grey)["conv1"], f(grey.repeat(1, 3, 1, 1))["conv1"])


def test_averaging_counts_every_pixel_alike():
    pools = stages(conv=nn.Conv2d(1, 1, 1), pool=nn.MaxPool2d(3, 2, ceil_mode=True), last=nn.Conv2d(1, 1, 1))
    nn.init.ones_(pools.conv.weight), nn.init.zeros_(pools.conv.bias)
    x = torch.rand(1, 1, 21, 21, requires_grad=True)
    found = Features(pools, ["pool"], averaging=True)(x)["pool"]
    assert found.shape == pools.pool(x).shape
    weights = torch.tensor([1.0, 2.0, 1.0]) / 4
    torch.testing.assert_close(found[0, 0, 3, 4], (x[0, 0, 6:9, 8:11] * weights[:, None] * weights).sum())
    slope = torch.autograd.grad(found.sum(), x)[0][0, 0, 1:-1, 1:-1]
    torch.testing.assert_close(slope, torch.full_like(slope, 0.25))  # no grid
    plain = Features(stages(conv=nn.Conv2d(1, 1, 1), pool=nn.MaxPool2d(2)), ["pool"], averaging=True)
    assert isinstance(plain.part.pool, nn.AvgPool2d)


def test_stages_that_are_not_there_are_answered_with_the_nearest():
    with pytest.raises(UsageError, match="no stage called 'conv22'; did you mean conv2"):
        Features(net(), ["conv22"])
    with pytest.raises(UsageError, match="fc makes no map"):
        Features(net(), ["fc"]).maps(16, 16)


def test_networks_without_convolutions_are_refused():
    with pytest.raises(UsageError, match="no convolutions"):
        row(stages(flat=nn.Flatten(), fc=nn.Linear(12, 2)))


@pytest.mark.parametrize(
    ("name", "style_", "content"),
    [
        ("vgg19", ("conv1_1", "conv2_1", "conv3_1", "conv4_1", "conv5_1"), "conv4_2"),  # Gatys et al., figure 2
        ("squeezenet", ("conv1", "fire2", "fire5", "fire7"), "fire5"),
        ("googlenet", ("conv1", "conv2r", "inception3a", "inception4a"), "inception3b"),
        ("resnet18", ("conv1", "conv2_x", "conv3_x", "conv4_x"), "conv3_x"),
    ],
)
def test_stages_that_are_taken_where_nobody_says(name, style_, content):
    from legato.networks.registry import NETWORKS

    with torch.device("meta"):
        assert style_stages(NETWORKS[name].build()) == (style_, content)
