"""What can be typed after `python -m gid_core`: commands, options, their ranges and defaults.

Law: a default is written once, where it is used; --help shows it.
"""

import argparse
import math
from collections.abc import Callable
from pathlib import Path

from .config import (
    ANCHORS,
    LAYOUTS,
    PRESETS,
    ElasticConfig,
    ExtractionConfig,
    SamplingConfig,
    ShardConfig,
    SpectrumConfig,
    WindConfig,
)
from .diffusion.encoding import NORMALIZATIONS
from .diffusion.sampling import SAMPLERS
from .evaluation import feature_distances
from .footage import flow
from .motion import playback
from .scenes import synthetic
from .training.objectives import RENDERER, STAGES
from .training.train import RATES, TrainConfig

MOST_BANDS = 128


def parser(run: dict[str, Callable]) -> argparse.ArgumentParser:
    """The command line. `run` has what each command runs, by its name."""
    whole = argparse.ArgumentParser(
        prog="python -m gid_core", description="Make a still photograph move as wind would move it."
    )
    commands = whole.add_subparsers(required=True, metavar="COMMAND")

    elastic, wind, bands = ElasticConfig(), WindConfig(), SpectrumConfig()
    command = commands.add_parser("animate", help="a still becomes a seamless loop")
    command.set_defaults(run=run["animate"])
    _add_clip_options(command)
    add = command.add_argument
    add("--mask", type=Path, metavar="M", help="picture of the still, white where it may move")
    add("--exact-mask", action="store_true", help="use the mask as it is, do not refine it")
    add("--anchor", type=Path, metavar="M", help="picture of the still, white where it is held")
    add("--anchor-rule", choices=ANCHORS, default=elastic.anchor, help="what holds a part where no anchor is painted (default: %(default)s, which is hanging for what only the upper border cuts off, else ground)")  # fmt: skip
    add("--model", default="elastic", metavar="M", help="where the motion comes from: elastic, which needs no weights; learned, which needs no mask either; or a file of weights (default: %(default)s)")  # fmt: skip
    how = SamplingConfig()
    add("--steps", type=number(int, 1, 1000), default=how.steps, metavar="N", help="learned: steps of sampling (default: %(default)s)")  # fmt: skip
    add("--sampler", choices=SAMPLERS, default=how.sampler, help="learned: (default: %(default)s)")
    add("--guidance", type=number(float, 0, 20), default=how.guidance, metavar="W", help="learned: how much more the still counts (default: %(default)s)")  # fmt: skip
    add("--loop-guidance", type=number(float, 0, 1e5), default=0.0, metavar="U", help="learned: keep the model's own frequencies, and guide sampling towards a loop as long as the clip; 0 uses frequencies that close it by themselves (default: %(default)s)")  # fmt: skip
    add("--amplitude", type=number(float, 0, 20), default=bands.amplitude_pct, metavar="PCT", help="how far things move, 95th percentile of the peaks, %% of the longer side (default: %(default)s)")  # fmt: skip
    add("--sway-hz", type=number(float, 0, 20, True), default=elastic.sway_hz, metavar="F", help="natural frequency of the largest part, Hz; trees 0.2-0.5, small plants 1-3 (default: %(default)s)")  # fmt: skip
    add("--damping", type=number(float, 0, 2, True), default=elastic.damping_ratio, metavar="Z", help="damping ratio, 1 = no ringing (default: %(default)s)")  # fmt: skip
    add("--wind-direction", type=number(float, -360, 360), default=wind.direction_deg, metavar="DEG", help="degrees, 0 = towards the right, 90 = towards the top (default: %(default)s)")  # fmt: skip
    add("--wind-speed", type=number(float, 0, 100, True), default=wind.speed, metavar="W", help="picture widths per second at which gusts travel (default: %(default)s)")  # fmt: skip
    add("--gust-length", type=number(float, 0, 100, True), default=wind.gust_length, metavar="W", help="picture widths (default: %(default)s)")  # fmt: skip
    add("--bands", type=number(int, 1, MOST_BANDS), metavar="K", help="number of frequencies (default: as many as reach 3.2 Hz)")  # fmt: skip
    add("--duration", type=number(float, 0, 600, True), metavar="S", help="seconds whose harmonics the frequencies are (default: the clip's length, 10 s at most)")  # fmt: skip
    add("--save-spectrum", type=Path, metavar="F", help="also write the motion as .safetensors")
    add("--save-modes", type=Path, metavar="F", help="also write how the still rings when it is poked, .safetensors, for the command page")  # fmt: skip

    command = commands.add_parser("render", help="render a still with a spectrum made elsewhere")
    command.set_defaults(run=run["render"])
    _add_clip_options(command)
    add = command.add_argument
    add("--spectrum", type=Path, required=True, metavar="F", help="a .safetensors spectrum")
    add("--mask", type=Path, metavar="M", help="what may move (default: the spectrum's own mask)")

    read = ExtractionConfig()
    command = commands.add_parser("extract", help="read the motion of a clip, or of many")
    command.set_defaults(run=run["extract"])
    add = command.add_argument
    add("clip", type=Path, metavar="CLIP", help="a video, an animated gif or webp; or many: a folder of them, or a list of paths in a .txt")  # fmt: skip
    add("-o", "--out", type=Path, required=True, metavar="F", help="the motion, .safetensors; of many, a folder for shards, which a second run goes on with")  # fmt: skip
    add("--still", type=Path, metavar="P", help="also write the frame it starts from, at full size")
    add("--report", type=Path, metavar="R", help="also write what was found, .json, refused or not")
    add("--bands", type=number(int, 1, MOST_BANDS), default=read.bands, metavar="K", help="number of frequencies (default: %(default)s)")  # fmt: skip
    add("--window", type=number(float, 0, 600, True), default=read.window_s, metavar="S", help="seconds to read, whose harmonics the frequencies are (default: %(default)s)")  # fmt: skip
    add("--start", type=number(float, 0, 86400), default=0.0, metavar="S", help="where in the clip to begin, s (default: %(default)s)")  # fmt: skip
    add("--fps", type=number(float, 0, 1000, True), metavar="R", help="frame rate to resample to (default: the clip's own)")  # fmt: skip
    add("--flow", choices=list(flow.ESTIMATORS), default="dis", help="dis needs OpenCV, torch needs nothing (default: %(default)s)")  # fmt: skip
    add("--size", type=number(int, 16, 1024), default=read.longest_side, metavar="PX", help="longer side of the grid (default: %(default)s)")  # fmt: skip
    add("--raw", action="store_true", help="the paper's way: do not take the trend off first")
    add("--workers", type=number(int, 1, 1024), default=1, metavar="N", help="of many: clips read at once (default: %(default)s)")  # fmt: skip
    add("--ray-address", metavar="A", help="of many: read them on this Ray cluster, or on one started here: local")  # fmt: skip
    add("--every", type=number(int, 1, 100_000), default=ShardConfig().every, metavar="N", help="of many: frames from one start to the next (default: %(default)s)")  # fmt: skip
    add("--any-motion", action="store_true", help="of many: keep what moves so little, or so much, that the paper's training set leaves it out")  # fmt: skip
    add("--quiet", action="store_true", help="no progress bar")

    command = commands.add_parser("synth", help="make scenes whose motion is known exactly")
    command.set_defaults(run=run["synth"])
    add = command.add_argument
    add("-o", "--out", type=Path, required=True, metavar="DIR", help="folder for clips, stills, masks and spectra")  # fmt: skip
    add("--count", type=number(int, 1, 1_000_000), default=1, metavar="N", help="scenes to make (default: %(default)s)")  # fmt: skip
    add("--seed", type=number(int, 0, 2**31), default=0, metavar="N", help="of the first; the others follow (default: %(default)s)")  # fmt: skip
    add("--kind", choices=list(synthetic.KINDS), help="what grows or hangs there (default: drawn)")
    add("--size", type=size, default=(256, 160), metavar="WxH", help="px (default: 256x160)")
    add("--frames", type=number(int, 1, 100_000), default=150, metavar="N", help="frames of each clip (default: %(default)s)")  # fmt: skip
    add("--fps", type=number(float, 0, 240, True), default=30.0, metavar="R", help="frames per second (default: %(default)s)")  # fmt: skip
    add("--amplitude", type=number(float, 0, 20), metavar="PCT", help="how far things move, 95th percentile of the peaks, %% of the longer side (default: drawn, 0.4 to 4)")  # fmt: skip
    add("--photographs", type=Path, metavar="DIR", help="pictures to texture things with (default: procedural)")  # fmt: skip
    add("--quiet", action="store_true", help="no progress bar")

    command = commands.add_parser(
        "train", help="train one stage of a motion model, or a renderer, or go on with it"
    )
    command.set_defaults(
        run=run["train"],
        interrupted="interrupted: the same command goes on from what was saved last",
    )
    add, how = command.add_argument, TrainConfig
    add("stage", choices=[*STAGES, RENDERER], help="of a motion model in this order, where each begins with --from the one before; or by itself the renderer")  # fmt: skip
    add("-o", "--out", type=Path, required=True, metavar="RUN", help="folder of the run; called again, it goes on")  # fmt: skip
    add("--from", dest="begin", type=Path, metavar="F", help="weights to begin with")
    add("--preset", choices=list(PRESETS), help="size of the networks, without --from (default: small)")  # fmt: skip
    add("--layout", choices=LAYOUTS, help="how bands are told of each other (default: the preset's, coordinated)")  # fmt: skip
    add("--normalization", choices=NORMALIZATIONS, help="of coefficients, without --from (default: adaptive)")  # fmt: skip
    add("--bands", type=number(int, 1, MOST_BANDS), metavar="K", help="number of frequencies, without --from (default: 16)")  # fmt: skip
    add("--steps", type=number(int, 1, 10**8), required=True, metavar="N", help="to train, in all")
    add("--batch", type=number(int, 1, 65536), default=how.batch, metavar="B", help="stills a step, over all processes (default: %(default)s)")  # fmt: skip
    add("--rate", type=number(float, 0, 1, True), default=how.rate, metavar="R", help="largest step of the optimizer (default: %(default)s)")  # fmt: skip
    add(
        "--schedule", choices=RATES, default=how.schedule, help="of the rate (default: %(default)s)"
    )
    add("--precision", choices=["no", "bf16", "fp16"], default=how.precision, help="lower than float32 where it is safe (default: %(default)s)")  # fmt: skip
    add("--workers", type=number(int, 0, 1024), default=how.workers, metavar="N", help="processes that make samples (default: %(default)s)")  # fmt: skip
    add("--seed", type=number(int, 0, 2**20), default=how.seed, metavar="N", help="(default: %(default)s)")  # fmt: skip
    add("--save-every", type=number(int, 1, 10**8), default=how.save_every, metavar="N", help="steps (default: %(default)s)")  # fmt: skip
    add("--scenes", type=number(int, 1, 10**9), default=5000, metavar="N", help="how many synthetic scenes (default: %(default)s)")  # fmt: skip
    add("--cache", type=Path, metavar="DIR", help="folder that keeps scenes once made (1.3 MB each at 128x80; for the renderer 3 MB)")  # fmt: skip
    add("--perceptual", type=Path, metavar="F", help="of the renderer: VGG-16 as safetensors with torchvision's names, so that the looks of a frame count too")  # fmt: skip
    add("--photographs", type=Path, metavar="DIR", help="also the elastic prior's motion of these pictures")  # fmt: skip
    add(
        "--clips",
        type=Path,
        metavar="DIR",
        help="also clips: shards that extract has written; for the renderer, a folder of clips",
    )
    for name, default in (("scenes", 1.0), ("photographs", 0.5), ("clips", 0.5)):
        add(f"--{name}-weight", type=number(float, 0, 1e6), default=default, metavar="W", help="share of samples, against the others (default: %(default)s)")  # fmt: skip
    add("--quiet", action="store_true", help="no progress bar")

    command = commands.add_parser("evaluate", help="measure clips and spectra against others")
    command.set_defaults(run=run["evaluate"])
    add = command.add_argument
    add("refs", type=Path, metavar="REFS", help="folder of clips and spectra, or one of them")
    add("cands", type=Path, metavar="CANDS", help="the same, of the same names, to be measured")
    add("-o", "--out", type=Path, metavar="DIR", help="folder for evaluation.json and .html")
    add("--flow", choices=list(flow.ESTIMATORS), help="also compare clips by the motion that this flow reads")  # fmt: skip
    add("--size", type=number(int, 16, 4096), default=512, metavar="PX", help="longer side to which larger clips are scaled down first (default: %(default)s)")  # fmt: skip
    add("--inception-weights", type=Path, metavar="F", help="of torch-fidelity, for FID and KID")
    add("--i3d-weights", type=Path, metavar="F", help="of cd-fvd, for FVD")
    add("--texture-weights", type=Path, metavar="F", help="of an I3D trained on dynamic textures, for DTFVD")  # fmt: skip
    add("--window", type=number(int, 9, 1000), default=feature_distances.WINDOWS[0], metavar="N", help="frames that FVD looks at, 16 or 32 (default: %(default)s)")  # fmt: skip
    add("--device", choices=["cpu", "cuda"], default="cpu", help="where networks run (default: %(default)s)")  # fmt: skip
    add("--quiet", action="store_true", help="no progress bar")

    command = commands.add_parser("page", help="a still becomes a page in which visitors poke it")
    command.set_defaults(run=run["page"])
    add = command.add_argument
    add("still", type=Path, metavar="STILL", help="the picture")
    add("--spectrum", type=Path, required=True, metavar="F", help="how it moves, .safetensors: modes (animate --save-modes), or a motion")  # fmt: skip
    add("-o", "--out", type=Path, required=True, help="the page: one .html file")
    add("--title", default="A still to poke", metavar="T", help="of the page, and read out for the still (default: %(default)s)")  # fmt: skip
    add("--wind", type=number(float, 0, 4), default=0.5, metavar="X", help="share of its own motion that goes on beneath (default: %(default)s)")  # fmt: skip
    add("--size", type=number(int, 64, 4096), default=1024, metavar="PX", help="longer side of the picture at most (default: %(default)s)")  # fmt: skip
    return whole


def _add_clip_options(command):
    add = command.add_argument
    add("still", type=Path, metavar="STILL", help="the picture")
    add("-o", "--out", type=Path, required=True, help="the clip: .mp4, .webm, .webp or .gif")
    add("--frames", type=number(int, 1, 100_000), default=150, metavar="N", help="frames to write (default: %(default)s)")  # fmt: skip
    add("--fps", type=number(float, 0, 240, True), default=30.0, metavar="R", help="frames per second (default: %(default)s)")  # fmt: skip
    add("--seed", type=number(int, 0, 2**63 - 1), default=0, metavar="N", help="which wind (default: %(default)s)")  # fmt: skip
    add("--speed", type=number(float, 0, 100, True), default=1.0, metavar="X", help="2 = twice as fast (default: %(default)s)")  # fmt: skip
    add("--pose", choices=playback.POSES, default=playback.POSES[0], help="what the still is to the motion (default: %(default)s)")  # fmt: skip
    add("--renderer", default="learned", metavar="R", help="what finishes frames: learned, the network that came along; splat, which needs no network and is three to eight times as fast; or a file of weights (default: %(default)s)")  # fmt: skip
    add("--shutter", type=number(float, 0, 1), default=0.0, metavar="X", help="motion blur: how long the shutter is open, of the time between frames (default: %(default)s)")  # fmt: skip
    add("--depth", type=Path, metavar="M", help="picture of the still, white what is in front where things meet (default: what moves more)")  # fmt: skip
    add("--loop", action=argparse.BooleanOptionalAction, help="close a loop, or play as sampled or recorded (default: a loop, unless read from a clip)")  # fmt: skip
    add("--quiet", action="store_true", help="no progress bar")


def number(kind, low, high, exclusive=False):
    def parse(text):
        try:
            value = kind(text)
        except ValueError:
            raise argparse.ArgumentTypeError(f"expected a number, got {text!r}") from None
        if not math.isfinite(value) or value > high or value < low or (exclusive and value == low):
            above = "above" if exclusive else "from"
            raise argparse.ArgumentTypeError(f"expected {above} {low} to {high}, got {text}")
        return value

    return parse


def size(text):
    numbers = [int(part) if part.isdecimal() else 0 for part in text.split("x")]
    if len(numbers) != 2 or not all(16 <= number <= 4096 for number in numbers):
        raise argparse.ArgumentTypeError(f"expected WxH, as 256x160, each 16 to 4096, got {text!r}")
    return tuple(numbers)
