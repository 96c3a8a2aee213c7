"""Where a ComfyUI is, and how to talk to one: as a process that runs prompts, or as a server.

Convention: looked for in COMFYUI_PATH, then ~/comfy/ComfyUI (where comfy-cli puts it), then beside
the pack when that sits in custom_nodes/. Its Python is COMFYUI_PYTHON, else the host's own .venv or
venv, else this one: whichever first imports what the host requires. Where COMFYUI_FLOOR_PATH or
~/comfy/ComfyUI-0.3.64 holds the oldest host that is supported, that one is tested too.
"""

import functools
import json
import os
import queue
import re
import socket
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.parse
import urllib.request
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import pytest

PACK = Path(__file__).absolute().parents[2]
IN_HOST = Path(__file__).with_name("in_host.py")
NAME = "image-dynamics"  # the folder in custom_nodes that a server finds the pack in
NEEDED = "import aiohttp, av, einops, PIL, psutil, safetensors, scipy, yaml, torch, torchsde"
START_S = 300  # a host on a busy machine


@dataclass(frozen=True)
class Install:
    """A ComfyUI on disk."""

    folder: Path
    version: str

    @property
    def is_old(self) -> bool:
        """Whether SaveVideo has its format and codec as two plain choices."""
        return self.version.startswith("0.3.")


def installs() -> list[Install]:
    """The host, and the oldest one that is supported, as far as they are found."""
    home = Path.home() / "comfy"
    wanted = os.environ.get("COMFYUI_PATH")
    beside = [PACK.parent.parent] if PACK.parent.name == "custom_nodes" else []
    hosts = [Path(wanted)] if wanted else [home / "ComfyUI", *beside]
    floors = [Path(os.environ.get("COMFYUI_FLOOR_PATH") or home / "ComfyUI-0.3.64")]
    found = []
    for places in (hosts, floors):
        found += [install for p in places if (install := _install(p)) and install not in found][:1]
    return found if any(_install(p) for p in hosts) else []


def _install(folder: Path) -> Install | None:
    folder = folder.expanduser()
    if not (folder / "main.py").is_file() or not (folder / "comfyui_version.py").is_file():
        return None
    text = (folder / "comfyui_version.py").read_text()
    return Install(folder, re.search(r"""__version__\s*=\s*["'](.+?)["']""", text)[1])


FOUND = installs()
IDS = [install.version for install in FOUND] or ["none"]
# For laws that do not depend on the host. Every node also runs in every host, in other tests.
newest_only = pytest.mark.parametrize("host", FOUND[:1] or [None], ids=IDS[:1], indirect=True)


@functools.cache
def python() -> str | None:
    """The first Python that imports what a host requires; None if there is none, or no host."""
    candidates = [os.environ.get("COMFYUI_PYTHON")]
    for install in FOUND:
        for venv in (".venv", "venv"):
            candidates += [install.folder / venv / "bin/python"]
            candidates += [install.folder / venv / "Scripts/python.exe"]
    for candidate in [*candidates, sys.executable] if FOUND else []:
        if candidate and Path(candidate).exists():
            tried = subprocess.run([candidate, "-c", NEEDED], capture_output=True, cwd=Path.home())
            if tried.returncode == 0:
                return str(candidate)
    return None


def newest_page() -> Path | None:
    """A newer page for the host: what `pip install --target ~/comfy/frontend
    comfyui-frontend-package` brings, or COMFYUI_FRONTEND_PATH; None without."""
    home = Path.home() / "comfy/frontend"
    root = Path(os.environ.get("COMFYUI_FRONTEND_PATH") or home / "comfyui_frontend_package/static")
    return root if (root / "index.html").is_file() else None


def _environment():
    """This process's, without what would put the pack's root or warning filters into the host."""
    return {k: v for k, v in os.environ.items() if k not in ("PYTHONPATH", "PYTHONWARNINGS")}


class Host:
    """One ComfyUI in a process of its own. `hello` says how loading the pack went."""

    def __init__(self, install: Install, work: Path, pack: Path = PACK):
        self.install, self.work = install, work
        (work / "input").mkdir(parents=True)
        self._log = (work / "log.txt").open("w")
        self._process = subprocess.Popen(
            [python(), IN_HOST, install.folder, pack, work],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._log,
            text=True,
            cwd=work,
            env=_environment(),
        )
        self._answers: queue.Queue = queue.Queue()
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()
        self._hello = None

    @property
    def hello(self) -> dict:
        if self._hello is None:
            self._hello = self._answer(START_S)
        return self._hello

    def run(
        self,
        prompt: dict,
        interrupt: dict | None = None,
        limit_s: float = 240,
        memory: dict | None = None,
        quiet_s: float = 1.5,
    ) -> dict:
        """The result of an API graph.

        Args:
            interrupt: A node, and the seconds after its start at which the run is cancelled.
            memory: A node from whose start on the process may use only so many MB more.
            quiet_s: How long a rendering runs before it says how long it will take.
        """
        assert self.hello["loaded"], self.hello["warnings"]
        request = {
            "prompt": for_host(prompt, self.install),
            "interrupt": interrupt,
            "memory": memory,
            "quiet_s": quiet_s,
        }
        with suppress(OSError):  # a dead host does not answer, which `_answer` reports
            self._process.stdin.write(json.dumps(request) + "\n")
            self._process.stdin.flush()
        return self._answer(limit_s)

    def folder(self, kind: str) -> Path:
        return self.work / kind

    def log(self) -> str:
        return (self.work / "log.txt").read_text()

    def close(self) -> None:
        self._process.kill()
        self._process.wait()
        self._reader.join(20)
        with suppress(OSError):
            self._process.stdin.close()
        self._process.stdout.close()
        self._log.close()

    def _read(self):
        for line in self._process.stdout:
            self._answers.put(json.loads(line))
        self._answers.put(None)

    def _answer(self, limit_s):
        try:
            answer = self._answers.get(timeout=limit_s)
        except queue.Empty:
            self._process.kill()
            answer = self._answers.get()
        if answer is None:
            self._answers.put(None)  # for whoever asks next
            raise RuntimeError(
                f"The host died or took too long. Its log ends:\n{self.log()[-3000:]}"
            )
        return answer


def for_host(prompt: dict, install: Install) -> dict:
    """A graph as that host expects it: old hosts have format and codec as two plain choices."""
    if not install.is_old:
        return prompt
    result = {}
    for name, node in prompt.items():
        inputs = dict(node["inputs"])
        if node["class_type"] == "SaveVideo":
            inputs["codec"] = inputs.get("format.codec", inputs.get("codec", "auto"))
            inputs = {k: v for k, v in inputs.items() if "." not in k}
        result[name] = {**node, "inputs": inputs}
    return result


class Server:
    """The real server with the pack in its custom_nodes, on a free port, in a folder of its own.

    The page it serves is its own, or that of a folder.
    """

    def __init__(self, install: Install, base: Path, page: Path | None = None):
        self.base = base
        (base / "custom_nodes").mkdir(parents=True)
        for name in ("models/checkpoints", "input", "output", "user"):
            (base / name).mkdir(parents=True)
        (base / "custom_nodes" / NAME).symlink_to(PACK, target_is_directory=True)
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.url = f"http://127.0.0.1:{free.getsockname()[1]}"
        port = self.url.rpartition(":")[2]
        self._log = (base / "log.txt").open("w")
        flags = "--cpu --listen 127.0.0.1 --disable-auto-launch --disable-api-nodes"
        self._process = subprocess.Popen(
            [
                *(python(), "main.py", *flags.split(), "--port", port, "--base-directory", base),
                *("--database-url", "sqlite:///:memory:"),
                *(("--front-end-root", page) if page else ()),
            ],
            stdout=self._log,
            stderr=subprocess.STDOUT,
            cwd=install.folder,
            env=_environment(),
        )

    def wait(self) -> None:
        """Until it answers.

        Raises:
            RuntimeError: If it ends first, or takes more than START_S.
        """
        until = time.monotonic() + START_S
        while time.monotonic() < until and self._process.poll() is None:
            try:
                self.get("/system_stats")
                return
            except urllib.error.URLError:
                time.sleep(0.3)
        raise RuntimeError(f"The server did not start. Its log ends:\n{self.log()[-3000:]}")

    def get(self, path: str) -> tuple[str, bytes]:
        """(content type, body)."""
        quoted = self.url + urllib.parse.quote(path, safe="/?&=")
        with urllib.request.urlopen(quoted, timeout=30) as answer:
            return answer.headers.get_content_type(), answer.read()

    def post(self, path: str, value) -> bytes:
        request = urllib.request.Request(
            self.url + path, json.dumps(value).encode(), {"Content-Type": "application/json"}
        )
        with urllib.request.urlopen(request, timeout=30) as answer:
            return answer.read()

    def log(self) -> str:
        return (self.base / "log.txt").read_text()

    def close(self) -> None:
        self._process.terminate()
        try:
            self._process.wait(20)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._log.close()
