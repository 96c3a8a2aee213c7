"""The command line: animate stills, read motion from clips, render spectra, make scenes, measure.

Law: memory does not grow with the number of frames; a failure is one sentence with its reason.

Convention: what only one command needs is imported by it, so that each starts at once.
"""

import json
import math
import os
import signal
import sys
import time
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

# Threads that wait sleep, so that other processes get their cores. OpenMP reads this once, when
# torch loads it; hence before that import, and for all processes that are started from here.
for _name, _value in {
    "OMP_WAIT_POLICY": "PASSIVE",
    "GOMP_SPINCOUNT": "0",  # of GNU's OpenMP
    "KMP_BLOCKTIME": "0",  # ms, of Intel's and LLVM's
}.items():
    os.environ.setdefault(_name, _value)

import torch

from . import pipeline
from .advection.flow import behind
from .advection.strokes import read_strokes
from .config import (
    MOST_BANDS,
    ElasticConfig,
    ExtractionConfig,
    FlowConfig,
    SamplingConfig,
    ShardConfig,
    SpectrumConfig,
    WindConfig,
)
from .diffusion import motion_model
from .elastic import kinds
from .elastic.prior import ElasticPrior
from .files import paths, spectra, stills, video, whole
from .motion import camera, combine, edit as editing, playback
from .options import MIRRORED, TEXTURED, parser
from .recognition import model as recognizer
from .render import renderer
from .still import inputs

NO_ANCHOR = "none"  # in place of an anchor's picture: the rule holds this object
MAX_HZ = 3.2  # highest of the paper's 16 bands over 5 s
MAX_PERIOD_S = 10.0
FINE_CRF = 8.0  # for clips that are measured: compression should not show in the measures
PICTURES = (".jpg", ".jpeg", ".png", ".webp")
WRITTEN = (*PICTURES, ".bmp", ".tif", ".tiff")  # of pictures
OPAQUE = (".jpg", ".jpeg", ".bmp")  # those without transparency
SPECTRUM = ".safetensors"
SAME_PROPORTIONS = 0.02  # relative
LARGE_MPX = 8.0  # megapixels from which a still is said to take long
FIRST_FRAME_S = 0.8  # per megapixel, from the still to the first frame, on two cores


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command. Returns the exit status: 0 done, 1 refused, 130 interrupted."""
    arguments = sys.argv[1:] if arguments is None else arguments
    only = next((name for name in arguments[:1] if name in COMMANDS), None)
    args = parser(COMMANDS, only).parse_args(arguments)
    try:
        _unwind_on_sigterm()
        args.run(args)
    except ValueError as error:
        _say(f"error: {error}")
        return 1
    except MemoryError:
        _say("error: There is too little memory for this. Use a smaller still, or fewer bands.")
        return 1
    except OSError as error:
        _say(f"error: {error.strerror or error}: {paths.shown(error.filename or 'a file')}.")
        return 1
    except KeyboardInterrupt:
        _say(args.interrupted if "interrupted" in args else "interrupted: the clip was not written")
        return 130
    return 0


def animate(args) -> None:
    video.check_clip_path(args.out)
    for path in filter(None, (args.save_spectrum, args.save_modes)):
        paths.check_ending(path, [SPECTRUM])
    weights = {
        "motion model": _model_path(args),
        "renderer": _renderer_path(args),
        "recognizer": recognizer.shipped() if args.mask is None else None,
    }
    _check_files(
        _inputs(args, "still", "depth", "protect", "flow_mask", "strokes")
        | {"fill": _filled_path(args)}
        | _masks(args)
        | weights,
        {"spectrum": args.save_spectrum, "modes": args.save_modes} | _shown(args),
    )
    _renderer(args)  # refused before anything is computed
    still, mask, anchor, depth, protect = _read(args)
    flowing = _flow(args, still, mask, depth)
    if flowing is not None and args.alone:
        raise ValueError("Expected --alone without --flow: what flows is shown with the still.")
    if flowing is not None and args.camera is not None:
        raise ValueError("Expected --camera without --flow: what flows cannot be combined yet.")
    if flowing is not None and args.flow_mask is None:
        return _write(args, still, _kept(args, flowing), depth=depth)
    if args.anchor is not None and mask is not None and not inputs.overlap(mask, anchor):
        _say("note: the anchor mask does not touch the mask; parts are anchored by rule instead")
    model = _model(args)
    # Bands at the harmonics of the clip close its loop without being moved. In clips that are much
    # longer, playback spreads each band over the harmonics around it.
    guided = args.model != "elastic" and args.loop_guidance > 0
    own = SpectrumConfig().duration_s if guided else None
    if guided and args.loop is None:
        args.loop = False  # guidance closes the loop; bands are not moved
    duration = (
        args.duration or own or min(MAX_PERIOD_S, max(3, args.frames) / args.fps * args.speed)
    )
    below = math.ceil(args.fps / args.speed / 2 * duration) - 1  # bands below half the frame rate
    highest = max([MAX_HZ, *map(kinds.highest_hz, args.kind or [])])
    bands = args.bands or max(1, min(MOST_BANDS, below, round(highest * duration)))
    bands = SpectrumConfig(bands, duration, args.amplitude)
    sample = partial(
        pipeline.sample_motion,
        still[None],
        mask,
        anchor,
        args.seed,
        model,
        refine=not args.exact_mask,
        kinds=args.kind if len(args.kind or []) > 1 else (),
        depth=depth if args.model == "elastic" else None,
        protect=protect,
    )
    spectrum, found = sample(spectrum=bands)
    if mask is None or found.at_rest:
        _say(f"note: {found}")
    spectrum = spectrum if flowing is None else behind(spectrum, flowing)
    if args.camera is not None:
        spectrum = _with_camera(args, spectrum, depth, duration)
    spectrum = _kept(args, spectrum)
    if args.save_modes is not None:
        modes, _ = sample(spectrum=replace(bands, kind="modes"))
        spectra.save_spectrum(modes, args.save_modes)
        _say(f"wrote {args.save_modes}")
    _write(args, still, spectrum, depth=depth)


def _kept(args, spectrum):
    """The motion, which is saved where that is asked for."""
    if args.save_spectrum is not None:
        spectra.save_spectrum(spectrum, args.save_spectrum)
        _say(f"wrote {args.save_spectrum}")
    return spectrum


def _flow(args, still, mask, depth):
    """What flows, or None."""
    if args.flow is None:
        if args.flow_mask is not None or args.strokes is not None:
            raise ValueError("Expected --flow with --flow-mask or --strokes: say what flows.")
        return None
    if args.flow_mask is None and args.save_modes is not None:
        raise ValueError("Expected no --save-modes with --flow: what flows does not ring.")
    drawn = ""
    if args.strokes is not None:
        path = paths.check_input(args.strokes, "strokes as JSON")
        drawn = path.read_text(encoding="utf-8-sig", errors="replace")
    if args.flow_mask is not None:
        mask = _read_mask("flow mask", args.flow_mask, still, None)
    elif mask is not None:
        mask = mask.amax(0, keepdim=True)
    duration = min(MAX_PERIOD_S, args.frames / args.fps * args.speed)
    config = FlowConfig(
        args.flow,
        args.direction,
        args.flow_speed,
        args.turbulence,
        args.light,
        args.horizon,
        duration,
        ripples_pct=args.ripples,
    )
    spectrum, (report,) = pipeline.flow_motion(
        still[None],
        mask,
        depth,
        args.seed,
        config,
        read_strokes(drawn),
        refine=not args.exact_mask,
    )
    _say(f"note: {report}")
    return spectrum


def _with_camera(args, spectrum, depth, duration_s):
    """The wind's motion and the camera's, added."""
    move = camera.CameraMove(
        args.camera,
        args.camera_strength,
        args.camera_focus,
        duration_s,
        args.seed,
        args.camera_borders,
    )
    size = spectrum.reference_size
    moving, _, report = camera.camera_motion(size, depth, move)
    _say(f"note: {report}")
    return combine.combine(spectrum, moving, way="add")[0]


def _model(args):
    """The motion prior: elastic, or a learned model."""
    if args.model == "elastic":
        elastic = ElasticConfig(
            sway_hz=args.sway_hz, damping_ratio=args.damping, anchor=args.anchor_rule
        )
        blows = WindConfig(args.wind_direction, args.wind_speed, args.gust_length)
        kind = args.kind[0] if len(args.kind or []) == 1 else kinds.CUSTOM
        return kinds.prior(kind, args.weather, ElasticPrior(elastic, blows))
    if args.save_modes is not None:
        raise ValueError(
            "Expected the elastic model for --save-modes: a learned model knows no modes of "
            "vibration."
        )
    path = _model_path(args)
    loop_s = args.frames / args.fps * args.speed
    sampling = SamplingConfig(
        args.steps,
        args.sampler,
        args.guidance,
        args.loop_guidance,
        loop_s,
        repeats=args.loop_repeats,
        loop_rule=args.loop_rule,
    )
    return motion_model.LearnedPrior(motion_model.load_model(path), sampling)


def _model_path(args):
    if args.model == "elastic":
        return None
    return motion_model.shipped() if args.model == "learned" else Path(args.model)


def _renderer(args):
    """The network that refines frames, or None."""
    path = _renderer_path(args)
    return None if path is None else renderer.load_renderer(path)


def _renderer_path(args):
    if args.renderer == "splat":
        return None
    return renderer.shipped_renderer() if args.renderer == "learned" else Path(args.renderer)


def _filled_path(args):
    """The picture that --fill names, or None where it names a way to fill."""
    if args.fill in (MIRRORED, TEXTURED):
        return None
    if not Path(args.fill).is_file():
        raise ValueError(
            f"Expected --fill {MIRRORED}, {TEXTURED} or a picture, found no file at {args.fill!r}."
        )
    return Path(args.fill)


def _shown(args):
    """The files that a clip and its background are written to, by what they are."""
    if args.save_background is not None:
        paths.check_ending(args.save_background, WRITTEN)
    return {"clip": args.out, "background": args.save_background}


def _background(args, still, motion, mask):
    """What is seen behind what moves, at the still's size; None where the renderer fills it."""
    path = _filled_path(args)
    if path is not None:
        given = stills.read_still(path)
        if given.shape[-2:] != still.shape[-2:]:
            _say(f"note: {_misfit('background', given.shape[-2:], still.shape[-2:])}")
        filled = inputs.fit_pictures(given[None], 1, tuple(still.shape[-2:]), "background")
    elif args.save_background is None and args.fill == MIRRORED:
        return None
    else:
        filled = pipeline.fill_backgrounds(still[None], motion, mask, args.fill == TEXTURED)
    if args.save_background is not None:
        opaque = args.save_background.suffix.lower() in OPAQUE
        picture = video.over(filled[0], args.background) if opaque else filled[0]
        stills.write_picture(args.save_background, picture)
        _say(f"wrote {args.save_background}")
    return filled


def render(args) -> None:
    video.check_clip_path(args.out)
    inputs = _inputs(args, "still", "spectrum", "mask", "depth")
    inputs |= {"renderer": _renderer_path(args), "fill": _filled_path(args)}
    _check_files(inputs, _shown(args))
    _renderer(args)
    still, mask, _, depth, _ = _read(args)
    spectrum = spectra.load_spectrum(args.spectrum)
    _write(args, still, spectrum, mask, depth)


def edit(args) -> None:
    paths.check_ending(args.out, [SPECTRUM])
    _check_files(_inputs(args, "spectrum", "degree", "combine", "mask"), {"motion": args.out})
    if args.combine is None and (args.mask is not None or args.add or args.loop_duration):
        raise ValueError(
            "Expected --combine with --mask, --add and --loop-duration: name a motion."
        )
    spectrum = spectra.load_spectrum(args.spectrum)
    change = editing.Edit(
        args.preset,
        args.bands,
        None,
        args.mute,
        args.solo,
        args.gain,
        args.x,
        args.y,
        args.turn,
        args.delay,
        args.scatter,
        args.seed,
        args.smooth,
    )
    edited, report = editing.edit(spectrum, change, _degree(args.degree))
    if args.combine is not None:
        way, other = "add" if args.add else "over", spectra.load_spectrum(args.combine)
        mask = _degree(args.mask)
        edited, joined = combine.combine(edited, other, mask, None, way, args.loop_duration)
        report = f"{report} {joined}"
    spectra.save_spectrum(edited, args.out)
    _say(f"wrote {args.out}: {report}")


def _degree(path):
    """A mask of any size as degrees, or None."""
    return None if path is None else stills.read_mask(path)[None]


def mask(args) -> None:
    paths.check_ending(args.out, WRITTEN)
    _check_files(_inputs(args, "still") | {"recognizer": recognizer.shipped()}, {"mask": args.out})
    still = stills.read_still(args.still)
    found = pipeline.recognize_masks(still[None], args.flows, refine=not args.exact)[0]
    stills.write_picture(args.out, found)
    share = 100 * float(found.mean())
    _say(f"wrote {args.out}: {'flows' if args.flows else 'sways'}, {share:.0f} % of the picture")


def extract(args) -> None:
    from .footage import clips, extraction, flow

    if args.clip.is_dir() or args.clip.suffix.lower() == ".txt":
        return _extract_all(args)
    spectrum_files = [(path, [SPECTRUM]) for path in (args.out, args.save_flow)]
    for path, endings in (*spectrum_files, (args.report, [".json"]), (args.still, WRITTEN)):
        if path is not None:
            paths.check_ending(path, endings)
    outputs = {"spectrum": args.out, "report": args.report, "still": args.still}
    outputs["flow"] = args.save_flow
    _check_files(_inputs(args, "clip"), outputs)
    config = ExtractionConfig(args.bands, args.window, not args.raw, args.size)
    clip = clips.read_clip(args.clip, config.longest_side, args.fps, args.start)
    estimate, bar = flow.estimator(args.flow), _Bar("frame", args.quiet)
    found = extraction.extract(clip.frames, clip.fps, config, estimate, clip.size, bar)
    if args.report is not None:
        record = json.dumps(found.report.as_json() | {"notes": clip.notes}, indent=1)
        with whole.written_whole(args.report) as temporary:
            temporary.write_text(record + "\n", encoding="utf-8")
    if found.spectrum is None:
        raise ValueError(str(found.report))
    spectra.save_spectrum(found.spectrum, args.out)
    if args.still is not None:
        stills.write_picture(args.still, clip.still(found.report.start_frame))
    _say(" ".join([f"wrote {args.out}: {found.report}", *clip.notes]))
    if args.save_flow is not None and found.flow is None:
        _say(f"note: the clip does not flow, {args.save_flow} was not written")
    elif args.save_flow is not None:
        spectra.save_spectrum(found.flow, args.save_flow)
        _say(f"wrote {args.save_flow}")


def _extract_all(args) -> None:
    from .training import shards

    alone = [
        name for name in ("still", "report", "save_flow", "start", "fps") if getattr(args, name)
    ]
    if alone:
        said = " and --".join(alone).replace("_", "-")
        raise ValueError(f"--{said} can be said of one clip, not of many: leave out.")
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
    from .scenes import synthetic

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
        endings = (".mp4", ".png", "_mask.png", SPECTRUM)
        outputs = {f"scene's {ending}": Path(f"{name}{ending}") for ending in endings}
        _check_files(_files_in("photograph", args.photographs), outputs)
        frames = (scene.image_at(t / args.fps) for t in range(args.frames))
        frames = _progress(frames, args.frames, args.quiet)
        video.save_clip(name.with_suffix(".mp4"), frames, args.fps, ".mp4", crf=FINE_CRF)
        stills.write_picture(name.with_suffix(".png"), scene.still)
        stills.write_picture(name.with_name(name.name + "_mask.png"), scene.mask)
        spectra.save_spectrum(scene.spectrum(), name.with_suffix(".safetensors"))
        _say(f"wrote {name}: .mp4, .png, _mask.png, .safetensors")


def _photographs(folder):
    found = sorted(p for p in folder.glob("*") if p.suffix.lower() in PICTURES)
    if not found:
        raise ValueError(
            f"Expected a folder of photographs ({', '.join(PICTURES)}), found none in "
            f"{str(folder)!r}."
        )
    return [stills.read_still(path)[:3] for path in found]


def train(args) -> None:
    from .evaluation import report
    from .training import setup, train as training

    run = ("model.safetensors", "state.safetensors", "log.csv", "log.png")
    inputs = _files_in("photograph", args.photographs) | _files_in("clip", args.clips)
    inputs |= {"weights": args.begin, "perceptual distance": args.perceptual}
    _check_apart(inputs, {name: args.out / name for name in run})
    if args.cache is not None:
        report.make_folder(args.cache)
    config = training.TrainConfig(
        args.stage,
        args.steps,
        args.batch,
        args.rate,
        args.schedule,
        workers=args.workers,
        precision=args.precision,
        seed=args.seed,
        save_every=args.save_every,
    )
    request = setup.TrainRequest(
        config,
        args.out,
        begin=args.begin,
        preset=args.preset,
        layout=args.layout,
        normalization=args.normalization,
        bands=args.bands,
        scenes=args.scenes,
        scenes_weight=args.scenes_weight,
        photographs=args.photographs,
        photographs_weight=args.photographs_weight,
        clips=args.clips,
        clips_weight=args.clips_weight,
        cache=args.cache,
        perceptual=args.perceptual,
    )
    run = setup.prepare(request)
    bar = _Bar("step", args.quiet)
    callback = lambda done, of, loss: bar(done, of)
    training.train(run.model, run.data, run.config, args.out, callback=callback, **run.options)
    _say(f"wrote {args.out / 'model.safetensors'}: {args.stage}, {args.steps} steps")


def evaluate(args) -> None:
    from .evaluation import feature_distances, looks, report, sets

    if args.device != "cpu" and not torch.cuda.is_available():
        raise ValueError(f"There is no {args.device} device here. Use --device cpu.")
    if args.out is not None:
        report.make_folder(args.out)  # before anything is computed
        inputs = _files_in("reference", args.refs) | _files_in("candidate", args.cands)
        inputs |= _inputs(args, "inception_weights", "i3d_weights", "texture_weights")
        names = ("evaluation.json", "evaluation.html")
        _check_files(inputs, {name: args.out / name for name in names})
    networks = feature_distances.networks(
        args.inception_weights, args.i3d_weights, args.texture_weights, args.window, args.device
    )
    motion = None if args.flow is None else sets.motion_reader(args.flow)
    bar = _Bar("pair", args.quiet)
    backbone = looks.load_looks() if args.looks else None
    found = sets.evaluate(args.refs, args.cands, networks, motion, args.size, bar, backbone)
    _say(report.table(found))
    if args.out is not None:
        title = f"{args.cands.name} against {args.refs.name}"
        for path in report.write(found, args.out, title):
            _say(f"wrote {path}")


def page(args) -> None:
    from .poke.page import save_page

    paths.check_ending(args.out, [".html", ".htm"])
    _check_files(_inputs(args, "still", "spectrum"), {"page": args.out})
    still, spectrum = stills.read_still(args.still), spectra.load_spectrum(args.spectrum)
    save_page(args.out, still[None], spectrum, args.wind, args.title, args.size)
    _say(f"wrote {args.out}: {args.out.stat().st_size / 1e6:.2f} MB")


def _check_files(inputs, outputs):
    """Refuse outputs that cannot be written or would replace an input, before any work.

    Args:
        inputs, outputs: Paths, or None for those that were not named, by what they are.
    """
    _check_apart(inputs, outputs)
    for path in filter(None, outputs.values()):
        whole.check_output(path)


def _check_apart(inputs, outputs):
    inputs, outputs = ({n: p for n, p in d.items() if p is not None} for d in (inputs, outputs))
    paths.check_distinct(inputs, outputs)


def _masks(args):
    """The masks and anchors that were named, by what they are."""
    named = {}
    for name in ("mask", "anchor"):
        given = [path for path in getattr(args, name) or [] if str(path) != NO_ANCHOR]
        for number, path in enumerate(given, 1):
            named[name if len(given) == 1 else f"{name} {number}"] = path
    return named


def _inputs(args, *names):
    return {name.replace("_", " "): getattr(args, name) for name in names}


def _files_in(name, path):
    """The files of a folder, or the path itself; none without a path."""
    if path is None:
        return {}
    try:
        found = sorted(path.iterdir()) if path.is_dir() else [path]
    except OSError as error:
        raise ValueError(f"Cannot list the folder {str(path)!r}: {error.strerror}.") from error
    return {f"{name} {file.name}": file for file in found}


def _read(args):
    """The still, and mask, anchor, depth and protect as they were given; several at one size."""
    still, found = stills.read_still(args.still), []
    height, width = still.shape[-2:]
    megapixels = height * width / 1e6
    if megapixels >= LARGE_MPX:
        _say(
            f"note: the still is {width}x{height}, {megapixels:.0f} megapixels: "
            f"about {FIRST_FRAME_S * megapixels:.0f} s to the first frame on two cores"
        )
    for name in ("mask", "anchor", "depth", "protect"):
        given = getattr(args, name, None)
        given = given if isinstance(given, list) else [given]
        given = [] if given == [None] else given
        size = tuple(still.shape[-2:]) if len(given) > 1 else None
        values = [_read_mask(name, path, still, size) for path in given]
        found.append(torch.cat(values) if values else None)
    return still, *found


def _read_mask(name, path, still, size):
    """One mask, 1 1 h w, brought to a size if one is named; what is not held is all 0."""
    if name == "anchor" and str(path) == NO_ANCHOR:
        return torch.zeros(1, 1, *still.shape[-2:])
    values = stills.read_mask(path)[None]
    if not (values > 0).any():
        raise ValueError(f"The {name} {str(path)!r} is empty: paint what it means in white.")
    if values.shape[-2:] != still.shape[-2:]:
        _say(f"note: {_misfit(name, values.shape[-2:], still.shape[-2:])}")
    return values if size is None else inputs.fit_mask(values, 1, size, name)


def _misfit(name, size, still_size) -> str:
    """How a mask of another size fits a still."""
    (h, w), (height, width) = size, still_size
    same, turned = (abs(ratio - 1) < SAME_PROPORTIONS for ratio in _proportions(size, still_size))
    how = "resized to fit" if same else "of other proportions, it was stretched to fit"
    if turned and not same:
        how = (
            "it is turned by a quarter against the still, which is shown upright as its EXIF says. "
            f"Save the {name} upright; it was stretched to fit"
        )
    return f"the {name} is {w}x{h}, the still {width}x{height}: {how}"


def _proportions(size, other):
    """Aspect ratio over that of another size, as it is and turned by a quarter."""
    (h, w), (height, width) = size, other
    return w * height / (h * width), h * height / (w * width)


def _write(args, still, spectrum, mask=None, depth=None):
    suffix, transparent = args.out.suffix.lower(), len(still) == 4 and bool((still[3] < 1).any())
    transparent = transparent or args.alone or args.border == "transparent"
    for note in video.format_notes(suffix, args.fps, transparent):
        _say(f"note: {note}")
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
    if report.bands is not None and report.bands.shift_hz > 0:
        _say(f"note: {report.bands}")
    if left_out := playback.left_out(spectrum, args.fps, args.speed):
        _say(f"note: {left_out}")
    for flow_closed in report.flows:
        _say(f"note: {flow_closed}")
    frames = (
        frame
        for frame, _ in pipeline.render(
            still[None],
            motion,
            mask,
            model=_renderer(args),
            depth=depth,
            shutter=args.shutter,
            background=_background(args, still, motion, mask),
            border=args.border,
            alone=args.alone,
        )
    )
    frames = _expected(frames, args.frames, still.shape[-1] * still.shape[-2] / 1e6)
    frames = _progress(frames, args.frames, args.quiet)
    video.write_clip(args.out, frames, args.fps, args.background)
    written = math.ceil(args.frames / video.frame_step(suffix, args.fps))
    length = f"{written} frames, {args.frames / args.fps:.2f} s"
    _say(f"wrote {args.out}: {length}. {playback.first_frame(motion)}")


def _expected(frames, total, megapixels):
    """The frames; of a large still, how long all of them will take is said as soon as it is known.

    The first frame tells little: with it the still is prepared. The second one tells.
    """
    begun = time.monotonic()
    for number, frame in enumerate(frames):
        if number == 1 and megapixels >= LARGE_MPX:
            spent = time.monotonic() - begun
            left = round((total - 1) * spent / 60, 1)
            if left >= 1:
                _say(f"note: at {megapixels:.0f} megapixels, {total} frames take {left:g} minutes")
        yield frame
        if number == 0:
            begun = time.monotonic()


def _progress(frames, total, quiet):
    from tqdm import tqdm

    yield from tqdm(frames, total=total, unit="frame", disable=not _is_watched(quiet))


class _Bar:
    """A progress bar as a callback: it is called with (done, total)."""

    def __init__(self, unit, quiet):
        self.unit, self.quiet, self.bar = unit, quiet, None

    def __call__(self, done, of):
        from tqdm import tqdm

        if self.bar is None:
            self.bar = tqdm(total=of, unit=self.unit, disable=not _is_watched(self.quiet))
        self.bar.update(done - self.bar.n)
        if done == of:
            self.bar.close()


def _say(text):
    """Print a line. No work ends because nobody reads it: what is said then is lost."""
    if sys.stdout is None:  # closed before the start
        return
    encoding = sys.stdout.encoding or "utf-8"  # a pipe on Windows may not know every file name
    try:
        sys.stdout.write(text.encode(encoding, "replace").decode(encoding) + "\n")
        sys.stdout.flush()
    except OSError:  # a pipe whose reader has gone, or a full disk
        sys.stdout = None


def _is_watched(quiet):
    """Whether a progress bar is asked for, and there is someone to see it."""
    return not quiet and sys.stderr is not None and sys.stderr.isatty()


def _unwind_on_sigterm():
    """Make SIGTERM unwind like Ctrl-C, so that temporary files are removed."""

    def stop(number, frame):
        raise KeyboardInterrupt

    signal.signal(signal.SIGTERM, stop)


RUN = (animate, render, edit, mask, extract, synth, train, evaluate, page)
COMMANDS = {f.__name__: f for f in RUN}


if __name__ == "__main__":
    sys.exit(main())
