"""Nodes that keep spectra in files, inside ComfyUI's folders and nowhere else."""

import os
from pathlib import Path

from comfy_api.latest import io, ui

from ..gid_core.files import spectra, whole
from . import host, sockets

ENDING = ".safetensors"
IN_OUTPUT = " [output]"  # as the host marks files of that folder


class SaveMotionSpectrum(io.ComfyNode):
    """A spectrum to a file in the output folder."""

    @classmethod
    def define_schema(cls):
        return sockets.schema(
            ["export motion", "store spectrum", "keep motion"],
            node_id="SaveMotionSpectrum",
            display_name="Save Motion Spectrum",
            description="Keeps a motion in ComfyUI's output folder, as safetensors. A file fits stills "
            "of any size and clips of any frame rate, and the command line plays it, too.",
            inputs=[
                sockets.Spectrum.Input("spectrum", tooltip="The motion to keep."),
                io.String.Input(
                    "filename_prefix", default="spectra/motion",
                    tooltip="Name in the output folder, with / for folders in it; a number and "
                    ".safetensors are added. %year% and such are filled in.",
                ),
            ],
            outputs=[
                io.String.Output(
                    display_name="file", tooltip="The name, as Load Motion Spectrum lists it."
                )
            ],
            is_output_node=True,
        )  # fmt: skip

    @classmethod
    def validate_inputs(cls, filename_prefix):
        return refusal(prefix, filename_prefix)

    @classmethod
    def execute(cls, spectrum, filename_prefix):
        path = host.numbered(prefix(filename_prefix), ENDING)
        spectra.save_spectrum(spectrum, path)
        listed = path.relative_to(host.output_folder()).as_posix() + IN_OUTPUT
        return io.NodeOutput(listed, ui=ui.PreviewText(listed))


class LoadMotionSpectrum(io.ComfyNode):
    """A spectrum from a file in the input or output folder."""

    @classmethod
    def define_schema(cls):
        return sockets.schema(
            ["import motion", "open spectrum", "motion preset"],
            node_id="LoadMotionSpectrum",
            display_name="Load Motion Spectrum",
            description="Reads a motion that Save Motion Spectrum or the command line has kept. Use it "
            "with another still by Motion Spectrum Transfer.",
            inputs=[
                io.Combo.Input(
                    "file", options=_listed(),
                    tooltip="Spectra in ComfyUI's input folder and, marked [output], in its output "
                    "folder. Press R after adding files.",
                ),
            ],
            outputs=[
                sockets.Spectrum.Output(display_name="spectrum", tooltip="The motion."),
                io.String.Output(
                    display_name="report", tooltip="Bands, sizes and amplitude of the motion."
                ),
            ],
        )  # fmt: skip

    @classmethod
    def validate_inputs(cls, file):
        return refusal(_place, file)

    @classmethod
    def fingerprint_inputs(cls, file):
        return spectra.fingerprint(_place(file))

    @classmethod
    def execute(cls, file):
        from ..gid_core.motion.spectrum import summary

        spectrum = spectra.load_spectrum(_place(file))
        return io.NodeOutput(spectrum, summary(spectrum))


def prefix(name) -> str:
    """A prefix as typed, with / between folders; refused if it leads out of the output folder."""
    folder = host.output_folder()
    return whole.confined(folder, name).relative_to(folder).as_posix()


def _place(name) -> Path:
    """Where a listed file is; refused if the name leads out of its folder."""
    if name.endswith(IN_OUTPUT):
        return whole.confined(host.output_folder(), name.removesuffix(IN_OUTPUT))
    return whole.confined(host.input_folder(), name)


def refusal(check, name):
    """True if the check lets a name pass, else its sentence; linked names are checked when run."""
    try:
        if name is not None:
            check(name)
    except ValueError as error:
        return str(error)
    return True


def _listed() -> list[str]:
    """Every spectrum in the input and the output folder."""
    found = []
    for folder, mark in ((host.input_folder(), ""), (host.output_folder(), IN_OUTPUT)):
        for place, _, names in os.walk(folder):
            paths = [Path(place, name) for name in names if name.endswith(ENDING)]
            kept = filter(spectra.holds_spectrum, paths)
            found += [path.relative_to(folder).as_posix() + mark for path in kept]
    return sorted(found)
