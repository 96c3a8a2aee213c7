"""What a node shows on itself after a run: text, a small loop of the motion, what moves.

Convention: text is the host's own `text` output, one entry a line. A line that starts with WARNS is
a warning; `web/gid_said.js` shows all lines on the node, and any node for text can show them, too.
"""

import torch
from comfy_api.latest import io, ui

from ..gid_core.files import video
from ..gid_core.files.kept import digest, kept
from . import host

WARNS = "\u26a0 "
PREVIEWS = 2**28  # bytes of animated pictures that are kept


def preview_input() -> io.Boolean.Input:
    """The switch for `moving`, appended to the inputs of a node."""
    return io.Boolean.Input(
        "preview",
        default=True,
        optional=True,
        tooltip="Show the motion in the node as soon as it is known: a small loop, and what moves "
        "tinted on the still. Off: text only.",
    )


def said(*notes: str, warnings: list[str] = ()) -> dict:
    """Text on the node, warnings first."""
    lines = [WARNS + line for line in warnings] + [note for note in notes if note]
    return {"text": lines} if lines else {}


def sampled(report, notes: list[str]) -> dict:
    """The text of a sampling: odd masks, and the report, as a warning if it warns."""
    text = str(report)
    return said(warnings=[*notes, text]) if report.warns else said(text, warnings=notes)


def moving(stills: torch.Tensor, spectrum) -> dict:
    """The first motions of a batch as small loops, each with its mask on the still.

    One picture: the classic canvas shows only the first of several that move.
    """
    from ..gid_core.render.preview import preview_sheet

    return {"images": [animation(*preview_sheet(stills, spectrum))], "animated": (True,)}


def animation(frames: torch.Tensor, fps: float) -> ui.SavedResult:
    """Frames (t c h w) as an animated picture in the temp folder."""
    write = lambda path: video.save_clip(path, iter(frames.cpu()), fps, ".webp")
    folder = host.own_temp_folder("previews")  # apart, so that no clip is forgotten for them
    path = kept(folder, digest(frames, fps), ".webp", write, PREVIEWS)
    subfolder = folder.relative_to(host.temp_folder()).as_posix()
    return ui.SavedResult(path.name, subfolder, io.FolderType.temp)
