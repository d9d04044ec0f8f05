"""Published weights under our names: from a file, or fetched when asked for by name; and what they were trained on.

torchvision's AlexNet, VGG, ResNet, GoogLeNet and SqueezeNet (.pth, read without unpickling objects), Caffe's SqueezeNet
(.npz: filters for B, G, R from 0 to 255 less a mean), and whatever already has our names (.safetensors).
"""

import hashlib
import os
import re
import urllib.request
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from pickle import UnpicklingError
from typing import NamedTuple
from zipfile import BadZipFile

import numpy as np
import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn

from legato.errors import DataError, LegatoError, UsageError, nearest
from legato.layers.normalize import Normalize
from legato.layers.residual import Bottleneck
from legato.networks.registry import lookup

PUBLISHER = "https://download.pytorch.org/models/"
FILES = {  # torchvision's files, trained on ImageNet; the eight digits begin their sha256
    "alexnet_torchvision": "alexnet-owt-7be5be79.pth",
    "vgg11": "vgg11-8a719046.pth",
    "vgg13": "vgg13-19584684.pth",
    "vgg16": "vgg16-397923af.pth",
    "vgg19": "vgg19-dcbb9e9d.pth",
    "vgg11_bn": "vgg11_bn-6002323d.pth",
    "vgg13_bn": "vgg13_bn-abd245e5.pth",
    "vgg16_bn": "vgg16_bn-6c64b313.pth",
    "vgg19_bn": "vgg19_bn-c79401a0.pth",
    "googlenet_torchvision": "googlenet-1378be20.pth",
    "resnet18": "resnet18-f37072fd.pth",
    "resnet34": "resnet34-b627a593.pth",
    "resnet50_torchvision": "resnet50-0676ba61.pth",
    "resnet101_torchvision": "resnet101-63fe2227.pth",
    "resnet152_torchvision": "resnet152-394f9c45.pth",
    "squeezenet": "squeezenet1_1-b8a52dc0.pth",
    "squeezenet1_0": "squeezenet1_0-b66bff10.pth",
}


class Pictures(NamedTuple):
    """What weights were trained on: mean and standard deviation of each channel, pixels in [0, 1], and the size."""

    mean: tuple[float, ...]
    sd: tuple[float, ...]
    size: int  # side of the square, pixels; 0: unknown


IMAGENET = Pictures((0.485, 0.456, 0.406), (0.229, 0.224, 0.225), 224)
TENSORFLOW = Pictures((0.5, 0.5, 0.5), (0.5, 0.5, 0.5), 224)  # torchvision's GoogLeNet comes from there
CAFFE = Pictures((123 / 255, 117 / 255, 104 / 255), (1 / 255, 1 / 255, 1 / 255), 227)


@dataclass(frozen=True)
class Published:
    """Weights under our names. `tensors` covers all of its network; `unused` is what the file held besides."""

    source: str
    tensors: dict[str, Tensor]
    unused: tuple[str, ...]
    mean: tuple[float, ...]  # of each channel, pixels in [0, 1]
    sd: tuple[float, ...]
    size: int

    @property
    def channels(self) -> int:
        return len(self.mean)


@dataclass(frozen=True)
class Loading:
    """What became of the tensors of a network, by name: taken over from `weights`, or left as initialised."""

    weights: Published
    loaded: tuple[str, ...]
    fresh: tuple[str, ...]

    def __str__(self) -> str:
        fresh = f"; new: {', '.join(self.fresh)}" if self.fresh else ""
        unused = f"; not used: {', '.join(self.weights.unused)}" if self.weights.unused else ""
        return f"{self.weights.source}: {len(self.loaded)} tensors taken over{fresh}{unused}"


def published(network: str, where: str = "imagenet") -> Published:
    """Weights for the network of this name: `imagenet`, those its publisher trained on ImageNet, or a file of weights.

    Raises UsageError if there are none, DataError if the file belongs to another network, LegatoError offline.
    """
    file = fetched(network) if where == "imagenet" else Path(where).expanduser()
    if not file.exists() and not file.suffix:  # what is named like a file is met as one
        raise UsageError(f"--start-from {where}: not there; name `imagenet`, a file of weights, or the folder of a run")
    with torch.device("meta"):
        net = lookup(network).build()
    return translated(file, net)


def load_published(net: nn.Module, name_or_file: str) -> Loading:
    """Put published weights into a network; a head for other classes stays fresh, a stage `normalize` is set.

    Raises as `published` does.
    """
    file = Path(name_or_file).expanduser()
    found = translated(file if file.exists() or file.suffix else fetched(name_or_file), net)
    own = own_tensors(net)
    fits = {name: tensor for name, tensor in found.tensors.items() if own[name].shape == tensor.shape}
    net.load_state_dict(fits, strict=False)
    for module in net.modules():
        if isinstance(module, Normalize):
            module.mean.copy_(torch.tensor(found.mean).view(-1, 1, 1))
            module.sd.copy_(torch.tensor(found.sd).view(-1, 1, 1))
    return Loading(found, tuple(fits), tuple(name for name in own if name not in fits))


def translated(file: Path, net: nn.Module) -> Published:
    """The weights in a file under the names of this network, complete but for its last layer."""
    held = read_tensors(file)
    names, pictures = our_names(file, held, net)
    own = own_tensors(net)
    tensors = {names[name]: tensor for name, tensor in held.items() if names[name] in own}
    if pictures is CAFFE:
        tensors["conv1.conv.weight"] = tensors["conv1.conv.weight"].flip(1)  # B, G, R → R, G, B
    check_fit(file, tensors, own)
    unused = tuple(name for name in held if names[name] not in own and not bookkeeping(names[name]))
    return Published(file.name, tensors, unused, *pictures)


def check_fit(file: Path, tensors: Mapping[str, Tensor], own: Mapping[str, Tensor]) -> None:
    """Raises DataError unless all weights of a network but those of its head are there, in their shapes.

    The head is its last layer, and what has statistics but no weights: those are of pictures yet to be seen.
    """
    head = {[*own][-1].rpartition(".")[0]}
    weighed = {name.rpartition(".")[0] for name in own if name.endswith("weight")}
    for name, tensor in own.items():
        if (layer := name.rpartition(".")[0]) in head or layer not in weighed:
            continue
        if name not in tensors:
            raise DataError(f"{file}: no weights for {name}; name the network they were made for")
        if tensors[name].shape != tensor.shape:
            there, here = ("×".join(map(str, t.shape)) for t in (tensors[name], tensor))
            raise DataError(f"{file}: {name} is {there} there and {here} here; name the network they were made for")


def own_tensors(net: nn.Module) -> dict[str, Tensor]:
    """Weights and running statistics of a network, in its order."""
    return {name: tensor for name, tensor in net.state_dict().items() if not bookkeeping(name)}


def bookkeeping(name: str) -> bool:
    """Tensors that are no weights: batches a batch norm has seen, and what the stage `normalize` knows."""
    return name.endswith("num_batches_tracked") or name.startswith("normalize.")


# --- whose names mean what

RESNET = (
    (r"^conv1\.", "conv1.conv."),
    (r"^bn1\.", "conv1.norm."),
    *((rf"^layer{i}\.", f"conv{i + 1}_x.") for i in (1, 2, 3, 4)),
    *((rf"\.conv{i}\.", f".branch.{part}.conv.") for i, part in enumerate("abc", start=1)),
    *((rf"\.bn{i}\.", f".branch.{part}.norm.") for i, part in enumerate("abc", start=1)),
    (r"\.downsample\.0\.", ".shortcut.conv."),
    (r"\.downsample\.1\.", ".shortcut.norm."),
    (r"^fc\.", "classify."),
)
GOOGLENET = (
    (r"^conv2\.", "conv2r."),
    (r"^conv3\.", "conv2."),
    (r"\.bn\.", ".norm."),
    (r"\.branch1\.", ".one."),
    (r"\.branch2\.0\.", ".three.reduce."),
    (r"\.branch2\.1\.", ".three.conv."),
    (r"\.branch3\.0\.", ".five.reduce."),
    (r"\.branch3\.1\.", ".five.conv."),
    (r"\.branch4\.1\.", ".pool.project."),
    (r"^fc\.", "classify."),
)
FIRE = ((r"/", "."), (r"squeeze1x1", "squeeze"), (r"^(conv\d+)\.", r"\1.conv."))


def our_names(file: Path, held: Mapping[str, Tensor], net: nn.Module) -> tuple[dict[str, str], Pictures]:
    """Their names → ours, told from the names themselves, and the pictures such weights were trained on."""
    if "layer1.0.conv1.weight" in held:
        if any(isinstance(module, Bottleneck) for module in net.modules()):
            raise UsageError(f"{file}: torchvision's strides are in the 3×3; take resnet50_torchvision (or 101, 152)")
        return renamed(held, RESNET), IMAGENET
    if "inception3a.branch1.conv.weight" in held:
        return renamed(held, GOOGLENET), TENSORFLOW
    if "fire2/squeeze1x1.weight" in held:
        return renamed(held, FIRE), CAFFE
    if "features.0.weight" in held:
        return renamed(held, numbered(net)), IMAGENET
    if "normalize.mean" in held:
        mean, sd = (tuple(held[f"normalize.{name}"].flatten().tolist()) for name in ("mean", "sd"))
        return {name: name for name in held}, Pictures(mean, sd, 0)
    channels = next(tensor.shape[1] for tensor in own_tensors(net).values() if tensor.dim() > 1)
    return {name: name for name in held}, Pictures((0.0,) * channels, (1.0,) * channels, 0)


def renamed(names: Mapping[str, Tensor], rules: tuple[tuple[str, str], ...]) -> dict[str, str]:
    ours = {}
    for name in names:
        ours[name] = name
        for theirs, our in rules:
            ours[name] = re.sub(theirs, our, ours[name])
    return ours


def numbered(net: nn.Module) -> tuple[tuple[str, str], ...]:
    """torchvision numbers layers: `features` up to the first dense layer or dropout, `classifier` from there on."""
    rules, part, i = [], "features", 0
    for stage, module in net.named_children():
        if isinstance(module, nn.Flatten | Normalize):
            continue
        if part == "features" and isinstance(module, nn.Linear | nn.Dropout):
            part, i = "classifier", 0
        layers = [f"{stage}.{layer}" for layer, _ in module.named_children()]
        for ours in layers if isinstance(module, nn.Sequential) else [stage]:
            rules.append((rf"^{part}\.{i}\.", f"{ours}."))
            i += 1
    return tuple(rules)


# --- files


def read_tensors(file: Path) -> dict[str, Tensor]:
    """The tensors in a .safetensors, .pth or .npz file, in single precision; objects in it are not unpickled.

    Raises DataError naming the file if it is damaged or of no such kind.
    """
    try:
        match file.suffix:
            case ".safetensors":
                held = load_file(file)
            case ".npz":
                with file.open("rb") as raw, np.load(raw, allow_pickle=False) as arrays:
                    held = {name: torch.from_numpy(arrays[name]) for name in arrays}
            case ".pth" | ".pt":
                held = torch.load(file, map_location="cpu", weights_only=True)
                held = held.get("state_dict", held)
            case _:
                raise DataError(f"{file}: weights are read from .safetensors, .pth, .pt and .npz files")
    except FileNotFoundError as error:
        raise DataError(f"{file}: there is no such file") from error
    except (OSError, ValueError, RuntimeError, EOFError, BadZipFile, UnpicklingError, SafetensorError) as error:
        reason = str(error).partition("\n")[0]
        raise DataError(f"{file}: cannot be read as weights ({reason}); fetch it again") from error
    tensors = {name: tensor for name, tensor in held.items() if isinstance(tensor, Tensor)}
    return {name: tensor.float() if tensor.is_floating_point() else tensor for name, tensor in tensors.items()}


def fetched(network: str) -> Path:
    """The file of its publisher's weights, from the cache folder ($LEGATO_CACHE, ~/.cache/legato) or the network."""
    if network not in FILES:
        twin = f"{network}_torchvision"
        instead = f"; there are for {twin}" if twin in FILES else nearest(network, FILES)
        raise UsageError(f"no published weights for {network!r}{instead}")
    folder = Path(os.environ.get("LEGATO_CACHE") or Path.home() / ".cache" / "legato")
    file = folder / FILES[network]
    if not file.exists():
        download(PUBLISHER + file.name, file, sha256=file.stem[-8:])
    return file


def download(url: str, file: Path, sha256: str) -> None:
    """Fetch a file whose hash begins with these digits; it is there whole or not at all. Raises LegatoError offline."""
    partial = file.with_name(f"{file.name}.{os.getpid()}.part")
    digest = hashlib.sha256()
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        with urllib.request.urlopen(url, timeout=30) as answer, partial.open("wb") as out:
            while chunk := answer.read(1 << 20):
                digest.update(chunk)
                out.write(chunk)
        if not digest.hexdigest().startswith(sha256):
            raise DataError(f"{url}: its sha256 begins with {digest.hexdigest()[:8]}, not {sha256}; try again later")
        partial.replace(file)
    except OSError as error:
        raise LegatoError(f"could not fetch {url} ({error}); fetch it elsewhere and name the file instead") from error
    finally:
        partial.unlink(missing_ok=True)
