"""What can be typed after `python -m gid_core`: commands, options, their ranges and defaults.

Law: a default is written once, where it is used, and --help shows it. One call is one option: its
flags and metavar as --help shows them, what it takes (kind, range, default), and its help.
"""

import argparse
import math
from collections.abc import Callable
from pathlib import Path

from .advection.kinds import FLOWS
from .config import (
    ANCHORS,
    LAYOUTS,
    MOST_BANDS,
    PRESETS,
    ElasticConfig,
    ExtractionConfig,
    FlowConfig,
    SamplingConfig,
    ShardConfig,
    SpectrumConfig,
    WindConfig,
)
from .diffusion.encoding import NORMALIZATIONS
from .diffusion.guidance import LOOP_RULES
from .diffusion.sampling import SAMPLERS
from .elastic.kinds import CUSTOM, KINDS, WEATHER
from .motion import camera, edit, playback
from .render.layers import BORDERS

MIRRORED, TEXTURED = "mirrored", "textured"  # ways to fill the background


def parser(run: dict[str, Callable], only: str | None = None) -> argparse.ArgumentParser:
    """The command line.

    Args:
        run: The function that runs each command, by its name.
        only: Describe the options of this command alone; those of others take a tenth of a second,
            since they come from modules that this one does not need.
    """
    command_line = argparse.ArgumentParser(
        prog="python -m gid_core", description="Make a still photograph move as wind would move it."
    )
    commands = command_line.add_subparsers(required=True, metavar="COMMAND")
    for name, (describe, summary) in COMMANDS.items():
        command = commands.add_parser(name, help=summary)
        command.set_defaults(run=run[name])
        if only in (name, None):
            describe(command)
    return command_line


def _animate(command):
    elastic, wind, sampling = ElasticConfig(), WindConfig(), SamplingConfig()
    _clip_options(command)
    add = _adder(command)
    add(
        "--mask M",
        PATH | SEVERAL,
        "picture of the still, white where it may move; given several times, each is an object of "
        "its own, the later ones in front",
    )
    add("--exact-mask", SWITCH, "use the mask as it is, do not refine it")
    add(
        "--anchor M",
        PATH | SEVERAL,
        "picture of the still, white where it is held; of several objects one for all, or one for "
        "each, with none where the rule holds it",
    )
    add("--protect M", PATH, "picture of the still, white what never changes, whatever is painted")
    add(
        "--anchor-rule",
        one_of(ANCHORS, elastic.anchor),
        "what holds a part where no anchor is painted (default: %(default)s, which is hanging for "
        "what only the upper border cuts off, else ground)",
    )
    add(
        "--model M",
        text("elastic"),
        "where the motion comes from: elastic, which needs no weights; learned, which needs no "
        "mask either; or a file of weights",
    )
    add("--steps N", integer(1, 1000, sampling.steps), "learned: steps of sampling")
    add("--sampler", one_of(SAMPLERS, sampling.sampler), "learned:")
    add("--guidance W", real(0, 20, sampling.guidance), "learned: how much more the still counts")
    add(
        "--loop-guidance U",
        real(0, 1e5, 0.0),
        "learned: keep the model's own frequencies, and guide sampling towards a loop as long as "
        "the clip; 0 uses frequencies that close it by themselves",
    )
    add(
        "--loop-rule",
        one_of(LOOP_RULES, sampling.loop_rule),
        "learned: how it is guided: by the paper's rule with the gradient through the network, "
        "U 0.02 to 0.2; or fast, U 50 to 800 (default: %(default)s)",
    )
    add(
        "--loop-repeats N",
        integer(1, 10, sampling.repeats),
        "learned: how often a guided step is taken, with fresh noise in between; the paper has 2",
    )
    add(
        "--amplitude PCT",
        real(0, 20, SpectrumConfig().amplitude_pct),
        "how far things move, 95th percentile of the peaks, %% of the longer side",
    )
    add(
        "--sway-hz F",
        positive(20, elastic.sway_hz),
        "natural frequency of the largest part, Hz; trees 0.2-0.5, small plants 1-3",
    )
    add("--damping Z", positive(2, elastic.damping_ratio), "damping ratio, 1 = no ringing")
    add(
        "--wind-direction DEG",
        real(-360, 360, wind.direction_deg),
        "degrees, 0 = towards the right, 90 = towards the top",
    )
    add(
        "--wind-speed W",
        positive(100, wind.speed),
        "picture widths per second at which gusts travel",
    )
    add("--gust-length W", positive(100, wind.gust_length), "picture widths")
    add(
        "--bands K",
        integer(1, MOST_BANDS),
        "number of frequencies (default: as many as reach 3.2 Hz)",
    )
    add(
        "--duration S",
        positive(600),
        "seconds whose harmonics the frequencies are (default: the clip's length, 10 s at most)",
    )
    add("--save-spectrum F", PATH, "also write the motion as .safetensors")
    add(
        "--save-modes F",
        PATH,
        "also write how the still rings when it is poked, .safetensors, for the command page",
    )
    add(
        "--kind",
        one_of([CUSTOM, *KINDS]) | SEVERAL,
        "what it is: sets how it sways, is held and flutters, in place of --sway-hz, --damping and "
        "--anchor-rule; of several objects one for all, or one for each (default: custom, as those "
        "say)",
    )
    add(
        "--weather",
        one_of([CUSTOM, *WEATHER], CUSTOM),
        "how the wind blows: sets its speed and gusts, and how far things move beside --amplitude, "
        "which is that of a breeze (default: %(default)s, as --wind-speed and --gust-length say)",
    )

    _flow_options(add)
    _camera_options(add)


def _flow_options(add):
    """What flows, alone or behind what sways."""
    flow = FlowConfig()
    add(
        "--flow",
        one_of(FLOWS),
        "let this flow, in the mask; with --flow-mask, also let sway what is in the mask",
    )
    add("--flow-mask M", PATH, "what flows, where something else sways in front of it")
    add(
        "--direction DEG",
        real(-360, 360, flow.direction_deg),
        "of the flow, counter-clockwise from where it goes by itself: water and clouds to the "
        "right, waterfalls down, smoke and flames up",
    )
    add("--flow-speed PCT", real(0, 1000, flow.speed_pct), "%% of the width per second")
    add("--turbulence X", real(0, 10, flow.turbulence), "speed of eddies as a share of the flow's")
    add("--horizon Y", real(0, 1), "of the flow's perspective, from the top, 0 to 1")
    add("--light X", real(0, 1, flow.light), "how much the light of what flows flickers")
    add("--ripples PCT", real(0, 5, flow.ripples_pct), "sway of reflections on water, %% of width")
    add("--strokes F", PATH, "which way it flows, .json: docs/widget.md says how")


def _camera_options(add):
    """A camera that moves, too."""
    moving = camera.CameraMove()
    add(
        "--camera",
        one_of(camera.MOVES),
        "also move the camera, by --depth or, without one, a tilted plane; once in --duration",
    )
    add(
        "--camera-strength PCT",
        real(0, 20, moving.strength_pct),
        "how far the nearest moves against the farthest, %% of the width",
    )
    add("--camera-focus X", real(0, 1, moving.focus), "what stands still: 0 farthest, 1 nearest")
    add("--camera-borders", one_of(camera.BORDERS, moving.borders), "stretch: no border comes in")


def _render(command):
    _clip_options(command)
    add = _adder(command)
    add("--spectrum F", REQUIRED_PATH, "a .safetensors spectrum")
    add("--mask M", PATH, "what may move (default: the spectrum's own mask)")


def _edit(command):
    nothing = edit.Edit()
    add = _adder(command)
    add("spectrum F", PATH, "a motion, .safetensors")
    add("-o --out G", REQUIRED_PATH, "the changed motion, .safetensors")
    add("--preset", one_of(edit.PRESETS, nothing.preset), "gains by name; --bands multiplies them")
    add("--bands B", text(""), "gain by frequency in Hz: 0.2:1, 1:0.5, 3:0 (default: 1 everywhere)")
    add("--mute HZ", text(""), "frequencies to silence, as 0.4, 1-2 (default: none)")
    add("--solo HZ", text(""), "frequencies to keep alone (default: all)")
    add("--gain X", real(0, 20, nothing.gain), "2 = twice as far")
    add("--x X", real(-20, 20, nothing.x), "factor of the motion from side to side")
    add("--y X", real(-20, 20, nothing.y), "factor of the motion up and down")
    add("--turn DEG", real(-360, 360, nothing.turn_deg), "turn of the direction, anticlockwise")
    add("--delay S", real(-600, 600, nothing.delay_s), "seconds by which the motion comes later")
    add("--scatter X", real(0, 1, nothing.scatter), "random shifts of the bands' phases, 0 to 1")
    add("--seed N", integer(0, 2**63 - 1, nothing.seed), "of the scatter")
    add("--smooth PCT", real(0, 100, nothing.smooth_pct), "points so far apart move alike, %%")
    add("--degree M", PATH, "picture: how much of the motion is left, white all of it")
    add("--combine H", PATH, "then lay this motion of the same still over it")
    add("--mask M", PATH, "with --combine: how much of H moves (default: H's own mask)")
    add("--add", SWITCH, "with --combine: add both motions, do not hide the first under H")
    add(
        "--loop-duration S",
        real(0, 600, 0.0),
        "with --combine: a loop that both are fitted to; 0 keeps all frequencies",
    )


def _mask(command):
    add = _adder(command)
    add("still STILL", PATH, "the picture")
    add("-o --out MASK", REQUIRED_PATH, "the mask: a picture, white where it may move")
    add("--flows", SWITCH, "what flows (water, clouds, smoke); else what sways")
    add("--exact", SWITCH, "as recognized, do not fit it to the picture")


def _extract(command):
    from .footage import flow

    reading = ExtractionConfig()
    add = _adder(command)
    add(
        "clip CLIP",
        PATH,
        "a video, an animated gif or webp; or many: a folder of them, or a list of paths in a .txt",
    )
    add(
        "-o --out F",
        REQUIRED_PATH,
        "the motion, .safetensors; of many, a folder for shards, which a second run goes on with",
    )
    add("--still P", PATH, "also write the frame it starts from, at full size")
    add("--report R", PATH, "also write what was found, .json, refused or not")
    add("--save-flow F", PATH, "also write the velocity of a clip that flows, .safetensors")
    add("--bands K", integer(1, MOST_BANDS, reading.bands), "number of frequencies")
    add(
        "--window S",
        positive(600, reading.window_s),
        "seconds to read, whose harmonics the frequencies are",
    )
    add("--start S", real(0, 86400, 0.0), "where in the clip to begin, s")
    add("--fps R", positive(1000), "frame rate to resample to (default: the clip's own)")
    add("--flow", one_of(flow.ESTIMATORS, "dis"), "dis needs OpenCV, torch needs nothing")
    add("--size PX", integer(16, 1024, reading.longest_side), "longer side of the grid")
    add("--raw", SWITCH, "the paper's way: do not take the trend off first")
    add("--workers N", integer(1, 1024, 1), "of many: clips read at once")
    add(
        "--ray-address A",
        text(),
        "of many: read them on this Ray cluster, or on one started here: local",
    )
    add(
        "--every N",
        integer(1, 100_000, ShardConfig().every),
        "of many: frames from one start to the next",
    )
    add(
        "--any-motion",
        SWITCH,
        "of many: keep what moves so little, or so much, that the paper's training set leaves it "
        "out",
    )
    add("--quiet", SWITCH, "no progress bar")


def _synth(command):
    from .scenes import synthetic

    add = _adder(command)
    add("-o --out DIR", REQUIRED_PATH, "folder for clips, stills, masks and spectra")
    add("--count N", integer(1, 1_000_000, 1), "scenes to make")
    add("--seed N", integer(0, 2**31, 0), "of the first; the others follow")
    add("--kind", one_of(synthetic.KINDS), "what grows or hangs there (default: drawn)")
    add("--size WxH", {"type": size, "default": (256, 160)}, "px (default: 256x160)")
    add("--frames N", integer(1, 100_000, 150), "frames of each clip")
    add("--fps R", positive(240, 30.0), "frames per second")
    add(
        "--amplitude PCT",
        real(0, 20),
        "how far things move, 95th percentile of the peaks, %% of the longer side (default: drawn, "
        "0.4 to 4)",
    )
    add("--photographs DIR", PATH, "pictures to texture things with (default: procedural)")
    add("--quiet", SWITCH, "no progress bar")


def _train(command):
    from .training.objectives import RENDERER, STAGES
    from .training.train import RATES, TrainConfig

    command.set_defaults(
        interrupted="interrupted: the same command goes on from what was saved last"
    )
    add, training = _adder(command), TrainConfig
    add(
        "stage",
        one_of([*STAGES, RENDERER]),
        "of a motion model in this order, where each begins with --from the one before; or by "
        "itself the renderer",
    )
    add("-o --out RUN", REQUIRED_PATH, "folder of the run; called again, it goes on")
    add("--from F", PATH | {"dest": "begin"}, "weights to begin with")
    add("--preset", one_of(PRESETS), "size of the networks, without --from (default: small)")
    add(
        "--layout",
        one_of(LAYOUTS),
        "how bands are told of each other (default: the preset's, coordinated)",
    )
    add(
        "--normalization",
        one_of(NORMALIZATIONS),
        "of coefficients, without --from (default: adaptive)",
    )
    add("--bands K", integer(1, MOST_BANDS), "number of frequencies, without --from (default: 16)")
    add("--steps N", integer(1, 10**8) | {"required": True}, "to train, in all")
    add("--batch B", integer(1, 65536, training.batch), "stills a step, over all processes")
    add("--rate R", positive(1, training.rate), "largest step of the optimizer")
    add("--schedule", one_of(RATES, training.schedule), "of the rate")
    add(
        "--precision",
        one_of(["no", "bf16", "fp16"], training.precision),
        "lower than float32 where it is safe",
    )
    add("--workers N", integer(0, 1024, training.workers), "processes that make samples")
    add("--seed N", integer(0, 2**20, training.seed), "")
    add("--save-every N", integer(1, 10**8, training.save_every), "steps")
    add("--scenes N", integer(1, 10**9, 5000), "how many synthetic scenes")
    add(
        "--cache DIR",
        PATH,
        "folder that keeps scenes once made (1.3 MB each at 128x80; for the renderer 3 MB)",
    )
    add(
        "--perceptual F",
        PATH,
        "of the renderer: the looks of a frame count too, by the features of the recognizer that "
        "came along (recognizer) or of VGG-16 (its safetensors, with torchvision's names)",
    )
    add("--photographs DIR", PATH, "also the elastic prior's motion of these pictures")
    add(
        "--clips DIR",
        PATH,
        "also clips: shards that extract has written; for the renderer, a folder of clips",
    )
    for name, weight in (("scenes", 1.0), ("photographs", 0.5), ("clips", 0.5)):
        add(f"--{name}-weight W", real(0, 1e6, weight), "share of samples, against the others")
    add("--quiet", SWITCH, "no progress bar")


def _evaluate(command):
    from .evaluation import feature_distances
    from .footage import flow

    add = _adder(command)
    add("refs REFS", PATH, "folder of clips and spectra, or one of them")
    add("cands CANDS", PATH, "the same, of the same names, to be measured")
    add("-o --out DIR", PATH, "folder for evaluation.json and .html")
    add("--flow", one_of(flow.ESTIMATORS), "also compare clips by the motion that this flow reads")
    add(
        "--size PX",
        integer(16, 4096, 512),
        "longer side to which larger clips are scaled down first",
    )
    add(
        "--looks",
        SWITCH,
        "also compare clips by their looks, as the network of recognition sees them "
        "(EfficientNet-Lite0, which came along): neither LPIPS nor FID",
    )
    add("--inception-weights F", PATH, "of torch-fidelity, for FID and KID")
    add("--i3d-weights F", PATH, "of cd-fvd, for FVD")
    add("--texture-weights F", PATH, "of an I3D trained on dynamic textures, for DTFVD")
    add(
        "--window N",
        integer(9, 1000, feature_distances.WINDOWS[0]),
        "frames that FVD looks at, 16 or 32",
    )
    add("--device", one_of(["cpu", "cuda"], "cpu"), "where networks run")
    add("--quiet", SWITCH, "no progress bar")


def _page(command):
    add = _adder(command)
    add("still STILL", PATH, "the picture")
    add(
        "--spectrum F",
        REQUIRED_PATH,
        "how it moves, .safetensors: modes (animate --save-modes), or a motion",
    )
    add("-o --out", REQUIRED_PATH, "the page: one .html file")
    add("--title T", text("A still to poke"), "of the page, and read out for the still")
    add("--wind X", real(0, 4, 0.5), "share of its own motion that goes on beneath")
    add("--size PX", integer(64, 4096, 1024), "longer side of the picture at most")


def _clip_options(command):
    """The options of every command that writes a clip."""
    add = _adder(command)
    add("still STILL", PATH, "the picture")
    add("-o --out", REQUIRED_PATH, "the clip: .mp4, .webm, .webp or .gif")
    add("--frames N", integer(1, 100_000, 150), "frames to write")
    add("--fps R", positive(240, 30.0), "frames per second")
    add("--seed N", integer(0, 2**63 - 1, 0), "which wind")
    add("--speed X", positive(100, 1.0), "2 = twice as fast")
    add("--pose", one_of(playback.POSES, playback.POSES[0]), "what the still is to the motion")
    add(
        "--renderer R",
        text("learned"),
        "what finishes frames: learned, the network that came along; splat, which needs no network "
        "and is three to eight times as fast; or a file of weights",
    )
    add(
        "--shutter X",
        real(0, 1, 0.0),
        "motion blur: how long the shutter is open, of the time between frames",
    )
    add(
        "--depth M",
        PATH,
        "picture of the still, white what is in front where things meet (default: what moves more, "
        "and the later of several objects); animate also parts things where it steps",
    )
    add(
        "--loop",
        {"action": argparse.BooleanOptionalAction},
        "close a loop, or play as sampled or recorded (default: a loop, unless read from a clip)",
    )
    add(
        "--fill F",
        text(MIRRORED),
        "what is seen behind what moves away: mirrored from around it, at once; textured, which "
        "continues lines and texture in some seconds; or a picture, used as it comes",
    )
    add(
        "--save-background P",
        PATH,
        "also write that as a picture, to be painted over and given as --fill",
    )
    add(
        "--border",
        one_of(BORDERS, BORDERS[0]),
        "what comes in past the border: its mirror image, its outermost pixels, nothing since "
        "frames are cropped, or nothing, transparent (default: %(default)s)",
    )
    add("--alone", SWITCH, "what moves alone, with transparency")
    add(
        "--background COLOUR",
        {"type": colour, "default": "white"},
        "behind what is transparent, in .mp4 and .gif: a name or #rrggbb",
    )
    add("--quiet", SWITCH, "no progress bar")


COMMANDS = {  # by name: what adds its options, and one line on what it does
    "animate": (_animate, "a still becomes a seamless loop"),
    "render": (_render, "render a still with a spectrum made elsewhere"),
    "edit": (_edit, "change a motion: gains by frequency, direction, phases; join two"),
    "mask": (_mask, "a still becomes a mask of what sways, or flows, in it"),
    "extract": (_extract, "read the motion of a clip, or of many"),
    "synth": (_synth, "make scenes whose motion is known exactly"),
    "train": (_train, "train one stage of a motion model, or a renderer, or go on with it"),
    "evaluate": (_evaluate, "measure clips and spectra against others"),
    "page": (_page, "a still becomes a page in which visitors poke it"),
}


PATH = {"type": Path}
REQUIRED_PATH = PATH | {"required": True}
SWITCH = {"action": "store_true"}
SEVERAL = {"action": "append"}


def _adder(command):
    """A function that adds one option: flags and metavar as --help shows them, kind, help."""

    def add(shown, kind, about):
        *flags, last = shown.split()
        metavar = {"metavar": last} if flags and not last.startswith("-") else {}
        flags = flags if metavar else [*flags, last]
        if kind.get("default") is not None and "(default:" not in about:
            about = f"{about} (default: %(default)s)".lstrip()
        command.add_argument(*flags, help=about, **kind, **metavar)

    return add


def integer(low, high, default=None):
    """A whole number from low to high."""
    return {"type": number(int, low, high), "default": default}


def real(low, high, default=None):
    """A number from low to high."""
    return {"type": number(float, low, high), "default": default}


def positive(high, default=None):
    """A number above 0, up to high."""
    return {"type": number(float, 0, high, True), "default": default}


def one_of(choices, default=None):
    return {"choices": list(choices), "default": default}


def text(default=None):
    return {"default": default}


def number(kind, low, high, exclusive=False):
    """A parser of numbers in a range. Those that need not be whole can be ratios: 30000/1001."""

    def parse(text):
        try:
            value = _ratio(text) if kind is float else kind(text)
        except (ValueError, ZeroDivisionError):
            raise argparse.ArgumentTypeError(f"expected a number, got {text!r}") from None
        if not math.isfinite(value) or value > high or value < low or (exclusive and value == low):
            above = "above" if exclusive else "from"
            raise argparse.ArgumentTypeError(f"expected {above} {low} to {high}, got {text}")
        return value

    return parse


def _ratio(text):
    above, slash, below = text.partition("/")
    return float(above) / float(below) if slash else float(above)


def colour(text):
    """Red, green and blue in [0, 1]."""
    from PIL import ImageColor

    try:
        values = ImageColor.getrgb(text)
    except ValueError:
        values = ()
    if len(values) != 3:
        raise argparse.ArgumentTypeError(
            f"expected an opaque colour, as white or #336699, got {text!r}"
        )
    return tuple(value / 255 for value in values)


def size(text):
    numbers = [int(part) if part.isdecimal() else 0 for part in text.split("x")]
    if len(numbers) != 2 or not all(16 <= number <= 4096 for number in numbers):
        raise argparse.ArgumentTypeError(f"expected WxH, as 256x160, each 16 to 4096, got {text!r}")
    return tuple(numbers)
