"""How many clips a minute become shards: one core, two processes, two workers of a Ray cluster.

    python benchmarks/scale.py [FOLDER] [--clips 16] [--kill]

Without a folder of clips, scenes are made (256x160, 150 frames: one window each). One core is the
function that every worker calls, called in a loop in this process. Each row is a fresh folder, and
its clock includes the start of workers. "Steady" leaves that out: it counts from the first clips
that are done to the last. --kill ends a worker in the middle of the Ray run. Every row must give
the same bytes as the first.
"""

import argparse
import os
import signal
import sys
import tempfile
import threading
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))
os.environ["PYTHONPATH"] = str(ROOT)
for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
    os.environ[name] = "1"

from gid_core.config import ExtractionConfig, ShardConfig
from gid_core.files import video
from gid_core.scenes import synthetic
from gid_core.training import shards

CONFIG = ShardConfig(samples=4, extraction=ExtractionConfig(training=False))


def make_clips(folder: Path, count: int) -> None:
    for seed in range(count):
        scene = synthetic.make_scene(seed, (160, 256))
        frames = (scene.image_at(t / 30) for t in range(150))
        video.write_clip(folder / f"{seed:03d}.mp4", frames, 30.0)
        print(f"\rmaking clips: {seed + 1} of {count}", end="", file=sys.stderr)
    print(file=sys.stderr)


def one_core(task, jobs, workers):
    for job in jobs:
        task(job)
        yield job, None


def workers_of(pid: int) -> list[int]:
    """Ray's workers among the descendants of a process that are running a task."""
    parents, busy = {}, []
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            parents[int(stat.parent.name)] = int(stat.read_text().rsplit(")", 1)[1].split()[1])
            if b"ray::read_part" in (stat.parent / "cmdline").read_bytes():
                busy.append(int(stat.parent.name))
        except OSError:
            continue  # it ended meanwhile

    def ours(child):
        while child in parents and child != pid:
            child = parents[child]
        return child == pid

    return [child for child in busy if ours(child)]


def kill_one(killed: list[int]) -> None:
    while not (busy := workers_of(os.getpid())):
        time.sleep(0.1)
    time.sleep(2)
    os.kill(busy[0], signal.SIGKILL)
    killed.append(busy[0])


def measure(clips, workers, address=None, run=None):
    """(seconds in all, seconds from the first clip that was done, contents)."""
    with tempfile.TemporaryDirectory() as folder:
        times, kept = [], shards.in_processes
        shards.in_processes = run or kept
        start = time.perf_counter()
        done = lambda *_: times.append(time.perf_counter())
        summary = shards.write_shards(clips, Path(folder), CONFIG, workers, address, done)
        took = time.perf_counter() - start
        shards.in_processes = kept
        contents = {path.name: path.read_bytes() for path in Path(folder).iterdir()}
    # The first `workers` clips come out of the start; the rest is steady.
    steady = (len(clips) - workers) / (times[-1] - times[workers])
    return took, 60 * steady, contents, summary


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path, nargs="?")
    parser.add_argument("--clips", type=int, default=16)
    parser.add_argument("--kill", action="store_true")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        if args.folder is None:
            make_clips(Path(folder), args.clips)
        clips = shards.listed(args.folder or Path(folder))[: args.clips]
        rows = [
            ("one core", 1, None, one_core),
            ("2 processes", 2, None, None),
            ("Ray, 2 workers", 2, "local", None),
        ]
        first = None
        print("| | clips/min | efficiency | steady clips/min | the same bytes |")
        print("|---|---|---|---|---|")
        for name, workers, address, run in rows:
            took, steady, contents, summary = measure(clips, workers, address, run)
            first = first or (60 * len(clips) / took, steady, contents)
            rate = 60 * len(clips) / took
            whole, later = (100 / workers * a / b for a, b in zip((rate, steady), first))
            share = f"{whole:.0f} %, steady {later:.0f} %"
            print(f"| {name} | {rate:.1f} | {share} | {steady:.1f} | {contents == first[2]} |")
        if args.kill:
            killed: list[int] = []
            thread = threading.Thread(target=kill_one, args=(killed,), daemon=True)
            thread.start()
            took, _, contents, summary = measure(clips, 2, "local")
            rate, same = 60 * len(clips) / took, contents == first[2]
            share = f"{50 * rate / first[0]:.0f} %"
            print(f"| Ray, 2 workers, one killed in the middle | {rate:.1f} | {share} | | {same} |")


if __name__ == "__main__":
    main()
