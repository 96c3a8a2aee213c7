"""The package as the registry builds it, in a fresh ComfyUI: what is in it, how fast it loads, and
whether every template that needs no weights from elsewhere runs: python tests/host/run_package.py

The host finds nothing of this checkout but the archive's files. Templates run as they open, but
rendered at a quarter of the size, unless --full is given. Ends with 1 if anything fails.
"""

import argparse
import statistics
import subprocess
import sys
import tempfile
import time
import zipfile
from pathlib import Path

import hosts
from graphs import workflow
from templates import TEMPLATES, foreign_weights

sys.path.insert(0, str(Path(__file__).parents[1]))
from test_comfyignore import shipped

LONGEST_S = 900  # of one template, by the clock


def unpacked(folder: Path) -> tuple[Path, Path]:
    """The archive that the registry would make, and the pack unpacked from it, in custom_nodes."""
    archive_path = folder / "node.zip"
    with zipfile.ZipFile(archive_path, "w", zipfile.ZIP_DEFLATED) as archive:
        for path in shipped():
            archive.write(hosts.PACK / path, path)
    pack = folder / "custom_nodes" / hosts.NAME
    with zipfile.ZipFile(archive_path) as archive:
        archive.extractall(pack)
    return archive_path, pack


def quickly(prompt: dict) -> dict:
    """The graph, rendered at a quarter of its size."""
    for node in prompt.values():
        if "draft" in node["inputs"]:
            node["inputs"]["draft"] = "quarter"
    return prompt


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--full", action="store_true", help="render at full size")
    parser.add_argument("--loads", type=int, default=5, help="how often it is loaded, after once")
    parser.add_argument("--only", nargs="+", metavar="NAME", help="these templates")
    parser.add_argument("--no-templates", action="store_true", help="load it only")
    options = parser.parse_args()
    if hosts.python() is None:
        sys.exit("No ComfyUI was found: see tests/host/hosts.py.")
    say = lambda line: (sys.stdout.write(f"{line}\n"), sys.stdout.flush())
    with tempfile.TemporaryDirectory() as folder:
        archive, pack = unpacked(Path(folder))
        count = sum(path.is_file() for path in pack.rglob("*"))
        say("| package | |\n|---|---|")
        say(f"| archive, MB | {archive.stat().st_size / 1e6:.1f} |\n| files | {count} |")
        loads = []
        for i in range(1 + options.loads):
            host = hosts.Host(hosts.FOUND[0], Path(folder) / f"work {i}", pack)
            loads.append(host.hello["load_s"])
            if not host.hello["loaded"] or host.hello["warnings"]:
                sys.exit(f"It did not load: {host.hello['warnings']}")
            if i < options.loads:
                host.close()
            if i == 0:  # on a user's machine the first load does it; here it may be switched off
                subprocess.run([hosts.python(), "-m", "compileall", "-q", pack], check=True)
        say(f"| first load, CPU s: Python compiles it | {loads[0]:.2f} |")
        later = statistics.median(loads[1:])
        say(f"| later loads, CPU s, median of {options.loads} | {later:.3f} |")
        say("\n| template | ends with | s |\n|---|---|---|")
        failed = 0
        for template in TEMPLATES:
            if options.no_templates or foreign_weights(template):
                continue
            if options.only and template.name not in options.only:
                continue
            prompt, begun = workflow(template.name), time.perf_counter()
            try:
                ran = host.run(prompt if options.full else quickly(prompt), limit_s=LONGEST_S)
            except RuntimeError as died:
                sys.exit(f"The host died in {template.name}: {str(died)[-800:]}")
            made = sum(len(out.get("images", [])) for out in ran["outputs"].values())
            said = f"{made} pictures and clips" if ran["valid"] and ran["success"] else None
            failed += said is None
            why = ran["node_errors"] if not ran["valid"] else ran["error"]
            seconds = time.perf_counter() - begun
            say(f"| {template.name} | {said or str(why)[:400]} | {seconds:.0f} |")
        host.close()
    sys.exit(bool(failed))


if __name__ == "__main__":
    main()
