import os
import signal
import sys
import time
from pathlib import Path

import pytest

from gid_core.training import workers


def write(path: Path) -> None:
    path.write_text(str(os.getpid()))


def die_once(path: Path) -> None:
    """Killed at the first try, as by an operator or without memory; done at the second."""
    if not path.with_suffix(".tried").exists():
        path.with_suffix(".tried").touch()
        os.kill(os.getpid(), signal.SIGKILL)
    path.touch()


def die_always(path: Path) -> None:
    with path.with_suffix(".tried").open("a") as file:
        file.write("x")
    os.kill(os.getpid(), signal.SIGKILL)


def exit_of_itself(path: Path) -> None:
    sys.exit(3)


def sleep_if_slow(path: Path) -> None:
    path.write_text(str(os.getpid()))
    time.sleep(60 * (path.name == "slow"))


def run(task, paths, count=2):
    return sorted(workers.in_processes(task, paths, count))


def test_every_job_is_returned_once_and_has_its_own_process(tmp_path):
    jobs = [tmp_path / str(i) for i in range(5)]
    assert run(write, jobs) == [(job, None) for job in jobs]
    pids = {job.read_text() for job in jobs}
    assert len(pids) == 5 and str(os.getpid()) not in pids


def test_the_job_of_a_killed_worker_is_tried_again(tmp_path):
    jobs = [tmp_path / f"{i}.done" for i in range(3)]
    assert run(die_once, jobs) == [(job, None) for job in jobs]
    assert all(job.exists() for job in jobs)


def test_a_job_that_always_kills_its_worker_fails_and_the_others_do_not(tmp_path):
    jobs = [tmp_path / "a", tmp_path / "b"]
    (job, why), (other, nothing) = sorted(
        [*workers.in_processes(die_always, jobs[:1], 2), *workers.in_processes(write, jobs[1:], 2)]
    )
    assert job == jobs[0] and "ended the process 3 times (exit status -9)" in why
    assert (tmp_path / "a.tried").read_text() == "xxx"
    assert other == jobs[1] and nothing is None
    assert "exit status 3" in run(exit_of_itself, jobs[:1])[0][1]


def test_without_jobs_nothing_is_returned():
    assert run(write, []) == []


def test_stopping_early_stops_the_workers(tmp_path):
    slow, quick = tmp_path / "slow", tmp_path / "quick"
    work = workers.in_processes(sleep_if_slow, [slow, quick], 2)
    assert next(work) == (quick, None)
    while not slow.exists() or not slow.read_text():
        time.sleep(0.01)
    work.close()
    with pytest.raises(ProcessLookupError):
        os.kill(int(slow.read_text()), 0)


def test_a_missing_ray_is_one_sentence(monkeypatch):
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(ValueError, match="needs Ray, which is not installed. Install ray, or"):
        next(workers.on_ray(write, [1], 1, "local"))


def fail(path: Path) -> None:
    if path.name == "bad":
        raise OSError(f"cannot read {path.name}\nat all")
    write(path)


def not_ready() -> None:
    raise ValueError("this host lacks OpenCV")


@pytest.mark.slow
def test_a_cluster_returns_failed_jobs_and_is_refused_if_not_ready(tmp_path, monkeypatch):
    pytest.importorskip("ray", reason="ray is not installed: `make install` brings it")
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parent))  # of these functions
    jobs = [tmp_path / name for name in ("bad", "good")]
    done = dict(workers.on_ray(fail, jobs, 1, "local"))
    assert done[jobs[1]] is None and jobs[1].exists()
    assert done[jobs[0]] == "It failed on the cluster: OSError: cannot read bad"
    with pytest.raises(ValueError, match="cannot do it: ValueError: this host lacks OpenCV"):
        next(workers.on_ray(write, jobs, 1, "local", not_ready))
