"""What experience, measured in docs/results.md, recommends where the user says nothing: network, variations, recipe."""

from legato.data.examples import PictureSet
from legato.recipe import Recipe

# A recipe is chosen on validation data, for about the number of examples it was measured with.
RECIPES = {
    "lenet5": Recipe(epochs=20, batch_size=128, optimizer="adamw", lr=3e-3, warmup=0.1),
    "lenet5_1998": Recipe(epochs=20, batch_size=128, optimizer="adamw", lr=1e-3, warmup=0.1),
}
DEEP = Recipe(epochs=30, batch_size=128, optimizer="nesterov", lr=0.1, weight_decay=5e-4, warmup=0.15)
PROBE = Recipe(epochs=15, batch_size=64, optimizer="adamw", lr=1e-3, weight_decay=1e-4, warmup=0.1)


def network(found: PictureSet, start_from: str) -> str:
    """By the size of the first training picture: small ones have networks of their own."""
    height, width, channels = found.splits["train"].size(0)
    if start_from == "imagenet":
        return "squeezenet"
    if max(height, width) <= 32:
        return "digitnet" if channels == 1 else "resnet20"
    return "resnet18"


def augmentation(found: PictureSet, size: int) -> str:
    """Digits may not be mirrored; photographs may, and are cropped."""
    if found.channels == 1:
        return "rotate15,scale15,shear15,shift2"
    return "cifar" if size <= 32 else "flip,crop"


def recipe(network: str, examples: int, start_from: str, freeze: str) -> Recipe:
    """For this network and about so many training examples."""
    if start_from:
        return PROBE
    return RECIPES.get(network, DEEP)
