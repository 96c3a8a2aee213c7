"""Write the tables of docs/benchmarks.md by the commands that stand above them.

    python benchmarks/tables.py [TEXT ...] [NAME=FOLDER ...] [--list]

A table stands between two comments. The first holds the command:

    <!-- table: python benchmarks/bench.py splat -->
    Measured at `25620a2`, 2 CPU cores (AMD EPYC), 1 thread, load 0.4, torch 2.13.0.

    | size | ... |
    <!-- end -->

Without arguments every `table` is made again (`make tables`). Those commands need nothing but this
repository, and take less than two minutes each. A `table by hand` needs clips or stills that are
not part of the repository, or hours, or a machine that does nothing else. It is made again when
TEXT is a part of its command. Capital words in a command are given as NAME=FOLDER, such as
CLIPS=/data/clips.

Law: what stands outside the comments stays as it is, and a command that fails changes nothing.
"""

import argparse
import os
import platform
import re
import shlex
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
DOCUMENT = ROOT / "docs/benchmarks.md"
BLOCK = re.compile(r"<!-- table( by hand)?: (.+?) -->\n(.*?)<!-- end -->", re.DOTALL)
CAPITALS = re.compile(r"\b[A-Z]{3,}\b")


def tables_of(output: str) -> str:
    """The Markdown tables of what a command printed; progress and sentences are left out."""
    paragraphs = re.findall(r"(?:^\|.*\n?)+", output, re.MULTILINE)
    tables = [p.strip() for p in paragraphs if re.search(r"^\|[-| ]+\|$", p, re.MULTILINE)]
    return "\n\n".join(tables)


def stamp(commit: str, changed: bool, machine: str, threads: str, load: str, torch: str) -> str:
    """The sentence that says where and of what a table was measured."""
    of = f"`{commit}`" + (" with changes" if changed else "")
    return f"Measured at {of}, {machine}, {threads}, load {load}, torch {torch}."


def processor() -> str:
    """Number and name of the processor's cores."""
    name = platform.processor() or platform.machine()
    info = Path("/proc/cpuinfo")
    if info.exists():
        found = re.search(r"model name\s*: (.+)", info.read_text())
        name = found[1].strip() if found else name
    return f"{os.cpu_count()} CPU cores ({name})"


def stamp_of_now() -> str:
    """The stamp of this commit on this machine.

    The load is the number of processes that wanted a core in the last minute.
    """
    git = lambda *words: subprocess.check_output(["git", *words], cwd=ROOT, text=True).strip()
    threads = os.environ.get("OMP_NUM_THREADS")
    load = f"{os.getloadavg()[0]:.1f}" if hasattr(os, "getloadavg") else "unknown"
    import torch

    return stamp(
        git("rev-parse", "--short", "HEAD"),
        bool(git("status", "--porcelain", "--", "gid_core", "benchmarks")),
        processor(),
        "1 thread" if threads == "1" else f"{threads or torch.get_num_threads()} threads",
        load,
        torch.__version__,
    )


def run(command: str, folders: dict[str, str]) -> str:
    """The tables that a command prints.

    Raises:
        RuntimeError: If it fails, or prints no table.
    """
    words = [folders.get(word, word) for word in shlex.split(command)]
    program = [sys.executable if words[0] == "python" else words[0], *words[1:]]
    done = subprocess.run(program, cwd=ROOT, stdout=subprocess.PIPE, text=True)
    tables = tables_of(done.stdout)
    if done.returncode or not tables:
        raise RuntimeError(f"Expected a table of `{command}`, got exit code {done.returncode}.")
    return tables


def rewritten(text: str, chosen, made) -> str:
    """A document with new tables.

    Args:
        chosen: (by hand, command) -> whether this table is to be made again.
        made: command -> what is to stand between the comments.
    """

    def block(match):
        by_hand, command, _ = match.groups()
        if not chosen(bool(by_hand), command):
            return match[0]
        return f"<!-- table{by_hand or ''}: {command} -->\n{made(command)}\n<!-- end -->"

    return BLOCK.sub(block, text)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("words", nargs="*", metavar="TEXT | NAME=FOLDER")
    parser.add_argument("--list", action="store_true", help="list the commands, and run none")
    args = parser.parse_args()
    folders = dict(word.split("=", 1) for word in args.words if re.match(r"[A-Z]+=", word))
    texts = [word for word in args.words if not re.match(r"[A-Z]+=", word)]
    text = DOCUMENT.read_text(encoding="utf-8")
    if args.list:
        for by_hand, command, _ in BLOCK.findall(text):
            print("by hand" if by_hand else "       ", command)
        return

    def chosen(by_hand, command):
        if texts:
            return any(part in command for part in texts)
        return not by_hand

    def made(command):
        missing = set(CAPITALS.findall(command)) - set(folders)
        if missing:
            sys.exit(f"Expected folders for `{command}`: give {'=..., '.join(sorted(missing))}=...")
        print(command, flush=True)
        return f"{stamp_of_now()}\n\n{run(command, folders)}"

    for _, command, _ in BLOCK.findall(text):
        # One at a time: what has been measured stays when a later command fails.
        text = rewritten(text, lambda hand, c: c == command and chosen(hand, c), made)
        DOCUMENT.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
