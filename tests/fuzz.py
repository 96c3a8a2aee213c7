"""Mutated files against everything that reads files: python tests/fuzz.py --count 10000

Law: every end is a result or a sentence (ValueError). No traceback, no hang over 20 s, no memory
over 2 GB, no file left behind, and the input stays as it was.

Half of the files are valid ones with some bytes changed; the others are cut, mixed, grown or noise.
File n of a seed is always the same. Files are read in processes of their own, so that a crash of a
decoder is found, too.
"""

import argparse
import faulthandler
import hashlib
import io
import json
import os
import random
import struct
import subprocess
import sys
import tempfile
import time
import traceback
import warnings
from collections import Counter
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT), str(ROOT / "tests"), str(ROOT / "tests" / "files")]

LONGEST_S = 20
MOST_MEMORY = 2 * 2**30  # bytes, with those that torch takes by itself
BATCH = 250  # files of a process
MAX_SENTENCE = 700  # letters
EXTREMES = [0, 1, 0x7F, 0xFF, 0x7FFF, 0xFFFF, 0x7FFFFFFF, 0xFFFFFFFF]


# Valid files, by kind and name.


def stills(folder: Path) -> None:
    import numpy as np
    import profiles
    from PIL import Image

    noise = np.random.default_rng(0).integers(0, 256, (20, 28, 4), dtype=np.uint8)
    rgba = Image.fromarray(noise)
    rgb, grey = rgba.convert("RGB"), rgba.convert("L")
    exif = Image.Exif()
    exif[0x0112] = 6
    p3 = profiles.rgb(profiles.P3, profiles.SRGB_CURVE)
    ramp = np.linspace(0, 1, 560).reshape(20, 28)
    made = {
        "rgb.png": (rgb, {"icc_profile": p3}),
        "rgba.png": (rgba, {"exif": exif}),
        "palette.png": (rgb.quantize(16), {"transparency": 3}),
        "bits.png": (grey.convert("1"), {}),
        "deep.png": (Image.fromarray(np.uint16(ramp * 65535)), {}),
        "plain.jpg": (rgb, {"exif": exif, "icc_profile": p3}),
        "scans.jpg": (rgb, {"progressive": True}),
        "inks.jpg": (rgb.convert("CMYK"), {"icc_profile": profiles.cmyk()}),
        "lossy.webp": (rgba, {}),
        "exact.webp": (rgba, {"lossless": True, "icc_profile": p3}),
        "moving.webp": (rgb, {"save_all": True, "append_images": [rgb.rotate(180)]}),
        "moving.gif": (rgb, {"save_all": True, "append_images": [rgb.rotate(180)]}),
        "plain.bmp": (rgb, {}),
        "plain.tif": (rgb, {}),
        "packed.tif": (rgba, {"compression": "tiff_lzw"}),
        "pages.tif": (rgb, {"save_all": True, "append_images": [grey]}),
        "float.tif": (Image.fromarray(ramp.astype(np.float32)), {}),
        "int.tif": (Image.fromarray(np.int32(ramp * 65535)), {}),
        "lab.tif": (rgb.convert("RGB"), {"compression": "jpeg"}),
        "plain.ppm": (rgb, {}),
        "float.pfm": (Image.fromarray(ramp.astype(np.float32)), {}),
        "plain.tga": (rgba, {}),
        "plain.ico": (rgba, {}),
        "plain.dds": (rgba, {}),
        "plain.avif": (rgba, {}),
        "plain.jp2": (rgb, {}),
        "plain.pcx": (rgb, {}),
        "plain.sgi": (rgb, {}),
        "plain.icns": (rgba, {}),
    }
    for name, (picture, options) in made.items():
        try:
            picture.save(folder / name, **options)
        except (KeyError, OSError, ValueError):
            continue  # this Pillow does not write it


def masks(folder: Path) -> None:
    import numpy as np
    from PIL import Image

    block = np.zeros((20, 28), bool)
    block[4:16, 5:20] = True
    made = {
        "ones.png": block.astype(np.uint8),
        "white.png": block * np.uint8(255),
        "deep.png": block * np.uint16(65535),
        "bits.png": block,
        "float.tif": block.astype(np.float32),
        "int.tif": block.astype(np.int32),
        "float.pfm": block.astype(np.float32),
    }
    for name, values in made.items():
        Image.fromarray(values).save(folder / name)
    Image.fromarray(np.uint8(block * 255)).convert("LA").save(folder / "alpha.png")


def clips(folder: Path) -> None:
    import av
    import numpy as np
    import torch

    from gid_core.files.video import write_clip

    generator = torch.Generator().manual_seed(0)
    frames = torch.rand(7, 4, 24, 32, generator=generator)
    for name, channels in (("a.mp4", 3), ("a.webm", 3), ("alpha.webm", 4), ("a.gif", 3)):
        write_clip(folder / name, frames[:, :channels], 12.0)
    write_clip(folder / "alpha.webp", frames, 12.0)
    made = {
        "a.avi": ("mjpeg", "yuvj420p"),
        "a.mkv": ("ffv1", "yuva420p"),
        "deep.mkv": ("ffv1", "yuv444p10le"),
        "a.mov": ("mpeg4", "yuv420p"),
        "a.mpg": ("mpeg2video", "yuv420p"),
        "a.ts": ("mpeg2video", "yuv420p"),
        "a.flv": ("flv1", "yuv420p"),
        "vp8.webm": ("libvpx", "yuv420p"),
    }
    for name, (codec, form) in made.items():
        try:
            with av.open(str(folder / name), "w") as container:
                stream = container.add_stream(codec, 25)
                stream.width, stream.height, stream.pix_fmt = 32, 24, form
                for frame in frames[:, :3]:
                    pixels = np.ascontiguousarray((frame * 255).byte().movedim(0, -1).numpy())
                    container.mux(stream.encode(av.VideoFrame.from_ndarray(pixels, "rgb24")))
                container.mux(stream.encode())
        except (ValueError, av.error.FFmpegError):
            (folder / name).unlink(missing_ok=True)  # this PyAV does not write it


def spectra(folder: Path) -> None:
    import oracles
    import torch

    from gid_core.config import SpectrumConfig
    from gid_core.files.spectra import save_spectrum
    from gid_core.pipeline import sample_motion

    image, mask = oracles.stalk_picture(24, 32)
    for kind in ("response", "modes"):
        config = SpectrumConfig(3, 2.0, kind=kind)
        spectrum, _ = sample_motion(image, mask, spectrum=config)
        save_spectrum(spectrum, folder / f"{kind}.safetensors")
    assert torch.is_tensor(image)


def weights(folder: Path) -> None:
    from gid_core.config import RENDERERS
    from gid_core.render.network import fresh_renderer
    from gid_core.render.renderer import save_renderer

    save_renderer(fresh_renderer(RENDERERS["tiny"], 0), folder / "renderer.safetensors")


def gestures(folder: Path) -> None:
    pull = {"t": 0.5, "x": 0.4, "y": 0.3, "dx": 0.05, "dy": 0, "hold": 0.6}
    texts = {
        "list.json": [pull, {"t": 1, "x": 0.1, "y": 0.2, "dx": 0.3, "dy": -0.4}],
        "path.json": [pull | {"path": [[0.1, 0.01, 0.02], [0.3, 0.2, 0.1]], "push": True}],
        "version.json": {"version": 1, "gestures": [pull] * 3},
    }
    for name, value in texts.items():
        (folder / name).write_text(json.dumps(value))


KINDS = {f.__name__: f for f in (stills, masks, clips, spectra, weights, gestures)}


# What reads them.


def read(kind: str, path: Path) -> str:
    """The result of reading a file, in a word; raises what the reader raises."""
    if kind == "stills":
        from gid_core.files.stills import read_still

        still = read_still(path)
        assert 0 <= still.min() <= still.max() <= 1 and still.shape[0] in (3, 4)
        return "a still"
    if kind == "masks":
        from gid_core.files.stills import read_mask

        mask = read_mask(path)
        assert 0 <= mask.min() <= mask.max() <= 1 and mask.shape[0] == 1
        return "a mask"
    if kind == "clips":
        return _read_clip(path)
    if kind == "spectra":
        return _play(path)
    if kind == "weights":
        from gid_core.render.renderer import load_renderer

        load_renderer(path)
        return "weights"
    from gid_core.poke.gestures import read_gestures

    return f"gestures: {len(read_gestures(path.read_text(errors='replace')))}"


def _read_clip(path):
    from gid_core.footage.clips import read_clip

    clip = read_clip(path, 64, most_frames=40)
    count = 0
    for frame in clip.frames:
        assert tuple(frame.shape) == (3, *clip.frame_size) and 0 <= frame.min() <= frame.max() <= 1
        count += 1
    assert count <= 40
    return "a clip"


def _play(path):
    import torch

    from gid_core import pipeline
    from gid_core.files.spectra import load_spectrum
    from gid_core.motion import playback

    spectrum = load_spectrum(path)
    if spectrum.kind == "response" and max(spectrum.reference_size) <= 64:
        motion, _ = playback.play(spectrum, 2, 30.0)
        for frame, _ in pipeline.render(torch.full((1, 3, 24, 32), 0.5), motion):
            assert frame.isfinite().all()
    return "a motion"


# Mutations.


def mutated(data: bytes, other: bytes, draw: random.Random, valid: bool) -> bytes:
    """A file of the same kind; if valid, with some bytes changed, most of them at its start."""
    if valid:
        changed = bytearray(data)
        for _ in range(draw.choice((1, 1, 2, 4, 8, 16))):
            near = draw.random() < 0.6
            at = draw.randrange(min(len(changed), 256) if near else len(changed))
            changed[at] = draw.choice(
                (draw.randrange(256), changed[at] ^ 1 << draw.randrange(8), 255, 0)
            )
        return bytes(changed)
    return draw.choice((_cut, _extreme, _spliced, _repeated, _left_out, _noise))(data, other, draw)


def _cut(data, other, draw):
    return data[: draw.randrange(len(data))]


def _extreme(data, other, draw):
    """Numbers of two or four bytes become those that break sums."""
    changed = bytearray(data)
    for _ in range(draw.randrange(1, 5)):
        size = draw.choice((2, 4))
        if len(changed) < size:
            break
        at = draw.randrange(min(len(changed), 512) - size + 1)
        value = draw.choice(EXTREMES) & (256**size - 1)
        form = draw.choice("<>") + {2: "H", 4: "I"}[size]
        changed[at : at + size] = struct.pack(form, value)
    return bytes(changed)


def _spliced(data, other, draw):
    return data[: draw.randrange(len(data))] + other[draw.randrange(len(other)) :]


def _repeated(data, other, draw):
    a = draw.randrange(len(data))
    b = min(len(data), a + draw.randrange(1, 4096))
    return data[:b] + data[a:b] * draw.randrange(1, 20) + data[b:]


def _left_out(data, other, draw):
    a = draw.randrange(len(data))
    return data[:a] + data[a + draw.randrange(1, 64) :]


def _noise(data, other, draw):
    return data[: draw.choice((0, 4, 12, 32))] + draw.randbytes(draw.randrange(2000))


def file_number(number: int, seed: int, corpus: dict[str, list[Path]]) -> tuple[str, str, bytes]:
    """(kind, ending, content) of a file of a seed."""
    draw = random.Random(f"{seed}/{number}")
    kind = list(KINDS)[number % len(KINDS)]
    base, other = draw.choice(corpus[kind]), draw.choice(corpus[kind])
    valid = number // len(KINDS) % 2 == 0
    return kind, base.suffix, mutated(base.read_bytes(), other.read_bytes(), draw, valid)


# One process.


def work(corpus_folder: Path, seed: int, first: int, last: int) -> None:
    """Read files of these numbers; a line of JSON says how each ended."""
    warnings.simplefilter("ignore")
    # Imports take seconds on a busy machine, which no file shall be charged for.
    from gid_core import pipeline  # noqa: F401
    from gid_core.files import stills, video  # noqa: F401
    from gid_core.footage import clips  # noqa: F401
    from gid_core.poke import gestures  # noqa: F401

    corpus = {kind: sorted((corpus_folder / kind).iterdir()) for kind in KINDS}
    for number in range(first, last):
        kind, ending, data = file_number(number, seed, corpus)
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder, f"a{ending}")
            path.write_bytes(data)
            _say({"start": number})
            _forget_peak()
            begun = time.monotonic()
            faulthandler.dump_traceback_later(LONGEST_S, exit=True, file=sys.__stderr__)
            try:
                end, fault = read(kind, path), None
            except ValueError as error:
                end, fault = "a sentence", _bad_sentence(str(error))
            except BaseException as error:
                if isinstance(error, KeyboardInterrupt):
                    raise
                end, fault = "a traceback", traceback.format_exc()
            faulthandler.cancel_dump_traceback_later()
            peak = _peak()
            if os.listdir(folder) != [path.name]:
                fault = f"It left {sorted(os.listdir(folder))}."
            elif path.read_bytes() != data:
                fault = "It changed its input."
            elif peak > MOST_MEMORY:
                fault = f"It took {peak / 1e9:.2f} GB."
            seconds = time.monotonic() - begun
            _say({"kind": kind, "end": end, "fault": fault, "s": seconds, "peak": peak})


def _bad_sentence(text):
    """What is wrong with a message for a user, or None."""
    whole = text[:1].isupper() or text[:1] in "'\""
    if (
        whole
        and text.endswith((".", "}]."))
        and len(text) < MAX_SENTENCE
        and "Traceback" not in text
    ):
        return None
    return f"It is no sentence: {text[:2000]!r}"


def _say(record):
    sys.stdout.write(json.dumps(record) + "\n")
    sys.stdout.flush()


def _forget_peak():
    try:
        Path("/proc/self/clear_refs").write_text("5")
    except OSError:
        pass  # no Linux: the peak is that of all files so far


def _peak() -> int:
    try:
        for line in Path("/proc/self/status").read_text().splitlines():
            if line.startswith("VmHWM"):
                return int(line.split()[1]) * 1024
    except OSError:
        pass
    return 0


# All of them.


def make_corpus(folder: Path) -> None:
    for kind, make in KINDS.items():
        (folder / kind).mkdir(parents=True)
        make(folder / kind)


def run(count: int, seed: int = 0, start: int = 0) -> dict:
    """Read that many files, and report ends by kind, faults, the slowest and the largest."""
    ends, faults, slowest, largest = Counter(), [], (0.0, -1), (0, -1)
    with tempfile.TemporaryDirectory() as folder:
        corpus = Path(folder)
        make_corpus(corpus)
        before = _fingerprint(corpus)
        number = start
        while number < start + count:
            last = min(start + count, number + BATCH)
            done = subprocess.run(
                [sys.executable, __file__, "--work", folder, str(seed), str(number), str(last)],
                capture_output=True,
                text=True,
                env=os.environ | {"OMP_NUM_THREADS": "1"},
            )
            for line in done.stdout.splitlines():
                record = json.loads(line)
                if "start" in record:
                    number = record["start"]
                    continue
                ends[record["kind"], record["end"]] += 1
                slowest = max(slowest, (record["s"], number))
                largest = max(largest, (record["peak"], number))
                if record["fault"]:
                    faults.append({"number": number, **record})
                number += 1
            if done.returncode:  # a crash, or a hang: the file that was begun is the one
                why = f"exit {done.returncode}: {done.stderr[-3000:]}"
                faults.append({"number": number, "fault": why})
                number += 1
        if _fingerprint(corpus) != before:
            faults.append({"number": -1, "fault": "The files to mutate have changed."})
    counts = {" ends as ".join(key): value for key, value in sorted(ends.items())}
    return {
        "files": sum(ends.values()),
        "ends": counts,
        "slowest_s": round(slowest[0], 2),
        "slowest": slowest[1],
        "largest_gb": round(largest[0] / 1e9, 2),
        "largest": largest[1],
        "faults": faults,
    }


def _fingerprint(folder):
    digest = hashlib.sha256()
    for path in sorted(folder.rglob("*")):
        digest.update(str(path).encode() + (path.read_bytes() if path.is_file() else b""))
    return digest.hexdigest()


def main() -> int:
    options = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    options.add_argument("--count", type=int, default=10_000)
    options.add_argument("--seed", type=int, default=0)
    options.add_argument("--start", type=int, default=0, help="number of the first file")
    args = options.parse_args()
    found = run(args.count, args.seed, args.start)
    text = io.StringIO()
    json.dump(found, text, indent=1)
    sys.stdout.write(text.getvalue() + "\n")
    return 1 if found["faults"] else 0


if __name__ == "__main__":
    if sys.argv[1:2] == ["--work"]:
        _, _, folder, *numbers = sys.argv
        work(Path(folder), *map(int, numbers))
    else:
        sys.exit(main())
