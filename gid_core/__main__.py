"""The command line: animate a still, or render one with a spectrum made elsewhere.

Law: memory does not grow with the number of frames; what fails says why in one sentence.
"""

import argparse
import math
import signal
import sys
from collections.abc import Sequence
from pathlib import Path

from . import checkpoint, pipeline, video
from .config import ANCHORS, ElasticConfig, SpectrumConfig, WindConfig
from .elastic import ElasticPrior

HIGHEST_HZ = 3.2  # of the paper's 16 bands over 5 s
LONGEST_PERIOD_S = 10.0
MOST_BANDS = 128


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
    motion, report = pipeline.play(
        spectrum,
        args.frames,
        args.fps,
        not args.no_loop,
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
    add("--no-loop", action="store_true", help="play as sampled or recorded, do not close a loop")
    add("--quiet", action="store_true", help="no progress bar")


if __name__ == "__main__":
    sys.exit(main())
