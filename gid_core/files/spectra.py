"""Spectra on disk: safetensors with a JSON header, for stills of any size and clips of any rate.

Law: load(save(S)) = S, the mask to 1/255. A file from elsewhere is not trusted: names, sizes and
values are checked before they are used, and nothing is unpickled.
"""

import hashlib
import json
import math
import os
from dataclasses import replace
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file

from ..motion.displacement import front_to_back
from ..motion.spectrum import FORMAT_VERSION, KINDS, SpectralVolume
from .paths import check_input
from .whole import written_whole

HEADER = "image_dynamics"
PICTURES = ("mask", "depth", "protect")  # b 1 h w of the stills, in bytes
FIELDS = ("mean", "drift", "damping_ratio", "ambient", "ambient_hz", "velocity", "light")
OPTIONAL = (*PICTURES, *FIELDS)
TENSORS = ("coeffs", "frequencies_hz", *OPTIONAL)
BEHIND = "behind."  # begins the names of tensors of a motion behind, once for each in front of it
MOST_BEHIND = 4  # motions behind each other
READABLE = (1, FORMAT_VERSION)  # version 1 knows no flow, no light, and nothing behind a motion
DTYPES = {torch.float32: "F32", torch.uint8: "U8"}
MAX_HEADER = 2**16  # bytes; ours has a few hundred
MAX_GB = 4  # in memory, where a mask takes four bytes per pixel
MAX_SIDE = 2**16  # of a still, px
MAX_DISPLACEMENT = 1e6  # px
MAX_CYCLES = 2**20  # of the highest band in one period of all bands together


def save_spectrum(spectrum: SpectralVolume, path: str | Path) -> None:
    """Write a spectral volume.

    Tensors: coeffs (float32, b k 2 h w 2, last axis real and imaginary), frequencies_hz, and those
    that the spectrum has of mask, depth, protect (uint8), mean, drift, damping_ratio, ambient
    (k m 2), ambient_hz, velocity, light (b k 1 h w 2); the same with `BEHIND` before their names of
    a motion behind, with it twice of one behind that, and so on.

    Raises:
        ValueError: If `load_spectrum` would refuse the file, or the path cannot be written to.
    """
    parts = []
    for each in front_to_back(spectrum):
        parts.append((BEHIND * len(parts), *_stored(each)))
        if len(parts) > 1:
            parts[-2][2]["behind"] = parts[-1][2]
    header = parts[0][2]
    for _, part, about in parts:
        found = {name: (DTYPES[t.dtype], list(t.shape)) for name, t in part.items()}
        problem = _inconsistency(about, found) or _invalid_value(about, part)
        if problem:
            raise ValueError(f"Expected a motion that can be kept, got one where {problem}.")
    # Copies: the format does not know two names for one memory.
    tensors = {prefix + name: t.clone() for prefix, part, _ in parts for name, t in part.items()}
    new = {"velocity", "light", *(name for name in tensors if name.startswith(BEHIND))}
    # The oldest version that can say it, so that older releases read what they can play.
    header["version"] = FORMAT_VERSION if new & set(tensors) else 1
    with written_whole(Path(path)) as temporary:
        save_file(tensors, temporary, {HEADER: json.dumps(header)})


def _stored(spectrum):
    """Tensors and header of one motion, without what lies behind it."""
    tensors = {
        "coeffs": torch.view_as_real(spectrum.coeffs.to(torch.complex64)).contiguous(),
        "frequencies_hz": spectrum.frequencies_hz.float().contiguous(),
    }
    for name in PICTURES:
        if getattr(spectrum, name) is not None:
            values = (getattr(spectrum, name) * 255).round()
            tensors[name] = values.to(torch.uint8).contiguous()
    for name in ("mean", "drift", "damping_ratio", "ambient_hz", "velocity"):
        if getattr(spectrum, name) is not None:
            tensors[name] = getattr(spectrum, name).float().contiguous()
    for name in ("ambient", "light"):
        if getattr(spectrum, name) is not None:
            values = getattr(spectrum, name).to(torch.complex64)
            tensors[name] = torch.view_as_real(values).contiguous()
    header = {
        "kind": spectrum.kind,
        "grid": list(spectrum.grid),
        "reference_size": list(spectrum.reference_size),
    }
    if spectrum.confined:
        header["confined"] = True
    return tensors, header


def load_spectrum(path: str | Path) -> SpectralVolume:
    """Read a spectral volume. Sizes are checked before any value is read.

    Raises:
        ValueError: If the file is missing, damaged, too large, of another version or kind, or not
            finite.
    """
    path = check_input(path, "a spectrum file", "nothing")
    try:
        if path.stat().st_size > MAX_GB * 1e9 or _header_bytes(path) > MAX_HEADER:
            raise ValueError(
                f"{path.name!r} is not a readable safetensors file of a motion: it, or what it "
                "says of itself, is too long."
            )
        with safe_open(path, "pt") as file:
            header = _parsed((file.metadata() or {}).get(HEADER, "null"))
            slices = {name: file.get_slice(name) for name in file.keys() if _known(name)}
            stored = {name: (s.get_dtype(), s.get_shape()) for name, s in slices.items()}
            _check(path, header, stored)
            # Copies: the tensors are mapped from the file, which someone may write to.
            tensors = {name: file.get_tensor(name).clone() for name in slices}
    except (SafetensorError, OSError, RuntimeError) as error:
        raise ValueError(f"{path.name!r} is not a readable safetensors file: {error}.") from error
    parts = list(_split(header, tensors))
    problems = (_invalid_value(about, part) for about, part in parts)
    if problem := next(filter(None, problems), None):
        raise ValueError(f"{path.name!r} is damaged: {problem}. Save the spectrum again.")
    spectrum = None
    for about, part in reversed(parts):
        spectrum = replace(_volume(about, part), behind=spectrum)
    return spectrum


def _known(name):
    return any(name == BEHIND * i + tensor for i in range(MOST_BEHIND + 1) for tensor in TENSORS)


def _split(header, tensors):
    """Header and tensors, by names without prefix, of a motion and of each one behind it."""
    while tensors:
        yield header, {n: value for n, value in tensors.items() if not n.startswith(BEHIND)}
        header = header.get("behind") if isinstance(header, dict) else None
        tensors = {n.removeprefix(BEHIND): v for n, v in tensors.items() if n.startswith(BEHIND)}


def _volume(header, tensors):
    """A spectral volume of checked tensors."""
    pictures = {n: tensors[n].float() / 255 for n in PICTURES if n in tensors}
    complex_of = lambda name: torch.view_as_complex(tensors[name]) if name in tensors else None
    return SpectralVolume(
        coeffs=complex_of("coeffs"),
        frequencies_hz=tensors["frequencies_hz"],
        reference_size=tuple(header["reference_size"]),
        **pictures,
        mean=tensors.get("mean"),
        drift=tensors.get("drift"),
        damping_ratio=tensors.get("damping_ratio"),
        kind=header["kind"],
        ambient=complex_of("ambient"),
        ambient_hz=tensors.get("ambient_hz"),
        velocity=tensors.get("velocity"),
        confined=header.get("confined", False),
        light=complex_of("light"),
    )


def holds_spectrum(path: str | Path) -> bool:
    """Whether a file looks like a spectrum, by its first bytes; for lists of files."""
    try:
        length = _header_bytes(Path(path))
        with open(path, "rb") as file:
            file.seek(8)
            small = length <= MAX_HEADER and os.path.getsize(path) <= MAX_GB * 1e9
            return small and b'"%s"' % HEADER.encode() in file.read(length)
    except OSError:
        return False


def fingerprint(path: Path) -> str:
    """A hash of a spectrum's bytes; a file that is no spectrum is not read."""
    if not holds_spectrum(path):
        return "no spectrum"
    digest = hashlib.sha256()
    with open(path, "rb") as file:
        while part := file.read(2**20):
            digest.update(part)
    return digest.hexdigest()


def _header_bytes(path) -> int:
    """The length of the header, as the safetensors file states it."""
    with open(path, "rb") as file:
        return int.from_bytes(file.read(8), "little")


def _parsed(text):
    """JSON from elsewhere; None if it is not JSON, or nested too deeply for the parser."""
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return None


def _check(path, header, stored) -> None:
    """Refuse a file by its header and shapes alone, before values are read."""
    if not isinstance(header, dict) or not {"coeffs", "frequencies_hz"} <= set(stored):
        raise ValueError(
            f"{path.name!r} is a safetensors file but holds no motion spectrum. Expected one "
            "written by --save-spectrum or Save Motion Spectrum."
        )
    if header.get("version") not in READABLE or isinstance(header.get("version"), bool):
        raise ValueError(
            f"{path.name!r} has format version {_short(header.get('version'))}, this release reads "
            f"versions up to {FORMAT_VERSION}. Update Image Dynamics, or save the spectrum again."
        )
    problem = None
    for about, part in _split(header, stored):
        if not isinstance(about, dict) or not {"coeffs", "frequencies_hz"} <= set(part):
            problem = "what moves behind is not complete"
        elif not (problem := _inconsistency(about, part)):
            if about["reference_size"] != header["reference_size"]:
                problem = "what moves behind is of another still"
        if problem:
            break
    if problem:
        raise ValueError(f"{path.name!r} is damaged: {problem}. Save the spectrum again.")


def _inconsistency(header, stored) -> str | None:
    """The first contradiction between the header and the types and shapes of tensors, or None."""
    kind, shape = stored["coeffs"]
    size, grid = header.get("reference_size"), header.get("grid")
    if kind != "F32" or len(shape) != 6:
        return f"coeffs are {kind} with shape {shape}"
    b, k, xy, h, w, parts = shape
    if xy != 2 or parts != 2 or min(b, k, h, w) < 1:
        return f"coeffs have shape {shape}, not b k 2 h w 2"
    if header.get("kind") not in KINDS:
        return f"its kind is {_short(header.get('kind'))}, not one of {', '.join(KINDS)}"
    if grid != [h, w]:
        return f"its grid is {_short(grid)}, and its coeffs have one of {[h, w]}"
    if not (
        isinstance(size, list)
        and len(size) == 2
        and all(type(n) is int and 0 < n <= MAX_SIDE for n in size)
    ):
        return f"its reference size is {_short(size)}"
    if ("ambient" in stored) != ("ambient_hz" in stored):
        return "of ambient and ambient_hz it has one without the other"
    if (header["kind"] == "flow") != ("velocity" in stored):
        return "a velocity belongs to a flow, and a flow has one"
    if not isinstance(header.get("confined", False), bool):
        return f"it says {_short(header['confined'])} of its shores"
    bands = stored.get("ambient_hz", ("", [0]))[1][0:1]
    expected = {
        "ambient": ("F32", [k, *bands, 2]),
        "ambient_hz": ("F32", bands),
        "coeffs": ("F32", shape),
        "frequencies_hz": ("F32", [k]),
        "damping_ratio": ("F32", [k]),
        "mean": ("F32", [b, 2, h, w]),
        "drift": ("F32", [b, 2, h, w]),
        **dict.fromkeys(PICTURES, ("U8", [b, 1, *size])),
        "velocity": ("F32", [b, 2, h, w]),
        "light": ("F32", [b, k, 1, h, w, 2]),
    }
    for name, (kind, shape) in stored.items():
        if (kind, shape) != expected[name]:
            return f"{name} is {kind} with shape {shape}, not {expected[name][1]}"
    size_gb = 4 * sum(math.prod(shape) for _, shape in stored.values()) / 1e9
    if size_gb > MAX_GB:
        return f"it would take {size_gb:.0f} GB, and {MAX_GB} GB are allowed"
    return None


def _short(value) -> str:
    return repr(value)[:100]


def _invalid_value(header, tensors) -> str | None:
    """The first value that no motion can have, or None."""
    for name, tensor in tensors.items():
        if tensor.is_floating_point() and not tensor.isfinite().all():
            return f"{name} holds values that are not finite"
    for name in {"coeffs", "mean", "drift", "velocity"} & set(tensors):
        if header["kind"] != "modes" and tensors[name].abs().amax() > MAX_DISPLACEMENT:
            return f"{name} reach {float(tensors[name].abs().amax()):.2g} px"
    damping = tensors.get("damping_ratio")
    if damping is not None and (damping < 0).any():
        return "a mode is driven by its damping, a ratio below 0"
    frequencies = tensors["frequencies_hz"]
    if header["kind"] == "modes":
        return None if (frequencies > 0).all() else "a mode has no frequency above zero"
    steps = frequencies.diff(prepend=frequencies.new_zeros(1))
    if not (steps > 0).all():
        return "its frequencies do not rise from above zero"
    if frequencies[-1] / steps.min() > MAX_CYCLES:
        return f"its frequencies lie as close as {float(steps.min()):.2g} Hz"
    return None
