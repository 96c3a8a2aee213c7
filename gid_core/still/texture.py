"""Behind what moves: texture and lines of the surroundings, continued patch by patch.

A nearest-neighbour field says, for every place of the hole, which patch of the known picture looks
like what is there so far; the places then take the mean of what these patches show. That repeats
from a size at which the hole is a few pixels wide up to the working size, and at full size the
patches are copied. Where they are brighter or darker than the known picture around the hole, they
are shifted by that difference, which is spread smoothly from the hole's border inwards.

Law: every colour lies between the least and the most of the known picture, channel by channel; what
is known stays as it is. The same picture gives the same fill.

Source: Wexler, Shechtman & Irani, "Space-Time Completion of Video", PAMI 2007; the search is
PatchMatch, Barnes et al. 2009, for all places at once. Patches are compared by the first terms of
their cosine transform. Shifts spread from a border: Perez et al., "Poisson Image Editing", SIGGRAPH
2003, by pull-push in place of an equation.
"""

import math

import torch
import torch.nn.functional as F

from ..shapes import Bool, Float, Tensor
from .filters import box_mean, dilated, pull_push

MOST_WORKED = 2**17  # pixels of the working size, of the hole and its surroundings
RADIUS = 4  # of a patch, px of the working size
TERMS = 3  # cosine terms of brightness with u + v up to this
VOTERS = 3  # a place takes colours of patches around it, up to this far
HOLE_AT_FIRST = 3.0  # px: half the width of the hole at the coarsest size
SMALLEST = 4 * RADIUS + 2  # shorter side of the coarsest size
ROUNDS = (8, 5)  # of search and vote, at the coarsest size and at the finer ones
TRUST = 1.15  # a patch a pixel deeper in the hole counts less by this
SHARP = 0.02  # root mean square difference of patches at which a vote falls to exp(-1/2)
EVEN = 4  # px of the working size over which the means on both sides of a border are taken
ALONG = 16  # px of the working size over which their difference is averaged along the border
SHADE = 0.05  # difference of the means at which it counts by exp(-1/2)
AT_ONCE = 2**18  # pixels that are copied at once


def continue_texture(
    image: Float[Tensor, "c h w"], hole: Bool[Tensor, "h w"], first: Float[Tensor, "c h w"]
) -> Float[Tensor, "c n"] | None:
    """Colours for the pixels of a hole, in the order of `hole.nonzero()`.

    Args:
        first: A fill of any kind, kept where no patch can be copied.

    Returns:
        None if the surroundings hold no whole patch.
    """
    if not hole.any():
        return image[:, hole]
    place = _surroundings(hole)
    image, first, hole = image[:, place[0], place[1]], first[:, place[0], place[1]], hole[place]
    scale = min(1.0, math.sqrt(MOST_WORKED / hole.numel()))
    size = tuple(max(1, round(n * scale)) for n in hole.shape)
    known = (~hole).to(image)[None, None]
    share = F.interpolate(known, size, mode="area")
    clean = share[0, 0] > 0.999  # nothing of the hole is in them
    colours = F.interpolate((image * known[0])[None], size, mode="area") / share.clamp(min=1e-6)
    levels = _levels(pull_push(colours, clean.to(image)[None, None])[0], clean)
    generator = torch.Generator().manual_seed(0)
    field = None
    for picture, known_here in reversed(levels):
        sources = _eroded(known_here, RADIUS)
        if not sources.any():
            continue
        rounds = ROUNDS[field is not None]
        field = _begin(field, sources, generator)
        picture = picture.clone()
        if rounds == ROUNDS[1]:
            _vote(picture, known_here, field, None)
        for _ in range(rounds):
            features = _features(picture)
            field, cost = _search(features, field, sources, ~known_here, generator)
            _vote(picture, known_here, field, cost)
    if field is None or tuple(field.shape[1:]) != size:
        return None
    shift = F.interpolate(_shift(picture, clean)[None], hole.shape, mode="bilinear")[0]
    result = _copied(image, hole, first, field) + shift[:, hole]
    known = image[:, ~hole]
    result = result.clamp(*(end[:, None] for end in (known.amin(1), known.amax(1))))
    if len(result) == 4:  # premultiplied
        result[:3] = result[:3].minimum(result[3:])
    return result


def _shift(picture, known):
    """What to add to a fill, so that it is as bright as what is known on the other side of the
    hole's border: the difference of means on both sides, spread inwards."""
    known = known.to(picture)[None]
    border = (1 - known) * dilated(known, 1)
    inside, outside = (
        box_mean((picture * part)[None], EVEN) / box_mean(part[None], EVEN).clamp(min=1e-6)
        for part in (1 - known, known)
    )
    apart = outside - inside
    # What differs much is another thing, and no shade of the same.
    alike = torch.exp(-apart.square().mean(1, keepdim=True) / (2 * SHADE**2))
    weight = border[None] * alike
    # Averaged along the border too: single lines of a texture differ, and cancel out.
    apart = box_mean(apart * weight, ALONG) / box_mean(weight, ALONG).clamp(min=1e-6)
    return pull_push(apart, weight)[0]


def _surroundings(hole):
    """Rows and columns of the hole, and as much again on every side."""
    place = []
    for axis in (1, 0):
        at = hole.any(axis).nonzero().squeeze(1)
        low, high = int(at[0]), int(at[-1]) + 1
        margin = max(8 * RADIUS, high - low)
        place.append(slice(max(0, low - margin), min(hole.shape[1 - axis], high + margin)))
    return tuple(place)


def _levels(picture, known):
    """The picture, and halves of it, down to where the hole is a few pixels wide."""
    from scipy.ndimage import distance_transform_edt

    levels = [(picture, known)]
    while min(known.shape) // 2 >= SMALLEST:
        if distance_transform_edt(~known.numpy()).max() <= HOLE_AT_FIRST:
            break
        weight = known.to(picture)[None, None]
        share = F.avg_pool2d(weight, 2)
        seen = F.avg_pool2d(picture[None] * weight, 2) / share.clamp(min=1e-6)
        half = share[0, 0] > 0.49
        picture, known = torch.where(half, seen, F.avg_pool2d(picture[None], 2))[0], half
        levels.append((picture, known))
    return levels


def _eroded(known, radius):
    """Centres of patches that are known as a whole and lie in the picture."""
    inside = F.pad(known.float()[None], (radius,) * 4)
    return -F.max_pool2d(-inside, 2 * radius + 1, 1)[0] > 0.5


def _begin(field, sources, generator):
    """A field of sources (y, x): that of half the size enlarged, or random."""
    height, width = sources.shape
    where = sources.flatten().nonzero().squeeze(1)
    drawn = where[torch.randint(len(where), (height * width,), generator=generator)]
    drawn = torch.stack([drawn // width, drawn % width]).view(2, height, width)
    if field is None:
        return drawn
    y, x = torch.arange(height), torch.arange(width)
    rows, columns = (y // 2).clamp(max=field.shape[1] - 1), (x // 2).clamp(max=field.shape[2] - 1)
    twice = 2 * field[:, rows][:, :, columns]
    odd = torch.stack(torch.broadcast_tensors(y[:, None] - 2 * rows[:, None], x - 2 * columns))
    twice = twice + odd
    limit = torch.tensor([height - 1, width - 1]).view(2, 1, 1)
    twice = twice.minimum(limit)
    good = sources[twice[0], twice[1]]
    return torch.where(good, twice, drawn)


def _features(picture) -> Float[Tensor, "n f"]:
    """What patches are compared by: cosine terms, as rows of one pixel each."""
    side = 2 * RADIUS + 1
    wave = [
        torch.cos(math.pi * u * (torch.arange(side) + 0.5) / side) * (1 if u else 0.5**0.5)
        for u in range(TERMS + 1)
    ]
    terms = [(u, v) for u in range(TERMS + 1) for v in range(TERMS + 1 - u)]
    kernels = torch.stack([wave[u][:, None] * wave[v] for u, v in terms]) * (2 / side**2)
    padded = F.pad(picture[None], (RADIUS,) * 4, mode="replicate")[0]
    brightness = padded[:3].mean(0, keepdim=True)
    found = [F.conv2d(brightness[None], kernels[:, None])[0]]
    few = [i for i, (u, v) in enumerate(terms) if u + v <= 1]
    for channel in padded:  # colour, more coarsely
        found.append(F.conv2d((channel - brightness)[None], kernels[few][:, None])[0])
    return torch.cat(found).flatten(1).t().contiguous()


def _search(features, field, sources, hole, generator):
    """PatchMatch for all places at once: from the neighbours, then at random, ever nearer."""
    height, width = sources.shape
    reach = F.max_pool2d(hole.float()[None], 2 * VOTERS + 1, 1, VOTERS)[0] > 0
    at = reach.flatten().nonzero().squeeze(1)
    y, x = at // width, at % width
    own, allowed = features[at], sources.flatten()
    best = field.flatten(1)[:, at]
    cost = (features[best[0] * width + best[1]] - own).square().sum(1)
    field = field.clone()

    def offer(sy, sx):
        nonlocal cost
        sy, sx = sy.clamp(0, height - 1), sx.clamp(0, width - 1)
        source = sy * width + sx
        new = (features[source] - own).square().sum(1)
        better = allowed[source] & (new < cost)
        cost = torch.where(better, new, cost)
        best[0], best[1] = torch.where(better, sy, best[0]), torch.where(better, sx, best[1])

    for step in (4, 2, 1, 1):
        for dy, dx in ((0, step), (step, 0), (0, -step), (-step, 0)):
            field.flatten(1)[:, at] = best
            ny, nx = (y - dy).clamp(0, height - 1), (x - dx).clamp(0, width - 1)
            neighbour = field.flatten(1)[:, ny * width + nx]
            offer(neighbour[0] + y - ny, neighbour[1] + x - nx)
        far = max(height, width)
        while far >= 1:
            draw = torch.rand(2, len(at), generator=generator) * 2 - 1
            offer(*(best + (draw * far).round().long()))
            far //= 3
    field.flatten(1)[:, at] = best
    whole = torch.full((height * width,), torch.inf).index_copy(0, at, cost)
    return field, whole.view(height, width)


def _vote(picture, known, field, cost):
    """Write into the hole the mean of what the patches around every place show there.

    Patches nearer to what is known count more, so that lines go on from there.
    """
    from scipy.ndimage import distance_transform_edt

    height, width = known.shape
    depth = torch.from_numpy(distance_transform_edt(~known.numpy())).to(picture)
    trust = TRUST ** -depth.flatten()
    at = (~known).flatten().nonzero().squeeze(1)
    y, x = at // width, at % width
    total, weights = 0.0, 0.0
    colours = picture.flatten(1).clone()
    for dy in range(-VOTERS, VOTERS + 1):
        for dx in range(-VOTERS, VOTERS + 1):
            ny, nx = y + dy, x + dx
            inside = (ny >= 0) & (ny < height) & (nx >= 0) & (nx < width)
            near = ny.clamp(0, height - 1) * width + nx.clamp(0, width - 1)
            sy = (field[0].flatten()[near] - dy).clamp(0, height - 1)
            sx = (field[1].flatten()[near] - dx).clamp(0, width - 1)
            weight = inside * trust[near]
            if cost is not None:
                weight = weight * torch.exp(-cost.flatten()[near] / (2 * SHARP**2)).clamp(min=1e-6)
            total = total + weight * colours[:, sy * width + sx]
            weights = weights + weight
    picture.flatten(1)[:, at] = total / weights.clamp(min=1e-20)


def _copied(image, hole, first, field):
    """At full size: every pixel from where its place and the three next to it send it."""
    height, width = hole.shape
    rows, columns = field.shape[1:]
    at = hole.flatten().nonzero().squeeze(1)
    result = first.flatten(1)[:, at]
    known = ~hole.flatten()
    for begin in range(0, len(at), AT_ONCE):
        part = at[begin : begin + AT_ONCE]
        y, x = part // width, part % width
        gy = ((y + 0.5) * (rows / height) - 0.5).clamp(0, rows - 1)
        gx = ((x + 0.5) * (columns / width) - 0.5).clamp(0, columns - 1)
        top, left = gy.floor().long(), gx.floor().long()
        total, weights = 0.0, 0.0
        for dy, wy in ((0, 1 - (gy - top)), (1, gy - top)):
            for dx, wx in ((0, 1 - (gx - left)), (1, gx - left)):
                cy, cx = (top + dy).clamp(max=rows - 1), (left + dx).clamp(max=columns - 1)
                sy = y + ((field[0, cy, cx] - cy) * (height / rows)).round().long()
                sx = x + ((field[1, cy, cx] - cx) * (width / columns)).round().long()
                inside = (sy >= 0) & (sy < height) & (sx >= 0) & (sx < width)
                source = sy.clamp(0, height - 1) * width + sx.clamp(0, width - 1)
                weight = (wy * wx) * (inside & known[source])
                total = total + weight * image.flatten(1)[:, source]
                weights = weights + weight
        mixed = total / weights.clamp(min=1e-6)
        here = slice(begin, begin + AT_ONCE)
        result[:, here] = torch.where(weights > 1e-3, mixed, result[:, here])
    return result
