"""What in a picture made a unit respond: the deconvnet (Zeiler & Fergus 2013, arXiv:1311.2901, section 2.1).

All other units of the stage are set to zero, and what is left goes back: unpooled to where the maxima stood, rectified,
through the transposed filters. For any network of convolutions, rectifiers and pools this is its gradient with the
rectifiers' rule exchanged (`legato.explain.rectified`), so that modules with branches and shortcuts need nothing more.
Where windows of a pool overlap and share their maximum, what comes back adds up; what the paper does not have, response
or batch normalisation, goes back by its derivative.
"""

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from legato.errors import UsageError
from legato.explain.features import front, looks
from legato.explain.rectified import rectifying
from legato.explain.stages import last_map, with_maps
from legato.explain.subject import AnyTask, Shown, Subject, method
from legato.explain.windows import seen_by
from legato.layers.modes import evaluating
from legato.picture import patches
from legato.picture.style import number
from legato.watch import watch

SHOWN = 11  # channels of one picture


def deconvnet(
    net: nn.Module,
    stage: str,
    x: Float[Tensor, "b c h w"],
    channels: Int[Tensor, "b"],
    places: Int[Tensor, "b"] | None = None,
) -> Float[Tensor, "b c h w"]:
    """For each picture, what one unit of the stage responds to in it, in the picture's own place and colours.

    channels: of the stage, one a picture. places: of the unit, counted row by row in its map; None for the place where
    the channel responds most. Raises UsageError for a stage that
    does not exist, or has fewer channels.
    """
    x = x.detach().clone().requires_grad_()
    with torch.enable_grad(), evaluating(net), rectifying("deconvnet"), watch(net, stage) as seen:
        front(net, stage)(x)
        units = by_channel(seen[stage][0], stage)  # (b, k, places)
        if not 0 <= int(channels.min()) <= int(channels.max()) < units.shape[1]:
            raise UsageError(f"{stage} has channels 0 to {units.shape[1] - 1}, not {int(channels.max())}")
        rows = torch.arange(len(x), device=x.device)
        own = units[rows, channels]  # (b, places)
        at = own.argmax(dim=1) if places is None else places
        (signal,) = torch.autograd.grad(own[rows, at], x, own[rows, at].detach())
    return signal


def by_channel(maps: Tensor, stage: str) -> Float[Tensor, "b k places"]:
    """Maps (b, k, h, w) row by row, units (b, k) as maps of one place."""
    if not isinstance(maps, Tensor) or maps.dim() not in (2, 4):
        raise UsageError(f"{stage} gives no maps and no units")
    return maps.flatten(2) if maps.dim() == 4 else maps[:, :, None]


def fits(task: AnyTask, net: nn.Module) -> str:
    """Objects where no maps are made of the picture alone."""
    return with_maps(task, net) or looks(task, net)


@method("deconvnet", fits)
def show_deconvnet(subject: Subject) -> list[Shown]:
    """Deconvnet: what in this picture the most active channels of a stage respond to."""
    net, x = subject.net, subject.pixels
    stage = subject.stage or last_map(net, lambda: net(x))
    with torch.no_grad(), evaluating(net), watch(net, stage) as seen:
        front(net, stage)(x)
    strength, places = by_channel(seen[stage][0], stage)[0].max(dim=1)
    window = seen_by(net, stage, x.shape[1:])
    blocks = []
    for k in most_active(strength, subject, stage, SHOWN):
        signal = deconvnet(net, stage, x, torch.tensor([k]), places[k : k + 1])[0].cpu()
        caption = f"channel {k}: {number(float(strength[k]))}"
        blocks.append(patches.Block(caption, [signal], [x[0].cpu()], [window(int(places[k]))]))
    title = f"{stage}: where its most active channels look (right), and what they respond to there (left)"
    return [Shown(patches.blocks(blocks, title, x[0]), lines=tuple(f"{stage} {block.caption}" for block in blocks))]


def most_active(strength: Float[Tensor, "c"], subject: Subject, stage: str, most: int) -> list[int]:
    """The channel the user named, or those that respond at all, most active first. Raises UsageError for none."""
    if subject.channel >= len(strength):
        raise UsageError(f"{stage} has channels 0 to {len(strength) - 1}, not {subject.channel}")
    if subject.channel >= 0:
        return [subject.channel]
    alive = strength > 0
    if not alive.any():
        raise UsageError(f"no channel of {stage} responds to anything: the deconvnet has nothing to go back from")
    return strength.topk(min(most, int(alive.sum()))).indices.tolist()
