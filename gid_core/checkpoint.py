"""Spectra on disk: safetensors with a JSON header, resolution- and fps-free. Nothing is unpickled.

Law: load(save(S)) = S, the mask to 1/255. A file is written beside its place and moved there whole.
"""

import errno
import json
import os
import tempfile
from contextlib import contextmanager, suppress
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file

from .spectrum import FORMAT_VERSION, KINDS, SpectralVolume

HEADER = "image_dynamics"


@contextmanager
def written_whole(path: Path, suffix: str = ""):
    """Yield a temporary path in the same folder; move it to `path` if all went well, else remove it.

    Raises:
        ValueError: If the folder is missing or cannot be written to, or the disk is full.
    """
    path = Path(path)
    check_folder(path)
    try:
        handle, name = tempfile.mkstemp(suffix or path.suffix, f".{path.stem[:64]}-", path.parent)
        os.close(handle)
    except OSError as error:
        raise ValueError(
            f"Cannot write in {str(path.parent)!r}: {error.strerror}. Write elsewhere."
        ) from error
    try:
        yield Path(name)
        os.chmod(name, 0o666 & ~_umask())  # mkstemp makes files for their owner alone
        os.replace(name, path)
    except (OSError, SafetensorError) as error:
        full = getattr(error, "errno", None) == errno.ENOSPC or "No space left" in str(error)
        why = "the disk is full" if full else str(error)
        raise ValueError(
            f"Could not write {str(path)!r}: {why}. Nothing was left behind."
        ) from error
    finally:
        with suppress(
            OSError
        ):  # a failed encoder may still hold it open; the first error is the one
            Path(name).unlink(missing_ok=True)


def check_folder(path: Path) -> None:
    """Refuse a path whose folder is missing, or which is a folder.

    Raises:
        ValueError: With the reason.
    """
    if not path.parent.is_dir():
        raise ValueError(
            f"Expected an existing folder to write to, got {str(path.parent)!r}. "
            "Create it, or write elsewhere."
        )
    if path.is_dir():
        raise ValueError(f"Expected a file name to write to, got the folder {str(path)!r}.")


def _umask():
    mask = os.umask(0)
    os.umask(mask)
    return mask


def save_spectrum(spectrum: SpectralVolume, path: str | Path) -> None:
    """Write a spectral volume.

    Tensors: coeffs (float32, b k 2 h w 2, last axis real and imaginary), frequencies_hz, and where
    there are any mask (uint8), mean, drift, damping_ratio.
    """
    tensors = {
        "coeffs": torch.view_as_real(spectrum.coeffs.to(torch.complex64)).contiguous(),
        "frequencies_hz": spectrum.frequencies_hz.float().contiguous(),
    }
    if spectrum.mask is not None:
        tensors["mask"] = (spectrum.mask * 255).round().to(torch.uint8).contiguous()
    for name in ("mean", "drift", "damping_ratio"):
        if getattr(spectrum, name) is not None:
            tensors[name] = getattr(spectrum, name).float().contiguous()
    header = {
        "version": FORMAT_VERSION,
        "kind": spectrum.kind,
        "grid": list(spectrum.grid),
        "reference_size": list(spectrum.reference_size),
    }
    with written_whole(Path(path)) as temporary:
        save_file(tensors, temporary, {HEADER: json.dumps(header)})


def load_spectrum(path: str | Path) -> SpectralVolume:
    """Read a spectral volume, and refuse what is not one.

    Raises:
        ValueError: If the file is missing, damaged, of another version or kind, or not finite.
    """
    path = Path(path)
    if not path.is_file():
        raise ValueError(f"Expected a spectrum file, found nothing at {str(path)!r}.")
    try:
        with safe_open(path, "pt") as file:
            header = json.loads((file.metadata() or {}).get(HEADER, "null"))
            tensors = {name: file.get_tensor(name) for name in file.keys()}
    except (SafetensorError, json.JSONDecodeError, OSError) as error:
        raise ValueError(f"{path.name!r} is not a readable safetensors file: {error}.") from error
    if not isinstance(header, dict) or "coeffs" not in tensors or "frequencies_hz" not in tensors:
        raise ValueError(
            f"{path.name!r} is a safetensors file but holds no motion spectrum. Expected one "
            "written by --save-spectrum."
        )
    if header.get("version") != FORMAT_VERSION:
        raise ValueError(
            f"{path.name!r} has format version {header.get('version')}, this release reads version "
            f"{FORMAT_VERSION}. Update Image Dynamics, or save the spectrum again."
        )
    problem = _problem(header, tensors)
    if problem:
        raise ValueError(f"{path.name!r} is damaged: {problem}. Save the spectrum again.")
    mask = tensors.get("mask")
    return SpectralVolume(
        coeffs=torch.view_as_complex(tensors["coeffs"].contiguous()),
        frequencies_hz=tensors["frequencies_hz"],
        reference_size=tuple(header["reference_size"]),
        mask=None if mask is None else mask.float() / 255,
        mean=tensors.get("mean"),
        drift=tensors.get("drift"),
        damping_ratio=tensors.get("damping_ratio"),
        kind=header["kind"],
    )


def _problem(header, tensors) -> str | None:
    """What contradicts what in a file, or None."""
    coeffs, frequencies = tensors["coeffs"], tensors["frequencies_hz"]
    size = header.get("reference_size")
    if coeffs.dtype != torch.float32 or coeffs.ndim != 6:
        return f"coeffs are {coeffs.dtype} with shape {tuple(coeffs.shape)}"
    b, k, xy, h, w, parts = coeffs.shape
    if xy != 2 or parts != 2 or min(b, k, h, w) < 1:
        return f"coeffs have shape {tuple(coeffs.shape)}, not b k 2 h w 2"
    if header.get("kind") not in KINDS:
        return f"its kind is {header.get('kind')!r}, not one of {', '.join(KINDS)}"
    if not (
        isinstance(size, list) and len(size) == 2 and all(type(n) is int and n > 0 for n in size)
    ):
        return f"its reference size is {size!r}"
    shapes = {
        "frequencies_hz": (k,),
        "damping_ratio": (k,),
        "mean": (b, 2, h, w),
        "drift": (b, 2, h, w),
    }
    for name, tensor in tensors.items():
        if name in shapes and (
            tuple(tensor.shape) != shapes[name] or tensor.dtype != torch.float32
        ):
            return f"{name} is {tensor.dtype} with shape {tuple(tensor.shape)}, not {shapes[name]}"
        if tensor.is_floating_point() and not tensor.isfinite().all():
            return f"{name} holds values that are not finite"
    mask = tensors.get("mask")
    if mask is not None and (mask.dtype != torch.uint8 or tuple(mask.shape) != (b, 1, *size)):
        return f"its mask is {mask.dtype} with shape {tuple(mask.shape)}"
    if (
        not ((frequencies > 0).all() and (frequencies.diff() > 0).all())
        and header["kind"] == "response"
    ):
        return "its frequencies do not rise from above zero"
    return None
