"""Rewrite the golden files: `make golden`. The commit message says what changed in them."""

import contextlib
import io
import json
import os
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE.parent.parent), str(HERE.parent)]

import oracles  # noqa: E402

from gid_core.__main__ import main  # noqa: E402

COMMANDS = ("animate", "extract", "render", "edit", "mask", "synth", "train", "evaluate", "page")


def help_of(command: str) -> str:
    os.environ["COLUMNS"], os.environ["NO_COLOR"] = "100", "1"
    text = io.StringIO()
    with contextlib.suppress(SystemExit), contextlib.redirect_stdout(text):
        main([command, "--help"])
    return text.getvalue()


if __name__ == "__main__":
    for command in COMMANDS:
        (HERE / f"help_{command}.txt").write_text(help_of(command))
    statistics = json.dumps(oracles.tiny_pipeline(), indent=1)
    (HERE / "tiny_pipeline.json").write_text(statistics + "\n")
    packed = {name: oracles.packed_volume(name) for name in oracles.poked_volumes()}
    responses = json.dumps(oracles.modal_response(packed))
    (HERE / "modal_response.json").write_text(responses + "\n")
