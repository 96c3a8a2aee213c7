"""Run jobs in several processes, or on the hosts of a cluster.

Law: every job is returned exactly once, in any order, as done or with the reason why not. If a
worker dies, only its current job is affected, and that is tried again.
"""

from collections import Counter, deque
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TypeVar

Job = TypeVar("Job")
TRIES = 3  # of a job whose worker died
AHEAD = 4  # jobs per core that are submitted to a cluster in advance


def in_processes(
    task: Callable[[Job], None], jobs: Sequence[Job], workers: int
) -> Iterator[tuple[Job, str | None]]:
    """Run every job in its own process, `workers` at a time.

    Args:
        task: A module's function, so that processes can import it. Its result is ignored.

    Yields:
        The job, and None or the reason why it failed.
    """
    import multiprocessing
    from multiprocessing.connection import wait

    methods = multiprocessing.get_all_start_methods()
    context = multiprocessing.get_context("forkserver" if "forkserver" in methods else "spawn")
    if "forkserver" in methods:  # which imports the module once for all processes
        context.set_forkserver_preload([task.__module__])
    waiting, tries, running = deque(enumerate(jobs)), Counter(), {}
    try:
        while waiting or running:
            while waiting and len(running) < workers:
                number, job = waiting.popleft()
                process = context.Process(target=task, args=(job,))
                process.start()
                running[process.sentinel] = number, job, process
            for sentinel in wait(list(running)):
                number, job, process = running.pop(sentinel)
                process.join()
                tries[number] += 1
                if process.exitcode == 0:
                    yield job, None
                elif tries[number] < TRIES:
                    waiting.appendleft((number, job))
                else:
                    status = f"(exit status {process.exitcode})"
                    yield job, f"It ended the process {TRIES} times {status}."
    finally:
        for _, _, process in running.values():
            process.terminate()
            process.join()


def on_ray(
    task: Callable[[Job], None],
    jobs: Sequence[Job],
    workers: int,
    address: str,
    ready: Callable[[], None] = lambda: None,
) -> Iterator[tuple[Job, str | None]]:
    """Run every job on a Ray cluster, which retries the jobs of lost workers by itself.

    Args:
        address: Of the cluster; "local" starts one on this machine with that many workers.
        ready: Called there once before all jobs; raises if something that the task needs is
            missing.

    Raises:
        ValueError: If Ray is not installed, there is no cluster, or it is not ready.
    """
    try:
        import ray
    except ImportError as error:
        raise ValueError(
            "Working on a cluster needs Ray, which is not installed. Install ray, or leave out "
            "--ray-address to work on this machine."
        ) from error
    local = {"num_cpus": workers, "include_dashboard": False} if address == "local" else {}
    package = {"py_modules": [str(Path(__file__).parents[1])]}
    try:
        ray.init(address, log_to_driver=False, logging_level="error", runtime_env=package, **local)
    except (ConnectionError, ValueError) as error:
        raise ValueError(f"Found no Ray cluster at {address!r}: {error}") from error
    try:
        try:
            ray.get(ray.remote(lambda: ready()).remote())
        except ray.exceptions.RayError as error:
            raise ValueError(
                f"The hosts of the cluster cannot do it: {_first_line(error)}"
            ) from error
        remote = ray.remote(num_cpus=1, max_retries=TRIES - 1)(task)
        ahead = AHEAD * max(1, int(ray.cluster_resources().get("CPU", 1)))
        waiting, running = deque(jobs), {}
        while waiting or running:
            while waiting and len(running) < ahead:
                job = waiting.popleft()
                running[remote.remote(job)] = job
            for done in ray.wait(list(running))[0]:
                job = running.pop(done)
                try:
                    ray.get(done)
                except ray.exceptions.RayError as error:
                    yield job, f"It failed on the cluster: {_first_line(error)}"
                else:
                    yield job, None
    finally:
        ray.shutdown()


def _first_line(error):
    """Type and first line of the error in a task, without its traceback."""
    cause = getattr(error, "cause", None) or error
    return f"{type(cause).__name__}: {str(cause).strip().splitlines()[0][:200]}"
