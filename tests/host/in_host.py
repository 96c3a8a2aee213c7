"""A ComfyUI without its server that runs prompts one after another; run by the host's Python.

    python in_host.py HOST PACK WORK

Every line on standard input is a JSON object, answered by one on standard output. A request
{"prompt": API graph, "interrupt": {"node": id, "after": s}, "memory": {"node": id, "more_mb": m},
"quiet_s": s} is answered by the result of its run. A memory limit with "network", the name of a
class, begins with the next call of such a network instead of with the node. Logs and prints go to
standard error.

Law: the pack is loaded by its path, as the host does it. Its root never is on `sys.path`.
"""

import asyncio
import dataclasses
import inspect
import io
import json
import logging
import os
import sys
import threading
import time

import numpy as np

FOLDERS = ("output", "temp", "input", "user")
# The host's own nodes that the tests use.
EXTRAS = (
    *("nodes_video.py", "nodes_mask.py", "nodes_preview_any.py", "nodes_primitive.py"),
    *("nodes_images.py", "nodes_model_advanced.py", "nodes_sd3.py"),
)
LATER = (
    "nodes_wanmove.py",
    "nodes_sam3.py",
    "nodes_depth_anything_3.py",
)  # those that older hosts do not have


class Server:
    """What the executor, progress bars and nodes touch of the real server."""

    def __init__(self):
        self.client_id = None
        self.last_node_id = None
        self.last_prompt_id = None
        self.sockets_metadata = {}
        self.sent = []
        self.started = {}  # node id: threading.Event, set when the node starts
        self.budgets = {}  # node id: the memory that it and later nodes may use

    def send_sync(self, event, data, sid=None):
        self.sent.append((event, data))
        if event == "executing" and data.get("node") in self.started:
            self.started[data["node"]].set()
        if event == "executing" and data.get("node") in self.budgets:
            budget = self.budgets[data["node"]]
            if budget.get("network"):
                _when_called(budget["network"], lambda: _limit_memory(budget["more_mb"]))
            else:
                _limit_memory(budget["more_mb"])

    def send_progress_text(self, text, node_id, sid=None):
        self.sent.append(("progress_text", {"text": text, "node": node_id}))

    def queue_updated(self):
        pass


class Host:
    """One ComfyUI. There is one in a process: the host keeps its state in modules."""

    def __init__(self, folder: str, work: str):
        self.folder = os.path.realpath(folder)
        sys.path[0] = self.folder  # in place of this script's folder
        # Arguments first: importing comfy.model_management chooses the device.
        import comfy.cli_args

        comfy.cli_args.args.cpu = True
        import folder_paths
        import utils.extra_config  # noqa: F401  # later, comfy/utils.py could be found as `utils`

        for kind in FOLDERS:
            os.makedirs(os.path.join(work, kind), exist_ok=True)
            getattr(folder_paths, f"set_{kind}_directory")(os.path.join(work, kind))
        extensions = folder_paths.supported_pt_extensions
        folder_paths.folder_names_and_paths["checkpoints"] = ([work], extensions)
        # As extra_model_paths.yaml would.
        folder_paths.add_model_folder_path("gid", os.path.join(work, "gid"))

        import comfy.model_management
        import comfy.utils
        import comfyui_version
        import execution
        import server as server_module

        import nodes

        self.version = comfyui_version.__version__
        self.manage, self.nodes, self.execution = comfy.model_management, nodes, execution
        self.server = server_module.PromptServer.instance = Server()
        try:
            from app.node_replace_manager import NodeReplaceManager
        except ImportError:  # older hosts replace no nodes
            pass
        else:
            self.server.node_replace_manager = NodeReplaceManager()
        comfy.utils.set_progress_bar_global_hook(self._progress)
        # Hosts since 0.4 take a dictionary, older ones a size.
        takes = inspect.signature(execution.PromptExecutor.__init__).parameters
        sizes = {"lru": 0, "ram": 0, "ram_inactive": 0}
        cache = {"cache_args": sizes} if "cache_args" in takes else {"cache_size": 0}
        self.executor = execution.PromptExecutor(
            self.server, cache_type=execution.CacheType.CLASSIC, **cache
        )

    def load(self, pack: str) -> dict:
        """Load the host's nodes and the pack; describe the pack's nodes."""
        warnings = _Warnings()
        logging.getLogger().addHandler(warnings)

        async def loading():
            init = getattr(self.nodes, "init_public_apis", None)
            if init is not None:
                await init()
            folder = os.path.join(self.folder, "comfy_extras")
            for name in [*EXTRAS, *(n for n in LATER if os.path.exists(f"{folder}/{n}"))]:
                path = os.path.join(folder, name)
                assert await self.nodes.load_custom_node(path, module_parent="comfy_extras"), name
            own = set(self.nodes.NODE_CLASS_MAPPINGS)
            warnings.lines.clear()
            begun = time.process_time()
            loaded = await self.nodes.load_custom_node(pack, own, module_parent="custom_nodes")
            return own, loaded, time.process_time() - begun

        own, loaded, seconds = asyncio.run(loading())
        logging.getLogger().removeHandler(warnings)
        ours = {k: v for k, v in self.nodes.NODE_CLASS_MAPPINGS.items() if k not in own}
        self.nodes.NODE_CLASS_MAPPINGS |= {
            kind.__name__: kind
            for kind in (Given, GivenTracks, Kept, Probed, ReadByATI, UntrainedFlow)
        }
        from comfy_api.latest import io as schema_io

        if loaded:
            self.patience = sys.modules[pack.replace(".", "_x_") + ".nodes.host"]
        return {
            "version": self.version,
            "loaded": loaded,
            "load_s": seconds,
            "warnings": warnings.lines,
            "root_on_path": os.path.realpath(pack) in map(os.path.realpath, sys.path),
            "has_aliases": "search_aliases" in schema_io.Schema.__dataclass_fields__,
            "nodes": {name: node.GET_NODE_INFO_V1() for name, node in ours.items()},
        }

    def run(
        self,
        prompt: dict,
        interrupt: dict | None = None,
        memory: dict | None = None,
        quiet_s: float = 1.5,
    ) -> dict:
        """Validate and execute one prompt with nothing cached; its result, in plain JSON."""
        self.patience.QUIET_S = quiet_s
        self.server.sent.clear()
        self.server.started.clear()
        self.executor.reset()
        valid, error, outputs, node_errors = asyncio.run(
            self.execution.validate_prompt("prompt", prompt, None)
        )
        if not valid:
            return {"valid": False, "invalid": error, "node_errors": node_errors}
        stopped = _Interrupt(self, **interrupt) if interrupt else None
        begun, cpu = time.monotonic(), time.process_time()
        extra = {"client_id": "tests", "extra_pnginfo": {"workflow": {"named": "by the tests"}}}
        self.server.budgets = {memory["node"]: memory} if memory else {}
        try:
            self.executor.execute(prompt, "prompt", extra, outputs)
        finally:
            if memory:
                _limit_memory(None)
        ended = time.monotonic()
        if stopped:
            stopped.over = True
        events = dict(self.executor.status_messages)
        progress = [data for event, data in self.server.sent if event == "progress"]
        return {
            "valid": True,
            "node_errors": node_errors,  # of outputs that cannot run, beside others that can
            "success": self.executor.success,
            "error": events.get("execution_error"),
            "interrupted": "execution_interrupted" in events,
            "stopped_after": stopped and stopped.at and ended - stopped.at,
            "progress_after": stopped
            and stopped.at
            and sum(p["at"] > stopped.at for p in progress),
            "seconds": ended - begun,
            "cpu_s": time.process_time() - cpu,
            "outputs": self.executor.history_result["outputs"] if self.executor.success else {},
            "progress": progress,
            "told": [data for event, data in self.server.sent if event == "progress_text"],
            "peak_mb": _peak_mb(),
        }

    def _progress(self, value, total, preview, prompt_id=None, node_id=None):
        """The hook for progress bars that the host's main script installs."""
        from comfy_execution.utils import get_executing_context

        context = get_executing_context()
        node_id = context.node_id if context is not None and node_id is None else node_id
        self.manage.throw_exception_if_processing_interrupted()
        done = {"value": value, "max": total, "node": node_id, "at": time.monotonic()}
        self.server.send_sync("progress", done)


class _Interrupt:
    """Cancels a run, seconds after a node has started; `at` is when."""

    def __init__(self, host: Host, node: str, after: float):
        self.at, self.over = None, False
        started = host.server.started[node] = threading.Event()

        def press():
            if started.wait(60) and not self.over:
                time.sleep(after)
            if started.is_set() and not self.over:
                self.at = time.monotonic()
                host.nodes.interrupt_processing(True)

        threading.Thread(target=press, daemon=True).start()


class _Warnings(logging.Handler):
    """Collects warnings and errors of the log."""

    def __init__(self):
        super().__init__(logging.WARNING)
        self.lines = []

    def emit(self, record):
        self.lines.append(record.getMessage())


class Given:
    """A .npy file as IMAGE and as MASK, with whatever values it has."""

    RETURN_TYPES, FUNCTION, CATEGORY = ("IMAGE", "MASK"), "load", "tests"

    @classmethod
    def INPUT_TYPES(cls):
        return {"required": {"file": ("STRING", {})}}

    def load(self, file):
        import torch

        value = torch.from_numpy(np.load(file))
        return value, value


class GivenTracks:
    """An .npz file as TRACKS, with whatever it has."""

    RETURN_TYPES, FUNCTION, CATEGORY = ("TRACKS",), "load", "tests"

    @classmethod
    def INPUT_TYPES(cls):
        return {"required": {"file": ("STRING", {})}}

    def load(self, file):
        import torch

        return ({name: torch.from_numpy(value) for name, value in np.load(file).items()},)


class Kept:
    """Anything to an .npz file: a tensor or number as `value`, others by their fields or keys."""

    RETURN_TYPES, FUNCTION, CATEGORY, OUTPUT_NODE = (), "save", "tests", True

    @classmethod
    def INPUT_TYPES(cls):
        return {"required": {"value": ("*", {}), "file": ("STRING", {})}}

    @classmethod
    def VALIDATE_INPUTS(cls, input_types):
        return True

    def save(self, value, file):
        fields = vars(value) if dataclasses.is_dataclass(value) else value
        fields = fields if isinstance(fields, dict) else {"value": value}
        np.savez(file, **{k: np.asarray(v) for k, v in fields.items() if v is not None})
        return {"ui": {"files": [file]}}


class ReadByATI:
    """Tracks as the host's WanTrackToVideo reads them of a text: (x, y) in px, and visibility."""

    RETURN_TYPES, FUNCTION, CATEGORY = ("*", "*"), "read", "tests"

    @classmethod
    def INPUT_TYPES(cls):
        sizes = {name: ("INT", {}) for name in ("width", "height", "length")}
        return {"required": {"text": ("STRING", {"forceInput": True}), **sizes}}

    def read(self, text, width, height, length):
        import torch
        from comfy_extras.nodes_wan import pad_pts, parse_json_tracks, process_tracks

        tracks = np.stack([pad_pts(track) for track in parse_json_tracks(text)])
        read = process_tracks(tracks, (width, height), length - 1)
        middle = torch.tensor([width, height]) / 2
        return read[..., 1:3] * min(width, height) / 2 + middle, (read[..., 3] + 1) / 2


class UntrainedFlow:
    """OPTICAL_FLOW as the host's loader makes it, of RAFT with random weights."""

    RETURN_TYPES, FUNCTION, CATEGORY = ("OPTICAL_FLOW",), "make", "tests"

    @classmethod
    def INPUT_TYPES(cls):
        return {"required": {}}

    def make(self):
        import comfy.model_patcher
        import torch
        from torchvision.models.optical_flow import raft_large

        torch.manual_seed(0)
        cpu = torch.device("cpu")
        model = raft_large(weights=None, progress=False).eval()
        return (comfy.model_patcher.ModelPatcher(model, load_device=cpu, offload_device=cpu),)


class Probed:
    """All that a VIDEO answers, as JSON, and its files, written into a folder."""

    RETURN_TYPES, FUNCTION, CATEGORY, OUTPUT_NODE = (), "probe", "tests", True

    @classmethod
    def INPUT_TYPES(cls):
        return {"required": {"video": ("VIDEO", {}), "folder": ("STRING", {})}}

    def probe(self, video, folder):
        components = video.get_components()
        trims = {}
        for name, arguments in {
            "middle": (0.5, 0.5, False),
            "rest": (0.5, 0, False),
            "last": (-0.25, 0, False),
            "too long": (0.5, 60.0, False),
            "too long, strict": (0.5, 60.0, True),
            "past the end": (60.0, 1.0, False),
            "none": (None, None),
        }.items():
            part = video.as_trimmed(*arguments)
            trims[name] = part and {
                "frames": part.get_frame_count(),
                "duration": part.get_duration(),
                "first": _index_of(part.get_components().images[0], components.images),
            }
        buffer = io.BytesIO()
        video.save_to(buffer)
        with open(os.path.join(folder, "buffer.mp4"), "wb") as file:
            file.write(buffer.getvalue())
        video.save_to(os.path.join(folder, "path.mp4"))
        video.as_trimmed(0.5, 0.5).save_to(os.path.join(folder, "trimmed.mp4"))
        video.save_to(os.path.join(folder, "small.mp4"), metadata={"said": {"by": "us"}}, crf=40)
        answers = {
            "dimensions": video.get_dimensions(),
            "frame_count": video.get_frame_count(),
            "frame_rate": str(video.get_frame_rate()),
            "duration": video.get_duration(),
            "container": video.get_container_format(),
            "components": [list(components.images.shape), str(components.frame_rate)],
            "trims": trims,
        }
        return {"ui": {"answers": [json.dumps(answers)]}}


def _when_called(network, work):
    """Run `work` when a network of that class is called next."""
    from torch.nn.modules.module import register_module_forward_pre_hook

    def hook(module, inputs):
        if type(module).__name__ == network:
            handle.remove()
            work()

    handle = register_module_forward_pre_hook(hook)


def _limit_memory(more_mb):
    """Limit this process to that much more address space than now; None lifts the limit. Linux."""
    import resource

    limit = hard = resource.getrlimit(resource.RLIMIT_AS)[1]
    if more_mb is not None:
        with open("/proc/self/statm") as file:
            have = int(file.read().split()[0]) * resource.getpagesize()
        limit = have + more_mb * 2**20
    resource.setrlimit(resource.RLIMIT_AS, (limit, hard))


def _peak_mb():
    """Peak memory of this process, where the system counts it."""
    if sys.platform == "win32":
        return None
    import resource

    unit = 1024**2 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / unit


def _index_of(frame, frames):
    """Index of the frame that equals this one, bit for bit."""
    return [bool((frame == other).all()) for other in frames].index(True)


def main():
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # what the host prints must not get between the answers
    folder, pack, work = sys.argv[1:]
    host = Host(folder, work)
    logging.getLogger("gid").setLevel(logging.INFO)  # as the host's main script does for all
    hello = host.load(pack)
    requests = (json.loads(line) for line in sys.stdin)
    for answer in _answers(host, hello, requests):
        answers.write(json.dumps(answer, default=str) + "\n")
        answers.flush()


def _answers(host, hello, requests):
    yield hello
    for request in requests:
        yield host.run(**request)


if __name__ == "__main__":
    main()
