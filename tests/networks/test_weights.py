"""Published weights. torchvision's names and shapes are written out a second time, from its published architectures,
and its forward passes as plain functions of such a state dict; real weights classify real pictures."""

import hashlib
from collections.abc import Iterator
from pathlib import Path
from urllib.error import URLError

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from PIL import Image
from safetensors.torch import save_file
from torch import Tensor

from legato.errors import DataError, LegatoError, UsageError
from legato.layers import with_normalization
from legato.networks import weights
from legato.networks.registry import build, lookup
from legato.networks.weights import load_published, published, read_tensors

Shapes = dict[str, tuple[int, ...]]


# --- what torchvision calls its tensors


def conv(name: str, inputs: int, outputs: int, size: int) -> Shapes:
    return {f"{name}.weight": (outputs, inputs, size, size)}


def biased(name: str, inputs: int, outputs: int, *size: int) -> Shapes:
    return {f"{name}.weight": (outputs, inputs, *size), f"{name}.bias": (outputs,)}


def norm(name: str, width: int) -> Shapes:
    kinds = ("weight", "bias", "running_mean", "running_var")
    return {f"{name}.{kind}": (width,) for kind in kinds} | {f"{name}.num_batches_tracked": ()}


def torchvision_resnet(bottleneck: bool, counts: tuple[int, ...]) -> Shapes:
    shapes = conv("conv1", 3, 64, 7) | norm("bn1", 64)
    inputs, expansion = 64, 4 if bottleneck else 1
    for layer, (count, width) in enumerate(zip(counts, (64, 128, 256, 512)), start=1):
        for block in range(count):
            at, outputs = f"layer{layer}.{block}", width * expansion
            sizes = ((width, 1), (width, 3), (outputs, 1)) if bottleneck else ((width, 3), (width, 3))
            before = inputs
            for i, (to, size) in enumerate(sizes, start=1):
                shapes |= conv(f"{at}.conv{i}", before, to, size) | norm(f"{at}.bn{i}", to)
                before = to
            if block == 0 and inputs != outputs:
                shapes |= conv(f"{at}.downsample.0", inputs, outputs, 1) | norm(f"{at}.downsample.1", outputs)
            inputs = outputs
    return shapes | biased("fc", inputs, 1000)


def torchvision_vgg(counts: tuple[int, ...], normed: bool) -> Shapes:
    shapes: Shapes = {}
    at, inputs = 0, 3
    for count, width in zip(counts, (64, 128, 256, 512, 512)):
        for _ in range(count):
            shapes |= biased(f"features.{at}", inputs, width, 3, 3)
            if normed:
                shapes |= norm(f"features.{at + 1}", width)
            at, inputs = at + (3 if normed else 2), width  # convolution, (norm,) relu
        at += 1  # pool
    dense = (("classifier.0", 512 * 49, 4096), ("classifier.3", 4096, 4096), ("classifier.6", 4096, 1000))
    return shapes | {k: v for layer in dense for k, v in biased(*layer).items()}


def torchvision_alexnet() -> Shapes:
    layers = [
        ("features.0", 3, 64, 11, 11),
        ("features.3", 64, 192, 5, 5),
        ("features.6", 192, 384, 3, 3),
        ("features.8", 384, 256, 3, 3),
        ("features.10", 256, 256, 3, 3),
        ("classifier.1", 9216, 4096),
        ("classifier.4", 4096, 4096),
        ("classifier.6", 4096, 1000),
    ]
    return {k: v for layer in layers for k, v in biased(*layer).items()}


FIRES = {  # of SqueezeNet 1.1: number in `features` → inputs, squeezed, expanded
    3: (64, 16, 64), 4: (128, 16, 64), 6: (128, 32, 128), 7: (256, 32, 128),
    9: (256, 48, 192), 10: (384, 48, 192), 11: (384, 64, 256), 12: (512, 64, 256),
}  # fmt: skip


def torchvision_squeezenet() -> Shapes:
    shapes = biased("features.0", 3, 64, 3, 3)
    for at, (inputs, squeezed, expanded) in FIRES.items():
        shapes |= biased(f"features.{at}.squeeze", inputs, squeezed, 1, 1)
        shapes |= biased(f"features.{at}.expand1x1", squeezed, expanded, 1, 1)
        shapes |= biased(f"features.{at}.expand3x3", squeezed, expanded, 3, 3)
    return shapes | biased("classifier.1", 512, 1000, 1, 1)


INCEPTIONS = {  # 1×1, 3×3 reduced, 3×3, 5×5 reduced, "5×5", pooled: table 1 of the paper
    "3a": (64, 96, 128, 16, 32, 32), "3b": (128, 128, 192, 32, 96, 64), "4a": (192, 96, 208, 16, 48, 64),
    "4b": (160, 112, 224, 24, 64, 64), "4c": (128, 128, 256, 24, 64, 64), "4d": (112, 144, 288, 32, 64, 64),
    "4e": (256, 160, 320, 32, 128, 128), "5a": (256, 160, 320, 32, 128, 128), "5b": (384, 192, 384, 48, 128, 128),
}  # fmt: skip


def torchvision_googlenet() -> Shapes:
    def basic(name: str, inputs: int, outputs: int, size: int) -> Shapes:
        return conv(f"{name}.conv", inputs, outputs, size) | norm(f"{name}.bn", outputs)

    shapes = basic("conv1", 3, 64, 7) | basic("conv2", 64, 64, 1) | basic("conv3", 64, 192, 3)
    inputs = 192
    for row, (one, three_r, three, five_r, five, pool) in INCEPTIONS.items():
        at = f"inception{row}"
        shapes |= basic(f"{at}.branch1", inputs, one, 1)
        shapes |= basic(f"{at}.branch2.0", inputs, three_r, 1) | basic(f"{at}.branch2.1", three_r, three, 3)
        shapes |= basic(f"{at}.branch3.0", inputs, five_r, 1) | basic(f"{at}.branch3.1", five_r, five, 3)
        shapes |= basic(f"{at}.branch4.1", inputs, pool, 1)
        inputs = one + three + five + pool
    return shapes | biased("fc", 1024, 1000)


TORCHVISION = {
    "alexnet_torchvision": (torchvision_alexnet(), 61_100_840),
    **{
        f"vgg{depth}{'_bn' if normed else ''}": (torchvision_vgg(counts, normed), params)
        for depth, counts, plain, with_norm in (
            (11, (1, 1, 2, 2, 2), 132_863_336, 132_868_840),
            (13, (2, 2, 2, 2, 2), 133_047_848, 133_053_736),
            (16, (2, 2, 3, 3, 3), 138_357_544, 138_365_992),
            (19, (2, 2, 4, 4, 4), 143_667_240, 143_678_248),
        )
        for normed, params in ((False, plain), (True, with_norm))
    },
    "resnet18": (torchvision_resnet(False, (2, 2, 2, 2)), 11_689_512),
    "resnet34": (torchvision_resnet(False, (3, 4, 6, 3)), 21_797_672),
    "resnet50_torchvision": (torchvision_resnet(True, (3, 4, 6, 3)), 25_557_032),
    "resnet101_torchvision": (torchvision_resnet(True, (3, 4, 23, 3)), 44_549_160),
    "resnet152_torchvision": (torchvision_resnet(True, (3, 8, 36, 3)), 60_192_808),
    "googlenet_torchvision": (torchvision_googlenet(), 6_624_904),
    "squeezenet": (torchvision_squeezenet(), 1_235_496),
}


def is_parameter(name: str) -> bool:
    return "running" not in name and "batches" not in name


def numbers(shapes: Shapes) -> dict[str, Tensor]:
    """A state dict of the size of life: weights as they begin, statistics near those of a standard normal."""
    torch.manual_seed(0)
    made = {}
    for name, shape in shapes.items():
        if not is_parameter(name):
            made[name] = torch.tensor(7) if not shape else torch.rand(shape) + ("var" in name) * 0.5
        elif len(shape) > 1:
            made[name] = torch.randn(shape) * (2 / float(np.prod(shape[1:]))) ** 0.5
        else:
            made[name] = torch.rand(shape) + 0.5 * name.endswith("weight")
    return made


@pytest.mark.parametrize("network", TORCHVISION)
def test_every_name_of_torchvision_has_one_of_ours(network: str, monkeypatch: pytest.MonkeyPatch):
    shapes, params = TORCHVISION[network]
    held = {name: torch.empty(shape, device="meta") for name, shape in shapes.items()}
    assert sum(held[name].numel() for name in held if is_parameter(name)) == params
    monkeypatch.setattr(weights, "read_tensors", lambda file: held)
    found = published(network, "weights.pth")
    with torch.device("meta"):
        own = lookup(network).build()
    own.load_state_dict(found.tensors | {n: t for n, t in own.state_dict().items() if "batches" in n})  # strictly
    assert not found.unused
    in_order = [name for name in held if "batches" not in name]
    assert len(found.tensors) == len(in_order)
    assert all(ours is held[theirs] for ours, theirs in zip(found.tensors.values(), in_order))
    forward = [name for name, _ in own.named_parameters()]  # equal shapes cannot have changed places
    assert [name for name in found.tensors if is_parameter(name)] == forward


def test_every_published_file_belongs_to_a_network_and_carries_its_hash():
    assert set(weights.FILES) == set(TORCHVISION) | {"squeezenet1_0"}
    for network, file in weights.FILES.items():
        assert lookup(network).classes == 1000
        assert len(bytes.fromhex(Path(file).stem[-8:])) == 4


# --- torchvision's forward passes, as functions of such a state dict


def bn(w: dict[str, Tensor], at: str, x: Tensor, eps: float = 1e-5) -> Tensor:
    mean, var, scale, shift = (w[f"{at}.{k}"][:, None, None] for k in ("running_mean", "running_var", "weight", "bias"))
    return (x - mean) / (var + eps).sqrt() * scale + shift


def resnet18(w: dict[str, Tensor], x: Tensor) -> Tensor:
    x = F.relu(bn(w, "bn1", F.conv2d(x, w["conv1.weight"], stride=2, padding=3)))
    x = F.max_pool2d(x, 3, 2, 1)
    for at in (f"layer{layer}.{block}" for layer in (1, 2, 3, 4) for block in (0, 1)):
        stride = 2 if at.endswith(".0") and at != "layer1.0" else 1
        y = F.relu(bn(w, f"{at}.bn1", F.conv2d(x, w[f"{at}.conv1.weight"], stride=stride, padding=1)))
        y = bn(w, f"{at}.bn2", F.conv2d(y, w[f"{at}.conv2.weight"], padding=1))
        if stride == 2:
            x = bn(w, f"{at}.downsample.1", F.conv2d(x, w[f"{at}.downsample.0.weight"], stride=2))
        x = F.relu(x + y)
    return F.linear(x.mean((2, 3)), w["fc.weight"], w["fc.bias"])


def squeezenet(w: dict[str, Tensor], x: Tensor) -> Tensor:
    def convolve(at: str, x: Tensor, **how: int) -> Tensor:
        return F.relu(F.conv2d(x, w[f"{at}.weight"], w[f"{at}.bias"], **how))

    x = convolve("features.0", x, stride=2)
    for i in range(2, 13):
        if i in (2, 5, 8):
            x = F.max_pool2d(x, 3, 2, ceil_mode=True)
        else:
            x = convolve(f"features.{i}.squeeze", x)
            expanded = convolve(f"features.{i}.expand1x1", x), convolve(f"features.{i}.expand3x3", x, padding=1)
            x = torch.cat(expanded, 1)
    return convolve("classifier.1", x).mean((2, 3))


def googlenet(w: dict[str, Tensor], x: Tensor) -> Tensor:
    def basic(at: str, x: Tensor, **how: int) -> Tensor:
        return F.relu(bn(w, f"{at}.bn", F.conv2d(x, w[f"{at}.conv.weight"], **how), eps=0.001))

    x = F.max_pool2d(basic("conv1", x, stride=2, padding=3), 3, 2, ceil_mode=True)
    x = F.max_pool2d(basic("conv3", basic("conv2", x), padding=1), 3, 2, ceil_mode=True)
    for row in INCEPTIONS:
        at = f"inception{row}"
        x = torch.cat(
            [
                basic(f"{at}.branch1", x),
                basic(f"{at}.branch2.1", basic(f"{at}.branch2.0", x), padding=1),
                basic(f"{at}.branch3.1", basic(f"{at}.branch3.0", x), padding=1),
                basic(f"{at}.branch4.1", F.max_pool2d(x, 3, 1, 1)),
            ],
            1,
        )
        if row == "3b":
            x = F.max_pool2d(x, 3, 2, ceil_mode=True)
        if row == "4e":
            x = F.max_pool2d(x, 2, 2, ceil_mode=True)
    return F.linear(x.mean((2, 3)), w["fc.weight"], w["fc.bias"])


@pytest.mark.parametrize(
    ("network", "forward"),
    [("resnet18", resnet18), ("squeezenet", squeezenet), ("googlenet_torchvision", googlenet)],
)
def test_with_its_weights_a_network_computes_what_torchvision_computes(network, forward, tmp_path: Path):
    held = numbers(TORCHVISION[network][0])
    torch.save(held, tmp_path / "weights.pth")
    net = build(network, 1000, 3, 64)
    report = load_published(net, str(tmp_path / "weights.pth"))
    assert report.fresh == report.weights.unused == ()
    x = torch.randn(2, 3, 75, 75)
    with torch.no_grad():
        expected, found = forward(held, x), net.eval()(x)
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-4 * expected.abs().max().item())


# --- loading


@pytest.fixture
def squeezed(tmp_path: Path) -> Path:
    """A file of torchvision's SqueezeNet."""
    torch.save(numbers(torchvision_squeezenet()), tmp_path / "squeezed.pth")
    return tmp_path / "squeezed.pth"


def test_other_classes_get_a_fresh_head_and_the_rest_is_told(squeezed: Path):
    net = build("squeezenet", 5, 3, 64)
    before = net.conv10.conv.weight.clone()
    report = load_published(net, str(squeezed))
    assert report.fresh == ("conv10.conv.weight", "conv10.conv.bias")
    assert torch.equal(net.conv10.conv.weight, before)
    assert len(report.loaded) == 50
    assert str(report) == "squeezed.pth: 50 tensors taken over; new: conv10.conv.weight, conv10.conv.bias"


def test_what_the_network_has_no_place_for_is_told(tmp_path: Path):
    held = numbers(torchvision_squeezenet()) | {"aux.weight": torch.zeros(3)}
    torch.save({"state_dict": held}, tmp_path / "more.pth")
    assert published("squeezenet", str(tmp_path / "more.pth")).unused == ("aux.weight",)


def test_a_stage_normalize_gets_the_numbers_of_the_weights(squeezed: Path):
    net = with_normalization(build("squeezenet", 1000, 3, 64), (0.1, 0.2, 0.3), (1, 1, 1))
    report = load_published(net, str(squeezed))
    assert report.weights.mean == (0.485, 0.456, 0.406)
    torch.testing.assert_close(net.normalize.mean.flatten(), torch.tensor(report.weights.mean))
    torch.testing.assert_close(net.normalize.sd.flatten(), torch.tensor((0.229, 0.224, 0.225)))


def test_our_own_files_need_no_translation(tmp_path: Path):
    net = with_normalization(build("lenet5", 10, 1, 28), (0.25,), (0.5,))
    save_file(net.state_dict(), tmp_path / "own.safetensors")
    found = published("lenet5", str(tmp_path / "own.safetensors"))
    assert (found.mean, found.sd, found.channels, found.unused) == ((0.25,), (0.5,), 1, ())
    other = build("lenet5", 10, 1, 28)
    assert load_published(other, str(tmp_path / "own.safetensors")).fresh == ()
    assert torch.equal(other.conv3.conv.weight, net.conv3.conv.weight)


def test_the_paper_bottleneck_refuses_weights_of_the_other(tmp_path: Path):
    torch.save({"layer1.0.conv1.weight": torch.zeros(1)}, tmp_path / "resnet50.pth")
    with pytest.raises(UsageError, match="strides are in the 3×3; take resnet50_torchvision"):
        published("resnet50", str(tmp_path / "resnet50.pth"))


def test_weights_of_another_network_are_refused_with_the_first_misfit(squeezed: Path, tmp_path: Path):
    with pytest.raises(DataError, match=r"squeezed.pth: conv1.conv.weight is 64×3×3×3 there and 96×3×7×7 here"):
        published("squeezenet1_0", str(squeezed))
    torch.save({"conv1.conv.weight": torch.zeros(6, 1, 5, 5)}, tmp_path / "half.pth")
    with pytest.raises(DataError, match=r"half.pth: no weights for conv1.conv.bias; name the network"):
        published("lenet5", str(tmp_path / "half.pth"))


@pytest.mark.parametrize("suffix", [".pth", ".safetensors", ".npz"])
def test_a_damaged_file_is_one_line_that_names_it(tmp_path: Path, suffix: str):
    file = tmp_path / f"cut{suffix}"
    file.write_bytes(b"PK\x03\x04 nothing of the kind")
    with pytest.raises(DataError, match=rf"cut{suffix}: cannot be read as weights") as error:
        read_tensors(file)
    assert "\n" not in str(error.value)
    with pytest.raises(DataError, match="there is no such file"):
        read_tensors(tmp_path / f"gone{suffix}")


def test_objects_are_not_unpickled(tmp_path: Path):
    torch.save({"harm": Path("/")}, tmp_path / "harm.pth")
    with pytest.raises(DataError, match=r"harm.pth: cannot be read as weights"):
        read_tensors(tmp_path / "harm.pth")


def test_other_kinds_of_file_are_refused(tmp_path: Path):
    with pytest.raises(DataError, match=r"weights are read from \.safetensors"):
        read_tensors(tmp_path / "weights.h5")


# --- fetching


@pytest.fixture
def publisher(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A publisher in a folder, who has resnet18 alone, and an empty cache."""
    shelf = tmp_path / "published"
    shelf.mkdir()
    monkeypatch.setenv("LEGATO_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(weights, "PUBLISHER", f"file://{shelf}/")
    return shelf


def test_weights_are_fetched_once_checked_and_kept(publisher: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    torch.save(numbers(torchvision_squeezenet()), publisher / "made.pth")
    digits = hashlib.sha256((publisher / "made.pth").read_bytes()).hexdigest()[:8]
    name = f"squeezenet1_1-{digits}.pth"
    (publisher / "made.pth").rename(publisher / name)
    monkeypatch.setitem(weights.FILES, "squeezenet", name)
    first = published("squeezenet")
    (publisher / name).unlink()
    assert torch.equal(published("squeezenet").tensors["conv1.conv.weight"], first.tensors["conv1.conv.weight"])
    assert [file.name for file in (tmp_path / "cache").iterdir()] == [name]


def test_a_wrong_hash_leaves_nothing_behind(publisher: Path, tmp_path: Path):
    (publisher / weights.FILES["resnet18"]).write_bytes(b"something else")
    with pytest.raises(DataError, match=r"its sha256 begins with [0-9a-f]{8}, not f37072fd"):
        published("resnet18")
    assert not list((tmp_path / "cache").iterdir())


def test_offline_is_one_line(publisher: Path, monkeypatch: pytest.MonkeyPatch):
    def no_network(*_: object, **__: object) -> None:
        raise URLError("Name or service not known")

    monkeypatch.setattr("urllib.request.urlopen", no_network)
    with pytest.raises(LegatoError, match=r"could not fetch .*resnet18-f37072fd.pth .*not known") as error:
        published("resnet18")
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("network", "answer"),
    [("resnet50", "for resnet50_torchvision"), ("alexnet", "for alexnet_torchvision"), ("lenet5", "there are")],
)
def test_networks_without_published_weights_say_so(network: str, answer: str):
    with pytest.raises(UsageError, match=f"no published weights for '{network}'; .*{answer}"):
        published(network)


# --- real weights


def middle(file: Path) -> Tensor:
    """(1, 3, 227, 227): the middle of a picture whose shorter side is 256, pixels in [0, 1]."""
    picture = Image.open(file).convert("RGB")
    scale = 256 / min(picture.size)
    picture = picture.resize([round(side * scale) for side in picture.size], Image.Resampling.BILINEAR)
    left, top = (picture.width - 227) // 2, (picture.height - 227) // 2
    return torch.from_numpy(np.array(picture.crop((left, top, left + 227, top + 227)))).permute(2, 0, 1)[None] / 255


def test_squeezenet_with_its_real_weights_names_the_pictures(real_data: Path):
    folder = real_data / "pretrained"
    found = published("squeezenet", str(folder / "squeezenet1_1" / "squeezenet1_1_fp16.npz"))
    net = build("squeezenet", 1000, 3, 227)
    net.load_state_dict(found.tensors)
    net = with_normalization(net, found.mean, found.sd).eval()
    lines = next(folder.rglob("imagenet_classes.txt")).read_text(encoding="utf-8").splitlines()
    names = [line.partition("\t")[2] for line in lines]
    expected = {  # as the README of these weights says, from a forward pass in NumPy
        "cat": ("Egyptian cat", 0.74),
        "parrot": ("macaw", 0.99),
        "dragonfly": ("dragonfly", 0.77),
        "bird": ("chickadee", 0.64),
        "grace_hopper": ("suit", 0.51),
        "tubingen": ("palace", 0.58),
    }
    for picture, (name, probability) in expected.items():
        with torch.no_grad():
            scores = net(middle(real_data / "pictures" / "content" / f"{picture}.jpg")).softmax(1)[0]
        best = int(scores.argmax())
        assert names[best].split(",")[0] == name
        assert scores[best].item() == pytest.approx(probability, abs=0.03)
