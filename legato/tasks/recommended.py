"""What experience, measured in docs/results.md, recommends where the user says nothing: network, variations, recipe."""

from dataclasses import replace

from legato.data.examples import PictureSet
from legato.recipe import Recipe

DIGITS = "rotate15,scale15,shear15,shift2"
BENT = "rotate10,scale10,shear10,shift2,elastic10"
VARIED = {"quicknet": "shift1", "digitnet": BENT}  # one epoch has no need of variety

# Chosen on validation data: of MNIST for digits, of 10,000 CIFAR pictures for the others.
QUICK = Recipe(
    epochs=1, batch_size=128, optimizer="nesterov", lr=0.2, schedule="linear", warmup=0.2, weight_decay=5e-4, ema=0.98
)
RECIPES = {
    "quicknet": QUICK,
    "digitnet": Recipe(epochs=12, batch_size=128, optimizer="adamw", lr=3e-3, weight_decay=0.05, ema=0.999),
    "lenet5": Recipe(epochs=20, batch_size=128, optimizer="adamw", lr=6e-3, weight_decay=0.1, ema=0.999),
    "madry": Recipe(epochs=10, batch_size=64, optimizer="adamw", lr=2e-3),
    "wong": Recipe(epochs=15, batch_size=128, optimizer="adamw", lr=5e-3, ema=0.99),
    "lenet5_1998": Recipe(epochs=20, batch_size=128, optimizer="adamw", lr=1e-3),
    "resnet9": replace(QUICK, epochs=20, ema=0.99),
}
FEW = 5_000  # examples: more, smaller steps
DEEP = Recipe(epochs=30, batch_size=128, optimizer="nesterov", lr=0.1, weight_decay=5e-4, warmup=0.15)
LARGE = replace(DEEP, batch_size=32, lr=0.02)
PLAIN = Recipe(epochs=20, batch_size=128, optimizer="adamw", lr=1e-3, weight_decay=0.01, clip_norm=1.0)
WITHOUT_NORM = ("linear", "mlp", "cifarnet", "alexnet", "zfnet", "vgg", "googlenet", "squeezenet", "locally", "[")
# A linear layer on standardised features: strong decay, no noise, as cross-validation on caltech101_20's training
# pictures has it.
LINEAR = Recipe(epochs=40, batch_size=64, optimizer="nesterov", lr=0.02, weight_decay=0.1)
PROBE = Recipe(epochs=10, batch_size=64, optimizer="adamw", lr=3e-3, weight_decay=1e-4)
TUNE = Recipe(epochs=10, batch_size=32, optimizer="adamw", lr=3e-4, weight_decay=0.01, clip_norm=1.0)


def network(found: PictureSet, start_from: str, freeze: str = "") -> str:
    """By the size of the first training picture: small ones have networks of their own."""
    height, width, channels = found.splits["train"].size(0)
    if start_from:
        return "squeezenet_linear" if freeze == "trunk" else "squeezenet"
    if max(height, width) <= 32:
        return "digitnet" if channels == 1 else "resnet9"
    return "resnet18"


def augmentation(found: PictureSet, size: int, network: str, freeze: str = "") -> str:
    """Digits may not be mirrored; photographs may, and are cropped.

    In front of a frozen trunk they are mirrored only: each goes through it twice in all then, not once an epoch.
    """
    if freeze == "trunk":
        return "none" if found.channels == 1 else "flip"
    if found.channels == 1:
        return VARIED.get(network, DIGITS)
    return "flip,shift4,cutout8" if size <= 32 else "flip,crop"


def recipe(network: str, size: int, examples: int, start_from: str, freeze: str) -> Recipe:
    """For this network, size and number of training examples; with a frozen trunk only a linear layer is learnt."""
    if start_from and freeze == "trunk":
        return LINEAR if network.endswith("_linear") else PROBE
    if start_from:
        return TUNE
    if network == "resnet9" and examples < FEW:
        return replace(RECIPES["resnet9"], batch_size=64, lr=0.1, epochs=40)
    if network in RECIPES:
        return RECIPES[network]
    if network.startswith(WITHOUT_NORM) and "bn" not in network:
        return PLAIN
    return LARGE if size > 64 else DEEP
