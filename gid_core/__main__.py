"""The command line: animate stills, read motion from clips, render spectra, make scenes, measure.

Law: memory does not grow with the number of frames; what fails says why in one sentence.
"""

import argparse
import json
import math
import signal
import sys
from collections.abc import Sequence
from pathlib import Path

import torch

from . import (
    checkpoint,
    clips,
    evaluation,
    extraction,
    fidelity,
    flow,
    pipeline,
    report,
    shards,
    synthetic,
    video,
)
from .config import (
    ANCHORS,
    ElasticConfig,
    ExtractionConfig,
    ShardConfig,
    SpectrumConfig,
    WindConfig,
)
from .elastic import ElasticPrior

HIGHEST_HZ = 3.2  # of the paper's 16 bands over 5 s
LONGEST_PERIOD_S = 10.0
MOST_BANDS = 128
FINE = 8.0  # quality of clips that are measured: their compression should not be
PICTURES = (".jpg", ".jpeg", ".png", ".webp")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command. Returns the exit status: 0, 1 for what cannot be done, 130 if interrupted."""
    args = _parser().parse_args(arguments)
    try:
        _in_time_for_interrupts()
        args.run(args)
    except ValueError as error:
        _say(f"error: {error}")
        return 1
    except KeyboardInterrupt:
        _say("interrupted: the clip was not written")
        return 130
    return 0


def animate(args) -> None:
    _check_paths(args)
    still, mask, anchor = _read(args)
    if args.anchor is not None and mask is not None and not pipeline.overlap(mask, anchor):
        _say("note: the anchor mask does not touch the mask; parts are anchored by rule instead")
    model = ElasticPrior(
        ElasticConfig(sway_hz=args.sway_hz, damping_ratio=args.damping, anchor=args.anchor_rule),
        WindConfig(args.wind_direction, args.wind_speed, args.gust_length),
    )
    # Bands on the clip's own harmonics close its loop unmoved; what is much longer is spread out.
    duration = args.duration or min(LONGEST_PERIOD_S, max(3, args.frames) / args.fps * args.speed)
    below = math.ceil(args.fps / args.speed / 2 * duration) - 1  # half the frame rate
    bands = args.bands or max(1, min(MOST_BANDS, below, round(HIGHEST_HZ * duration)))
    bands = SpectrumConfig(bands, duration, args.amplitude)
    spectrum = pipeline.sample_motion(
        still[None], mask, anchor, args.seed, model, bands, refine=not args.exact_mask
    )
    if args.save_spectrum is not None:
        checkpoint.save_spectrum(spectrum, args.save_spectrum)
        _say(f"wrote {args.save_spectrum}")
    _write(args, still, spectrum)


def render(args) -> None:
    _check_paths(args)
    still, mask, _ = _read(args)
    spectrum = checkpoint.load_spectrum(args.spectrum)
    _write(args, still, spectrum, mask)


def extract(args) -> None:
    if args.clip.is_dir() or args.clip.suffix.lower() == ".txt":
        return _extract_all(args)
    if args.out.suffix.lower() != ".safetensors":
        raise ValueError(f"Expected a file name ending in .safetensors, got {args.out.name!r}.")
    for path in filter(None, (args.out, args.report, args.still)):
        checkpoint.check_folder(path)
    config = ExtractionConfig(args.bands, args.window, not args.raw, args.size)
    clip = clips.read_clip(args.clip, config.longest_side, args.fps, args.start)
    estimate, bar = flow.estimator(args.flow), _Bar("frame", args.quiet)
    found = extraction.extract(clip.frames, clip.fps, config, estimate, clip.size, bar)
    if args.report is not None:
        record = json.dumps(found.report.as_json() | {"notes": clip.notes}, indent=1)
        with checkpoint.written_whole(args.report) as temporary:
            temporary.write_text(record + "\n", encoding="utf-8")
    if found.spectrum is None:
        raise ValueError(str(found.report))
    checkpoint.save_spectrum(found.spectrum, args.out)
    if args.still is not None:
        video.write_picture(args.still, clip.still(found.report.start_frame))
    _say(" ".join([f"wrote {args.out}: {found.report}", *clip.notes]))


def _extract_all(args) -> None:
    alone = [name for name in ("still", "report", "start", "fps") if getattr(args, name)]
    if alone:
        raise ValueError(
            f"--{' and --'.join(alone)} can be said of one clip, not of many: leave out."
        )
    read = ExtractionConfig(args.bands, args.window, not args.raw, args.size, not args.any_motion)
    config = ShardConfig(args.every, flow=args.flow, extraction=read)
    found, bar = shards.listed(args.clip), _Bar("clip", args.quiet)
    try:
        done = shards.write_shards(found, args.out, config, args.workers, args.ray_address, bar)
    except KeyboardInterrupt:
        _say("the same command goes on from here")
        raise
    _say(f"wrote {args.out}: {done}")


def synth(args) -> None:
    photographs = None if args.photographs is None else _photographs(args.photographs)
    try:
        args.out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ValueError(
            f"Cannot make the folder {str(args.out)!r}: {error.strerror}. Name another."
        ) from error
    width, height = args.size
    for seed in range(args.seed, args.seed + args.count):
        scene = synthetic.make_scene(
            seed, (height, width), args.kind, amplitude_pct=args.amplitude, photographs=photographs
        )
        name = args.out / f"{seed:06d}_{scene.kind}"
        frames = (scene.image_at(t / args.fps) for t in range(args.frames))
        frames = _progress(frames, args.frames, args.quiet)
        video.save_clip(name.with_suffix(".mp4"), frames, args.fps, ".mp4", crf=FINE)
        video.write_picture(name.with_suffix(".png"), scene.still)
        video.write_picture(name.with_name(name.name + "_mask.png"), scene.mask)
        checkpoint.save_spectrum(scene.spectrum(), name.with_suffix(".safetensors"))
        _say(f"wrote {name}: .mp4, .png, _mask.png, .safetensors")


def _photographs(folder):
    found = sorted(p for p in folder.glob("*") if p.suffix.lower() in PICTURES)
    if not found:
        raise ValueError(
            f"Expected a folder of photographs ({', '.join(PICTURES)}), found none in "
            f"{str(folder)!r}."
        )
    return [video.read_still(path)[:3] for path in found]


def evaluate(args) -> None:
    if args.device != "cpu" and not torch.cuda.is_available():
        raise ValueError(f"There is no {args.device} device here. Use --device cpu.")
    if args.out is not None:
        report.make_folder(args.out)  # before anything is computed
    networks = fidelity.networks(
        args.inception_weights, args.i3d_weights, args.texture_weights, args.window, args.device
    )
    motion = None if args.flow is None else evaluation.motion_reader(args.flow)
    bar = _Bar("pair", args.quiet)
    found = evaluation.evaluate(args.refs, args.cands, networks, motion, args.size, bar)
    _say(report.table(found))
    if args.out is not None:
        title = f"{args.cands.name} against {args.refs.name}"
        for path in report.write(found, args.out, title):
            _say(f"wrote {path}")


def _check_paths(args):
    """Refuse what cannot be written before anything is computed."""
    video.check_clip_path(args.out)
    for path in (args.out, getattr(args, "save_spectrum", None)):
        if path is not None:
            checkpoint.check_folder(path)
    if args.out.exists() and args.still.exists() and args.out.samefile(args.still):
        raise ValueError(
            f"The clip would replace the still {str(args.still)!r}. Name another file."
        )


def _read(args):
    still = video.read_still(args.still)
    mask = anchor = None
    for name in ("mask", "anchor"):
        path = getattr(args, name, None)
        if path is None:
            continue
        values = video.read_mask(path)[None]
        if not (values > 0).any():
            raise ValueError(f"The {name} {str(path)!r} is empty: paint what it means in white.")
        if values.shape[-2:] != still.shape[-2:]:
            have, want = (f"{w}x{h}" for h, w in (values.shape[-2:], still.shape[-2:]))
            _say(f"note: the {name} is {have}, the still {want}: resized to fit")
        if name == "mask":
            mask = values
        else:
            anchor = values
    return still, mask, anchor


def _write(args, still, spectrum, mask=None):
    recorded = spectrum.mean is not None or spectrum.drift is not None
    motion, report = pipeline.play(
        spectrum,
        args.frames,
        args.fps,
        not recorded if args.loop is None else args.loop,
        args.speed,
        pose=args.pose,
        seed=args.seed,
    )
    if report is not None and report.shift_hz > 0:
        _say(f"note: {report}")
    frames = (frame for frame, _ in pipeline.render(still[None], motion, mask))
    video.write_clip(args.out, _progress(frames, args.frames, args.quiet), args.fps)
    _say(f"wrote {args.out}: {args.frames} frames, {args.frames / args.fps:.2f} s")


def _progress(frames, total, quiet):
    from tqdm import tqdm

    yield from tqdm(frames, total=total, unit="frame", disable=quiet or not sys.stderr.isatty())


class _Bar:
    """A progress bar that is told (done, of so many)."""

    def __init__(self, unit, quiet):
        self.unit, self.quiet, self.bar = unit, quiet, None

    def __call__(self, done, of):
        from tqdm import tqdm

        if self.bar is None:
            hidden = self.quiet or not sys.stderr.isatty()
            self.bar = tqdm(total=of, unit=self.unit, disable=hidden)
        self.bar.update(done - self.bar.n)
        if done == of:
            self.bar.close()


def _say(text):
    encoding = sys.stdout.encoding or "utf-8"  # a pipe on Windows may not know every file name
    sys.stdout.write(text.encode(encoding, "replace").decode(encoding) + "\n")
    sys.stdout.flush()


def _in_time_for_interrupts():
    """Let a polite kill unwind like Ctrl-C, so that half-written files are removed."""

    def stop(number, frame):
        raise KeyboardInterrupt

    signal.signal(signal.SIGTERM, stop)


def _number(kind, low, high, exclusive=False):
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


def _size(text):
    numbers = [int(part) if part.isdecimal() else 0 for part in text.split("x")]
    if len(numbers) != 2 or not all(16 <= number <= 4096 for number in numbers):
        raise argparse.ArgumentTypeError(f"expected WxH, as 256x160, each 16 to 4096, got {text!r}")
    return tuple(numbers)


def _parser():
    parser = argparse.ArgumentParser(
        prog="python -m gid_core", description="Make a still photograph move as wind would move it."
    )
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    elastic, wind, bands = ElasticConfig(), WindConfig(), SpectrumConfig()
    command = commands.add_parser("animate", help="a still becomes a seamless loop")
    command.set_defaults(run=animate)
    _add_clip_options(command)
    add = command.add_argument
    add("--mask", type=Path, metavar="M", help="picture of the still, white where it may move")
    add("--exact-mask", action="store_true", help="use the mask as it is, do not refine it")
    add("--anchor", type=Path, metavar="M", help="picture of the still, white where it is held")
    add("--anchor-rule", choices=ANCHORS, default=elastic.anchor, help="what holds a part where no anchor is painted (default: %(default)s, which is hanging for what only the upper border cuts off, else ground)")  # fmt: skip
    add("--model", choices=["elastic"], default="elastic", help="where the motion comes from (default: %(default)s, which needs no weights)")  # fmt: skip
    add("--amplitude", type=_number(float, 0, 20), default=bands.amplitude_pct, metavar="PCT", help="how far things move, 95th percentile of the peaks, %% of the longer side (default: %(default)s)")  # fmt: skip
    add("--sway-hz", type=_number(float, 0, 20, True), default=elastic.sway_hz, metavar="F", help="natural frequency of the largest part, Hz; trees 0.2-0.5, small plants 1-3 (default: %(default)s)")  # fmt: skip
    add("--damping", type=_number(float, 0, 2, True), default=elastic.damping_ratio, metavar="Z", help="damping ratio, 1 = no ringing (default: %(default)s)")  # fmt: skip
    add("--wind-direction", type=_number(float, -360, 360), default=wind.direction_deg, metavar="DEG", help="degrees, 0 = towards the right, 90 = towards the top (default: %(default)s)")  # fmt: skip
    add("--wind-speed", type=_number(float, 0, 100, True), default=wind.speed, metavar="W", help="picture widths per second at which gusts travel (default: %(default)s)")  # fmt: skip
    add("--gust-length", type=_number(float, 0, 100, True), default=wind.gust_length, metavar="W", help="picture widths (default: %(default)s)")  # fmt: skip
    add("--bands", type=_number(int, 1, MOST_BANDS), metavar="K", help="number of frequencies (default: as many as reach 3.2 Hz)")  # fmt: skip
    add("--duration", type=_number(float, 0, 600, True), metavar="S", help="seconds whose harmonics the frequencies are (default: the clip's length, 10 s at most)")  # fmt: skip
    add("--save-spectrum", type=Path, metavar="F", help="also write the motion as .safetensors")

    command = commands.add_parser("render", help="render a still with a spectrum made elsewhere")
    command.set_defaults(run=render)
    _add_clip_options(command)
    add = command.add_argument
    add("--spectrum", type=Path, required=True, metavar="F", help="a .safetensors spectrum")
    add("--mask", type=Path, metavar="M", help="what may move (default: the spectrum's own mask)")

    read = ExtractionConfig()
    command = commands.add_parser("extract", help="read the motion of a clip, or of many")
    command.set_defaults(run=extract)
    add = command.add_argument
    add("clip", type=Path, metavar="CLIP", help="a video, an animated gif or webp; or many: a folder of them, or a list of paths in a .txt")  # fmt: skip
    add("-o", "--out", type=Path, required=True, metavar="F", help="the motion, .safetensors; of many, a folder for shards, which a second run goes on with")  # fmt: skip
    add("--still", type=Path, metavar="P", help="also write the frame it starts from, at full size")
    add("--report", type=Path, metavar="R", help="also write what was found, .json, refused or not")
    add("--bands", type=_number(int, 1, MOST_BANDS), default=read.bands, metavar="K", help="number of frequencies (default: %(default)s)")  # fmt: skip
    add("--window", type=_number(float, 0, 600, True), default=read.window_s, metavar="S", help="seconds to read, whose harmonics the frequencies are (default: %(default)s)")  # fmt: skip
    add("--start", type=_number(float, 0, 86400), default=0.0, metavar="S", help="where in the clip to begin, s (default: %(default)s)")  # fmt: skip
    add("--fps", type=_number(float, 0, 1000, True), metavar="R", help="frame rate to resample to (default: the clip's own)")  # fmt: skip
    add("--flow", choices=list(flow.ESTIMATORS), default="dis", help="dis needs OpenCV, torch needs nothing (default: %(default)s)")  # fmt: skip
    add("--size", type=_number(int, 16, 1024), default=read.longest_side, metavar="PX", help="longer side of the grid (default: %(default)s)")  # fmt: skip
    add("--raw", action="store_true", help="the paper's way: do not take the trend off first")
    add("--workers", type=_number(int, 1, 1024), default=1, metavar="N", help="of many: clips read at once (default: %(default)s)")  # fmt: skip
    add("--ray-address", metavar="A", help="of many: read them on this Ray cluster, or on one started here: local")  # fmt: skip
    add("--every", type=_number(int, 1, 100_000), default=ShardConfig().every, metavar="N", help="of many: frames from one start to the next (default: %(default)s)")  # fmt: skip
    add("--any-motion", action="store_true", help="of many: keep what moves so little, or so much, that the paper's training set leaves it out")  # fmt: skip
    add("--quiet", action="store_true", help="no progress bar")

    command = commands.add_parser("synth", help="make scenes whose motion is known exactly")
    command.set_defaults(run=synth)
    add = command.add_argument
    add("-o", "--out", type=Path, required=True, metavar="DIR", help="folder for clips, stills, masks and spectra")  # fmt: skip
    add("--count", type=_number(int, 1, 1_000_000), default=1, metavar="N", help="scenes to make (default: %(default)s)")  # fmt: skip
    add("--seed", type=_number(int, 0, 2**31), default=0, metavar="N", help="of the first; the others follow (default: %(default)s)")  # fmt: skip
    add("--kind", choices=list(synthetic.KINDS), help="what grows or hangs there (default: drawn)")
    add("--size", type=_size, default=(256, 160), metavar="WxH", help="px (default: 256x160)")
    add("--frames", type=_number(int, 1, 100_000), default=150, metavar="N", help="frames of each clip (default: %(default)s)")  # fmt: skip
    add("--fps", type=_number(float, 0, 240, True), default=30.0, metavar="R", help="frames per second (default: %(default)s)")  # fmt: skip
    add("--amplitude", type=_number(float, 0, 20), metavar="PCT", help="how far things move, 95th percentile of the peaks, %% of the longer side (default: drawn, 0.4 to 4)")  # fmt: skip
    add("--photographs", type=Path, metavar="DIR", help="pictures to texture things with (default: procedural)")  # fmt: skip
    add("--quiet", action="store_true", help="no progress bar")

    command = commands.add_parser("evaluate", help="measure clips and spectra against others")
    command.set_defaults(run=evaluate)
    add = command.add_argument
    add("refs", type=Path, metavar="REFS", help="folder of clips and spectra, or one of them")
    add("cands", type=Path, metavar="CANDS", help="the same, of the same names, to be measured")
    add("-o", "--out", type=Path, metavar="DIR", help="folder for evaluation.json and .html")
    add("--flow", choices=list(flow.ESTIMATORS), help="also compare clips by the motion that this flow reads")  # fmt: skip
    add("--size", type=_number(int, 16, 4096), default=512, metavar="PX", help="longer side to which larger clips are scaled down first (default: %(default)s)")  # fmt: skip
    add("--inception-weights", type=Path, metavar="F", help="of torch-fidelity, for FID and KID")
    add("--i3d-weights", type=Path, metavar="F", help="of cd-fvd, for FVD")
    add("--texture-weights", type=Path, metavar="F", help="of an I3D trained on dynamic textures, for DTFVD")  # fmt: skip
    add("--window", type=_number(int, 9, 1000), default=fidelity.WINDOWS[0], metavar="N", help="frames that FVD looks at, 16 or 32 (default: %(default)s)")  # fmt: skip
    add("--device", choices=["cpu", "cuda"], default="cpu", help="where networks run (default: %(default)s)")  # fmt: skip
    add("--quiet", action="store_true", help="no progress bar")
    return parser


def _add_clip_options(command):
    add = command.add_argument
    add("still", type=Path, metavar="STILL", help="the picture")
    add("-o", "--out", type=Path, required=True, help="the clip: .mp4, .webm, .webp or .gif")
    add("--frames", type=_number(int, 1, 100_000), default=150, metavar="N", help="frames to write (default: %(default)s)")  # fmt: skip
    add("--fps", type=_number(float, 0, 240, True), default=30.0, metavar="R", help="frames per second (default: %(default)s)")  # fmt: skip
    add("--seed", type=_number(int, 0, 2**63 - 1), default=0, metavar="N", help="which wind (default: %(default)s)")  # fmt: skip
    add("--speed", type=_number(float, 0, 100, True), default=1.0, metavar="X", help="2 = twice as fast (default: %(default)s)")  # fmt: skip
    add("--pose", choices=pipeline.POSES, default=pipeline.POSES[0], help="what the still is to the motion (default: %(default)s)")  # fmt: skip
    add("--loop", action=argparse.BooleanOptionalAction, help="close a loop, or play as sampled or recorded (default: a loop, unless read from a clip)")  # fmt: skip
    add("--quiet", action="store_true", help="no progress bar")


if __name__ == "__main__":
    sys.exit(main())
