"""Nodes that save and load spectra, in ComfyUI's input and output folders only."""

import os
import re
from collections.abc import Callable
from pathlib import Path

from comfy_api.latest import io

from ..gid_core.files import spectra, whole
from . import example, host, panel, sockets

ENDING = ".safetensors"
IN_OUTPUT = " [output]"  # how the host marks files of the output folder
SHIPPED = " [example]"  # how we mark those that came along


class SaveMotionSpectrum(io.ComfyNode):
    """Write a spectrum into the output folder."""

    @classmethod
    def define_schema(cls):
        return sockets.schema(
            ["export motion", "store spectrum", "keep motion"],
            node_id="SaveMotionSpectrum",
            display_name="Save Motion Spectrum",
            description="Keeps a motion in ComfyUI's output folder, as safetensors. A file fits "
            "stills of any size and clips of any frame rate, and the command line plays it, too.",
            inputs=[
                sockets.Spectrum.Input("spectrum", tooltip="The motion to keep."),
                prefix_input("spectra/motion", ENDING),
            ],
            outputs=[
                io.String.Output(
                    display_name="file", tooltip="The name, as Load Motion Spectrum lists it."
                )
            ],
            is_output_node=True,
        )

    @classmethod
    def validate_inputs(cls, filename_prefix):
        return refusal(checked_prefix, filename_prefix)

    @classmethod
    def execute(cls, spectrum, filename_prefix):
        path, name = next_file(filename_prefix, ENDING, spectrum.reference_size)
        spectra.save_spectrum(spectrum, path)
        listed = name + IN_OUTPUT
        return io.NodeOutput(listed, ui=panel.said(listed))


class LoadMotionSpectrum(io.ComfyNode):
    """Read a spectrum from the input or the output folder."""

    @classmethod
    def define_schema(cls):
        return sockets.schema(
            ["import motion", "open spectrum", "motion preset"],
            node_id="LoadMotionSpectrum",
            display_name="Load Motion Spectrum",
            description="Reads a motion that Save Motion Spectrum or the command line has kept. "
            "Use it with another still by Motion Spectrum Transfer.",
            inputs=[
                io.Combo.Input(
                    "file",
                    options=_spectrum_files(),
                    tooltip="Spectra in ComfyUI's input folder, those marked [output] in its "
                    "output folder, and examples that came along. Press R after adding files.",
                ),
            ],
            outputs=[
                sockets.Spectrum.Output(display_name="spectrum", tooltip="The motion."),
                io.String.Output(
                    display_name="report", tooltip="Bands, sizes and amplitude of the motion."
                ),
            ],
        )

    @classmethod
    def validate_inputs(cls, file):
        return refusal(_path_of, file)

    @classmethod
    def fingerprint_inputs(cls, file):
        return spectra.fingerprint(_path_of(file))

    @classmethod
    def execute(cls, file):
        from ..gid_core.motion.spectrum import summary

        spectrum = spectra.load_spectrum(_path_of(file))
        said = summary(spectrum)
        return io.NodeOutput(spectrum, said, ui=panel.said(said))


def prefix_input(default: str, ending: str) -> io.String.Input:
    """The input for the name of a new file in the output folder."""
    return io.String.Input(
        "filename_prefix",
        default=default,
        tooltip="Name in the output folder, with / for folders in it; a number and "
        f"{ending} are added. %year% and such are filled in.",
    )


def checked_prefix(name: str) -> str:
    """The prefix as typed, with / between folders.

    Raises:
        ValueError: If it leads out of the output folder.
    """
    folder = host.output_folder()
    return whole.confined(folder, safe_tokens(name)).relative_to(folder).as_posix()


def safe_tokens(name: str) -> str:
    """A prefix whose %tokens% are safe in file names, whoever fills them or not.

    The page fills %date:yyyy-MM-dd% and %Node.widget%; a graph sent by a program brings them as
    they are. They stay as text, with _ for what a file name cannot hold.
    """
    return re.sub(
        r"%[^%]+%", lambda token: re.sub(r'[<>:"|?*/\\\x00-\x1f\x7f]', "_", token[0]), name
    )


def next_file(
    filename_prefix: str, ending: str, size: tuple[int, int] = (0, 0)
) -> tuple[Path, str]:
    """The next free file of a prefix: its path, and its name relative to the output folder.

    Args:
        size: (height, width) for %height% and %width%.
    """
    path = host.numbered(checked_prefix(filename_prefix), ending, size)
    return path, path.relative_to(host.output_folder()).as_posix()


def _path_of(name: str) -> Path:
    """The path of a listed file.

    Raises:
        ValueError: If the name leads out of its folder.
    """
    for folder, mark in _folders():
        if mark and name.endswith(mark):
            return whole.confined(folder, name.removesuffix(mark))
    return whole.confined(host.input_folder(), name)


def refusal(check: Callable[[str], object], name: str | None) -> bool | str:
    """True if the check accepts the name, else its error message, as the host's validation expects.

    A name that comes over a link is None here; it is checked when the node runs.
    """
    try:
        if name is not None:
            check(name)
    except ValueError as error:
        return str(error)
    return True


def _spectrum_files() -> list[str]:
    """Names of all spectra: those of the input and the output folder, sorted, then the examples."""
    found = []
    for folder, mark in _folders():
        for place, _, names in os.walk(folder):
            paths = [Path(place, name) for name in names if name.endswith(ENDING)]
            valid = filter(spectra.holds_spectrum, paths)
            found += [path.relative_to(folder).as_posix() + mark for path in valid]
    return sorted(found, key=lambda name: (name.endswith(SHIPPED), name))


def _folders() -> list[tuple[Path, str]]:
    """Folders with spectra, and how their files are marked."""
    own = [(host.input_folder(), ""), (host.output_folder(), IN_OUTPUT)]
    return [*own, (example.FOLDER, SHIPPED)]
