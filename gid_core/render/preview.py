"""Small pictures of a motion before it is rendered: a short loop, and the mask over the still.

Law: at most FRAMES frames of at most SIDE_PX px, whatever the still and the motion are; the loop
has no seam.

Convention: a preview shows how things move, not the clip. It is shorter than most motions, so slow
bands move to its own harmonics; bands too fast for it are left out; no network refines its frames.
"""

from dataclasses import replace

import torch
import torch.nn.functional as F

from ..motion.playback import play
from ..motion.spectrum import SpectralVolume, of_still
from ..shapes import Float, Tensor
from ..still.grid import fitted
from ..still.inputs import accept_images
from .renderer import render_frames

FRAMES = 16
SIDE_PX = 320  # longer side at most
LEAST_FPS, MOST_FPS = 8.0, 25.0
PER_CYCLE = 2.25  # frames per cycle of the fastest band: more than two
TINT = (0.15, 0.85, 0.55)  # of what moves
TINTED, DIMMED = 0.4, 0.45  # share of the tint; brightness of what stays
MOST_STILLS = 4  # of a batch that are shown


def preview_sheet(
    stills: Float[Tensor, "n c h w"], spectrum: SpectralVolume
) -> tuple[Float[Tensor, "t c2 h2 w2"], float]:
    """The first motions of a batch in one moving picture, and its frames per second.

    Each loop stands before its mask on the still: above it, or left of it if the still is upright.
    Stills follow one another across that.

    Args:
        stills: As many as motions, or one for all.

    Raises:
        ValueError: If `check_images` refuses them.
    """
    stills = accept_images(stills)
    across = 3 if stills.shape[2] < stills.shape[3] else 2
    pairs = []
    for i in range(min(MOST_STILLS, max(len(stills), len(spectrum.coeffs)))):
        still = stills[min(i, len(stills) - 1)][None]
        item = min(i, len(spectrum.coeffs) - 1)
        loop, fps = motion_preview(still, spectrum, item)
        pair = [loop]
        if spectrum.mask is not None:
            overlay = torch.ones_like(loop[:1])
            overlay[:, :3] = mask_overlay(still, spectrum.mask[item : item + 1])
            pair.append(overlay.expand_as(loop))
        pairs.append(torch.cat(pair, 5 - across))
    return torch.cat(pairs, across), fps


def motion_preview(
    still: Float[Tensor, "1 c h w"], spectrum: SpectralVolume, item: int = 0
) -> tuple[Float[Tensor, "t c2 h2 w2"], float]:
    """A short loop of a still, and its frames per second; grey becomes rgb.

    Modes are shown as the wind moves them; without wind they rest.

    Args:
        item: Index in the batch of motions.
    """
    small, shown = _small(still), _in_wind(of_still(spectrum, item))
    fps = float((PER_CYCLE * shown.frequencies_hz.max()).clamp(LEAST_FPS, MOST_FPS))
    if not shown.coeffs.any() or PER_CYCLE * float(shown.frequencies_hz.min()) > fps:
        return small.expand(FRAMES, -1, -1, -1), fps
    motion, _ = play(shown, FRAMES, fps)
    return torch.stack([frame for frame, _ in render_frames(small[0], motion)]), fps


def mask_overlay(
    still: Float[Tensor, "1 c h w"], mask: Float[Tensor, "1 1 hm wm"]
) -> Float[Tensor, "1 3 h2 w2"]:
    """A small still on which what moves is tinted, and what stays is grey and dark."""
    small = _small(still)[:, :3]
    share = F.interpolate(mask, small.shape[-2:], mode="area").clamp(0, 1)
    tint = small.new_tensor(TINT).view(3, 1, 1)
    stays = DIMMED * small.mean(1, keepdim=True).expand_as(small)
    return torch.lerp(stays, torch.lerp(small, tint, TINTED), share)


def _small(still):
    """A small still with three or four channels: grey is repeated."""
    small = fitted(still, SIDE_PX)
    return small.expand(-1, 3, -1, -1) if still.shape[1] == 1 else small


def _in_wind(spectrum):
    """A motion that can be played, without mean and drift: modes are driven by their wind."""
    spectrum = replace(spectrum, mean=None, drift=None)
    if spectrum.kind == "response":
        return spectrum
    driven = {"kind": "response", "damping_ratio": None, "ambient": None, "ambient_hz": None}
    if spectrum.ambient is None:
        return replace(spectrum, coeffs=0 * spectrum.coeffs, **driven)
    coeffs = torch.einsum("bkxhw,km->bmxhw", spectrum.coeffs, spectrum.ambient)
    return replace(spectrum, coeffs=coeffs, frequencies_hz=spectrum.ambient_hz, **driven)
