"""What the channels of a stage find in a picture: their maps, all of them, or those that respond most."""

from jaxtyping import Float
from torch import Tensor

from legato import picture
from legato.errors import UsageError, nearest
from legato.explain.stages import is_map, maps, outline, outputs, with_maps
from legato.explain.subject import Shown, Subject, method

ACROSS, DOWN = 8, 6  # channels and stages of the overview
TOP = 7  # channels laid over the picture
MOST = 512  # channels of one sheet


def top_channels(map: Float[Tensor, "c h w"], count: int) -> list[int]:
    """The channels that respond most somewhere, strongest first."""
    return map.amax(dim=(1, 2)).topk(min(count, len(map))).indices.tolist()


@method("activations", fits=with_maps)
def show_activations(subject: Subject) -> list[Shown]:
    """Feature maps: of every stage the strongest; with --stage all of it; with --channel one, over the picture."""
    if not subject.stage:
        return [overview(subject)]
    found = one_stage(subject)
    if subject.channel >= 0:
        return [one_channel(subject, found)]
    strongest = top_channels(found, TOP)
    over = picture.panels(
        subject.pixels[0], [(f"channel {k}", found[k].clamp(min=0)) for k in strongest],
        f"{subject.stage}: the channels that respond most", "activation",
    )  # fmt: skip
    c, h, w = found.shape
    line = f"{subject.stage}: {c} channels of {h} × {w}; strongest {', '.join(map(str, strongest))}"
    return [Shown(all_channels(subject.stage, found), "all", (line,)), Shown(over, "top")]


def run_once(subject: Subject) -> object:
    return subject.task.outputs(subject.net, subject.encoded, None)


def overview(subject: Subject) -> Shown:
    """Stages from the picture to the answer, and in each the channels that respond most."""
    everything = maps(subject.net, lambda: run_once(subject))
    names = outline(subject.net, everything)
    found = {name: everything[name][0] for name in names}
    chosen = [names[round(i * (len(names) - 1) / max(1, DOWN - 1))] for i in range(min(DOWN, len(names)))]
    rows = []
    for name in dict.fromkeys(chosen):
        c, h, w = found[name].shape
        called = subject.task.names if c == len(subject.task.names) else [str(k) for k in range(c)]
        tiles = [(called[k], found[name][k]) for k in top_channels(found[name], ACROSS)]
        rows.append((f"{name.rpartition('.')[2]}\n{c} × {h} × {w}", tiles))
    drawn = picture.ladder(subject.pixels[0], rows, "What each stage makes of it: the channels that respond most")
    return Shown(drawn, lines=(f"stages with maps: {', '.join(names)}",))


def one_stage(subject: Subject) -> Float[Tensor, "c h w"]:
    """The stage's maps. Raises UsageError for a stage that does not exist, or makes none."""
    found = outputs(subject.net, lambda: run_once(subject))
    if subject.stage not in found:
        raise UsageError(f"no stage called {subject.stage!r}{nearest(subject.stage, found)}")
    if not is_map(found[subject.stage]):
        there = outline(subject.net, {name: output for name, output in found.items() if is_map(output)})
        raise UsageError(f"{subject.stage} makes no map of places; these do: {', '.join(there)}")
    return found[subject.stage][0]


def all_channels(name: str, found: Float[Tensor, "c h w"]) -> picture.Picture:
    c, h, w = found.shape
    signed = float(found.min()) < 0
    title = f"{name}: all {c} feature maps, {h} × {w}" if c <= MOST else f"{name}: the first {MOST} of {c} feature maps"
    return picture.mosaic(found[:MOST], title, "activation", signed)


def one_channel(subject: Subject, found: Float[Tensor, "c h w"]) -> Shown:
    if subject.channel >= len(found):
        last = len(found) - 1
        raise UsageError(f"--channel {subject.channel}: {subject.stage} has channels 0 to {last}")
    map = found[subject.channel]
    signed = float(map.min()) < 0
    title = f"{subject.stage}, channel {subject.channel}"
    return Shown(picture.heat(map, subject.pixels[0], title, "activation", signed))
