"""Random inputs for every node, in a real ComfyUI: python tests/host/fuzz_nodes.py --count 2000

Law: every end is a result or a sentence (ValueError, or a refusal by the host's own validation). No
traceback of torch or einops, no more than 20 s of processor time, no memory over 2 GB.

Run n of a seed is always the same. Nodes, inputs, types and ranges are those that the host states,
so a new node is tried without a change here. Numbers that only cost time stay small (`COSTLY`).
"""

import argparse
import json
import random
import sys
import tempfile
from collections import Counter
from pathlib import Path

import hosts
import numpy as np
from graphs import node, painted, still

LONGEST_S = 20  # of processor time
HANGS_S = 300  # of the clock: other programs may be busy
MOST_MB = 2048
# Largest values of inputs that multiply the work, as a user with a small machine would choose.
COSTLY = {
    **{"frames": 12, "bands": 16, "steps": 2, "width": 320, "size": 256, "clips": 3},
    **{
        "duration": 2.0,
        "fps": 24.0,
        "window": 2.0,
        "loop_seconds": 4.0,
        "count": 64,
        "seconds": 0.5,  # of each of 30 stills
    },
}
TEXTS = [
    "",
    " ",
    "motion",
    "[]",
    "{",
    "0.2:1, 1:0.5",
    "é/水",
    "a" * 400,
    "../../x",
    "%width%",
    "1e9",
]
TEXTS += ["/etc/passwd", "C:\\x", "nan", '[{"t":0,"x":0.5,"y":0.4,"dx":0.1,"dy":0}]', "\0", "[1,2]"]
MEANT = {  # texts that a node understands, by the name of the input
    "strokes": [
        '[{"path": [[0.2, 0.6], [0.8, 0.5]], "speed": 1}]',
        '[{"path": [[0.5, 0.5]], "speed": 0}, {"path": [[0, 0], [1, 1], [0, 1]], "speed": -3}]',
        '[{"path": [[0.4, 0.4], [0.6, 0.4], [0.5, 0.6]], "speed": 0, "obstacle": true}]',
    ],
    "gestures": [
        '[{"t": 0.1, "x": 0.5, "y": 0.4, "dx": 0.1, "dy": 0, "hold": 0.3}]',
        '[{"t": 0, "x": 1, "y": 1, "dx": -1, "dy": -1}, {"t": 0.5, "x": 0, "y": 0, "dx": 0, '
        '"dy": 0.2, "hold": 0.2, "push": true}]',
    ],
    "bands": ["0.2:1, 1:0.5, 3:0", "1:0", "0.5, 1, 0.5"],
    "mute": ["1", "0.4, 1-2"],
    "solo": ["0.5-1"],
    "pace": ["0:1, 1:0.25", "0, 1, 2"],
    "strength": ["0:0.2, 0.5:1, 1:0.2", "1, 0, 1", "0"],
    "object_kinds": ["flower", "tree, grass"],
    "text": [
        '[[{"x": 10, "y": 10}, {"x": 14, "y": 12}], [{"x": 40, "y": 30}, {"x": 40, "y": 30}]]',
    ],
}
PRODUCERS = {  # what makes values of the pack's own types
    "GID_SPECTRUM": ("sway", "modes"),
    "GID_DISPLACEMENT": ("play",),
    "GID_MODEL": ("elastic",),
}


def pictures(draw: random.Random) -> np.ndarray:
    """A picture of any shape that a careless node could hand on."""
    if draw.random() < 0.4:  # that of the motion, or a clip of it
        batch, one = draw.choice([1, 1, 30]), still((40, 56), draw.choice([3, 4]))
        shifts = np.round(2 * np.sin(np.arange(batch) * 0.4)).astype(int)
        return odd(np.concatenate([np.roll(one, shift, 2) for shift in shifts]), draw)
    height, width = draw.choice([(40, 56), (64, 48), (1, 37), (29, 1), (3, 5), (97, 64)])
    batch, channels = draw.choice([1, 1, 1, 2, 3]), draw.choice([3, 3, 3, 4, 1, 2])
    values = np.random.default_rng(draw.randrange(2**32)).random((batch, height, width, channels))
    values = values.astype(np.float32)
    return odd(values, draw)


def masks(draw: random.Random) -> np.ndarray:
    """A mask: painted, empty, full, thin, of another size, or of another shape."""
    height, width = draw.choice([(40, 56), (64, 48), (64, 64), (1, 37), (97, 64)])
    kind = draw.randrange(6)
    values = [painted((height, width)), np.zeros((1, height, width)), np.ones((1, height, width))]
    noise = np.random.default_rng(draw.randrange(2**32)).random((draw.choice([1, 2, 5]), 40, 56))
    line = np.zeros((1, height, width))
    line[:, :, width // 2] = 1
    return odd(np.float32([*values, noise, line, noise > 0.5][kind]), draw)


def odd(values: np.ndarray, draw: random.Random) -> np.ndarray:
    """One in three arrays gets values or axes that it should not have."""
    change = draw.randrange(18)
    if change == 0:
        values.flat[draw.randrange(values.size)] = draw.choice([np.nan, np.inf, -np.inf, -5, 1e30])
    elif change == 1:
        values = values[0]
    elif change == 2:
        values = values[..., None]
    elif change == 3:
        values = np.uint8(np.nan_to_num(values) * 255)
    elif change == 4:
        values = values.astype(np.float16)
    elif change == 5:
        values = values[:0]
    return values


def number(draw: random.Random, name: str, options: dict, whole: bool):
    """A number in the range that is stated; at its ends more often than chance has it."""
    low, high = options.get("min", -1000), options.get("max", 1000)
    high = min(high, COSTLY.get(name, high))
    value = draw.choice([low, high, draw.uniform(low, high), options.get("default", low)])
    if draw.random() < 0.03:
        value = draw.choice([low - 1, 2 * abs(high) + 1e6])
    if name in COSTLY:
        value = min(value, COSTLY[name])
    return int(value) if whole else float(value)


def graph(number_of: int, seed: int, nodes: dict, folder: Path) -> tuple[str, dict]:
    """(name of the node that is tried, API graph) of a run."""
    draw = random.Random(f"{seed}/{number_of}")
    tried = sorted(nodes)[number_of % len(nodes)]
    made = {
        "elastic": node("ElasticMotionModel", **_defaults(nodes["ElasticMotionModel"])),
        "sway": _sampler("motion to play"),
        "modes": _sampler("modes to poke"),
        "play": node(
            "SpectrumToDisplacement",
            **_defaults(nodes["SpectrumToDisplacement"]) | {"frames": 6, "fps": 12.0},
            spectrum=["sway", 0],
        ),
    }
    given = {"still": still((40, 56)), "mask": painted((40, 56))}
    inputs = {}
    for group in ("required", "optional"):
        for name, spec in nodes[tried]["input"].get(group, {}).items():
            left_out = 0.5 if group == "optional" else 0.02
            value = None if draw.random() < left_out else _value(draw, name, spec, given)
            if value is not None:
                inputs[name] = value
    made["tried"] = node(tried, **inputs)
    for i, kind in enumerate(nodes[tried]["output"]):
        if kind == "VIDEO":
            made[f"save {i}"] = _save(["tried", i])
        else:
            made[f"keep {i}"] = node("Kept", value=["tried", i], file=str(folder / f"{i}.npz"))
    for name, values in given.items():
        np.save(folder / f"{name}.npy", values)
        made[name] = node("Given", file=str(folder / f"{name}.npy"))
    return tried, _needed(made)


def _value(draw, name, spec, given):
    kind, options = spec[0], spec[1] if len(spec) > 1 else {}
    if isinstance(kind, list) or kind == "COMBO":
        choices = kind if isinstance(kind, list) else options.get("options", [])
        return draw.choice([*choices, "no such choice"] if draw.random() < 0.1 else choices or [""])
    kinds = kind.split(",")
    if {"INT", "FLOAT"} & set(kinds):
        return number(draw, name, options, "INT" in kinds)
    if "BOOLEAN" in kinds:
        return draw.random() < 0.5
    if "STRING" in kinds:
        # Most texts are ones that are understood: the host refuses others before anything runs.
        meant = [options.get("default", ""), *MEANT.get(name, ())]
        return draw.choice(meant if draw.random() < 0.7 else TEXTS)
    if {"IMAGE", "MASK"} & set(kinds):
        mask = "IMAGE" not in kinds
        given[f"given {name}"] = masks(draw) if mask else pictures(draw)
        return [f"given {name}", int(mask)]
    known = [source for k in kinds for source in PRODUCERS.get(k, ())]
    return [draw.choice(known), 0] if known else None


def _defaults(schema):
    values = {}
    for name, spec in schema["input"]["required"].items():
        options = spec[1] if len(spec) > 1 else {}
        if "default" in options:
            values[name] = options["default"]
    return values


def _sampler(kind):
    inputs = {"seed": 1, "amplitude": 2.0, "duration": 1.0, "bands": 3, "refine_mask": False}
    links = {"image": ["still", 0], "mask": ["mask", 1]}
    return node("MotionSpectrumSampler", kind=kind, **inputs, **links)


def _save(video):
    encoding = {"format": "mp4", "format.codec": "h264", "format.codec.encoding": "auto"}
    return node("SaveVideo", video=video, filename_prefix="fuzz", **encoding)


def _needed(made):
    """Only the nodes that the one that is tried, and those behind it, take values from."""
    wanted = [name for name in made if name == "tried" or name.startswith(("save", "keep"))]
    for name in wanted:
        for value in made[name]["inputs"].values():
            if isinstance(value, list) and value[0] in made and value[0] not in wanted:
                wanted.append(value[0])
    return {name: made[name] for name in wanted}


def fault(ran: dict) -> str | None:
    """What is wrong with how a run ended, or None."""
    if ran.get("cpu_s", 0) > LONGEST_S:
        return f"It took {ran['cpu_s']:.0f} s of processor time."
    if (ran.get("peak_mb") or 0) > MOST_MB:
        return f"The process took {ran['peak_mb']:.0f} MB."
    if not ran["valid"] or ran["success"]:
        return None
    error = ran["error"]
    if error is None or error["exception_type"] not in ("ValueError", "RuntimeError"):
        return f"No sentence: {str(error)[:400]}"
    text = error["exception_message"].strip()
    internals = "Traceback", "einops", "tensor a (", "size of tensor", "torch.", "shape '["
    if text[-1:] not in ".!)" or len(text) > 900 or any(word in text for word in internals):
        return f"No sentence: {text[:300]!r}"
    return None


def run(numbers: range, start_host, seed: int = 0, report=lambda line: None) -> dict:
    """Try the graphs of these numbers; ends by node and kind, faults, slowest run, peak memory.

    Args:
        start_host: Called for a host at the beginning, and whenever one has died.
    """
    ends, faults, slowest, peak, host = Counter(), [], (0.0, -1), 0.0, None
    with tempfile.TemporaryDirectory() as folder:
        for n in numbers:
            host = host or start_host()
            tried, prompt = graph(n, seed, host.hello["nodes"], Path(folder))
            try:
                ran = host.run(prompt, limit_s=HANGS_S)
            except RuntimeError as died:
                found, host = f"The host died: {str(died)[-800:]}", None
            else:
                found = fault(ran)
                done = "a result" if ran.get("success") else "a sentence"
                ends[tried, done if ran["valid"] else "refused by the host"] += 1
                slowest = max(slowest, (ran.get("cpu_s", 0.0), n))
                peak = max(peak, ran.get("peak_mb") or 0)
            if found:
                faults.append({"run": n, "node": tried, "fault": found})
                report(json.dumps(faults[-1], ensure_ascii=False))
    return {"ends": ends, "faults": faults, "slowest": slowest, "peak_mb": peak}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--count", type=int, default=2000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--start", type=int, default=0)
    options = parser.parse_args()
    if hosts.python() is None:
        sys.exit("No ComfyUI was found: see tests/host/hosts.py.")
    say = sys.stdout.write
    numbers = range(options.start, options.start + options.count)
    started = []

    def start_host():
        started.append(hosts.Host(hosts.FOUND[0], Path(folder) / f"host {len(started)}"))
        return started[-1]

    with tempfile.TemporaryDirectory() as folder:
        try:
            found = run(numbers, start_host, options.seed, lambda line: say(f"{line}\n"))
        finally:
            for host in started:
                host.close()
    for (tried, end), times in sorted(found["ends"].items()):
        say(f"{tried:26} {end:20} {times}\n")
    seconds, number_of = found["slowest"]
    say(f"slowest {seconds:.1f} s (run {number_of}), peak {found['peak_mb']:.0f} MB, ")
    say(f"{len(found['faults'])} faults\n")
    sys.exit(bool(found["faults"]))


if __name__ == "__main__":
    main()
