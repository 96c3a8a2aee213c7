"""The shipped templates and blueprints, as short descriptions; make_templates.py writes them out.

Convention: a node is `node(kind, column, ...)`; its inputs are values, or links (node, output
number). What is not given has the default of the host. Columns go from left to right, nodes of a
column from top to bottom.
"""

from dataclasses import dataclass

HUGGING_FACE = "https://huggingface.co/Comfy-Org"
SD15 = "v1-5-pruned-emaonly-fp16.safetensors"
SAM3 = "sam3.1_multiplex_fp16.safetensors"
DEPTH_ANYTHING = "depth_anything_3_mono_large.safetensors"
Z_IMAGE = {
    "unet_name": ("z_image_turbo_bf16.safetensors", "diffusion_models"),
    "clip_name": ("qwen_3_4b.safetensors", "text_encoders"),
    "vae_name": ("ae.safetensors", "vae"),
}
WAN = f"{HUGGING_FACE}/Wan_2.1_ComfyUI_repackaged/resolve/main/split_files"
KIJAI = "https://huggingface.co/Kijai"
FEWER_STEPS = "lightx2v_I2V_14B_480p_cfg_step_distill_rank64_bf16.safetensors"
WAN_MOVE = {
    "unet_name": "Wan21-WanMove_fp8_scaled_e4m3fn_KJ.safetensors",
    "lora_name": FEWER_STEPS,
    "clip_name": "umt5_xxl_fp8_e4m3fn_scaled.safetensors",
    "vae_name": "wan_2.1_vae.safetensors",
    "vision": "clip_vision_h.safetensors",
}
LINKS = {
    WAN_MOVE["unet_name"]: (
        f"{KIJAI}/WanVideo_comfy_fp8_scaled/resolve/main/WanMove/{WAN_MOVE['unet_name']}",
        "diffusion_models",
    ),
    FEWER_STEPS: (f"{KIJAI}/WanVideo_comfy/resolve/main/Lightx2v/{FEWER_STEPS}", "loras"),
    **{
        WAN_MOVE[field]: (f"{WAN}/{folder}/{WAN_MOVE[field]}", folder)
        for field, folder in (
            ("clip_name", "text_encoders"),
            ("vae_name", "vae"),
            ("vision", "clip_vision"),
        )
    },
    SD15: (f"{HUGGING_FACE}/stable-diffusion-v1-5-archive/resolve/main/{SD15}", "checkpoints"),
    SAM3: (f"{HUGGING_FACE}/sam3.1/resolve/main/checkpoints/{SAM3}", "checkpoints"),
    DEPTH_ANYTHING: (
        f"{HUGGING_FACE}/Depth-Anything-3/resolve/main/geometry_estimation/{DEPTH_ANYTHING}",
        "geometry_estimation",
    ),
    **{
        name: (f"{HUGGING_FACE}/z_image_turbo/resolve/main/split_files/{folder}/{name}", folder)
        for name, folder in Z_IMAGE.values()
    },
}
OAK = (
    "a lone oak tree on a grassy hill, fine summer leaves, tall grass in front, soft evening "
    "light, clear blue sky, photograph"
)
GESTURES = (
    '[{"t": 0.3, "x": 0.63, "y": 0.46, "dx": 0.045, "dy": 0.01, "hold": 0.6}, '
    '{"t": 1.9, "x": 0.17, "y": 0.49, "dx": 0.03, "dy": 0.05, "hold": 0.5}, '
    '{"t": 3.2, "x": 0.735, "y": 0.36, "dx": -0.035, "dy": 0.005, "hold": 0}]'
)
SWEEP = '[{"t": 0.3, "x": 0.02, "y": 0.5, "dx": 0.96, "dy": -0.05, "hold": 0.9, "push": true}]'


@dataclass(frozen=True)
class Node:
    """A node of a template.

    room: what it shows once it has run needs so many px below it.
    """

    kind: str
    column: int
    inputs: dict
    title: str = ""
    room: int = 0


@dataclass(frozen=True)
class Template:
    """A template by the name of its file, which is what the host shows as its title.

    Its note is notes/NAME.md.

    newest: It has nodes that the oldest host does not know.
    """

    name: str
    nodes: dict[str, Node]
    newest: bool = False


@dataclass(frozen=True)
class Blueprint:
    """Nodes that are published as one, a subgraph.

    inputs: label: the inputs behind it, (node, input) each. outputs: label: (node, number).
    """

    name: str
    description: str
    nodes: dict[str, Node]
    inputs: dict[str, list[tuple[str, str]]]
    outputs: dict[str, tuple[str, int]]


def foreign_weights(template: Template) -> list[str]:
    """The kinds of its nodes that load what has to be fetched first."""
    return [n.kind for n in template.nodes.values() if set(LINKS) & _texts(n)]


def _texts(node):
    return {value for value in node.inputs.values() if isinstance(value, str)}


def node(kind, column, /, title="", room=0, **inputs) -> Node:
    return Node(kind, column, inputs, title, room)


def to_frames(column, still, spectrum, prefix, **playing):
    """The nodes from a spectrum to a saved video."""
    return {
        "play": node("SpectrumToDisplacement", column, spectrum=spectrum, **playing),
        **saved(column + 1, still, ("play", 0), prefix),
    }


def saved(column, still, motion, prefix):
    """The nodes from a displacement to a saved video."""
    return {
        "render": node("FeatureSplatRender", column, image=still, displacement=motion),
        "save": save(column + 1, ("render", 2), prefix),
    }


def save(column, video, prefix):
    return node(
        "SaveVideo", column, video=video, filename_prefix=f"image_dynamics/{prefix}", room=380
    )


def looked_at(column, spectrum, mask=None, title="Refined mask: white moves"):
    """Nodes that show what moves, and how."""
    shown = {"look": node("MotionSpectrumPreview", column + 1, spectrum=spectrum, room=400)}
    if mask is not None:
        shown["mask"] = node("MaskPreview", column, title, mask=mask, room=260)
    return shown


def painted(column):
    """Nodes of Stable Diffusion 1.5, from words to a still."""
    return {
        "checkpoint": node("CheckpointLoaderSimple", column, ckpt_name=SD15),
        "prompt": node("CLIPTextEncode", column + 1, "Prompt", clip=("checkpoint", 1), text=OAK),
        "negative": node(
            "CLIPTextEncode",
            column + 1,
            "Negative prompt",
            clip=("checkpoint", 1),
            text="people, text, watermark, blurry, painting",
        ),
        "size": node("EmptyLatentImage", column + 1, width=768, height=512),
        "paint": node(
            "KSampler",
            column + 2,
            model=("checkpoint", 0),
            positive=("prompt", 0),
            negative=("negative", 0),
            latent_image=("size", 0),
            seed=11,
            steps=25,
            cfg=7.0,
            sampler_name="dpmpp_2m",
            scheduler="karras",
        ),
        "still": node("VAEDecode", column + 2, samples=("paint", 0), vae=("checkpoint", 2)),
        "see": node("PreviewImage", column + 2, "The still", images=("still", 0), room=280),
    }


def by_z_image(column):
    """Nodes of Z-Image Turbo, from words to a still."""
    names = {field: name for field, (name, _) in Z_IMAGE.items()}
    return {
        "unet": node("UNETLoader", column, unet_name=names["unet_name"]),
        "clip": node("CLIPLoader", column, clip_name=names["clip_name"], type="lumina2"),
        "vae": node("VAELoader", column, vae_name=names["vae_name"]),
        "prompt": node("CLIPTextEncode", column + 1, "Prompt", clip=("clip", 0), text=OAK),
        "nothing": node("ConditioningZeroOut", column + 1, conditioning=("prompt", 0)),
        "size": node("EmptySD3LatentImage", column + 1, width=1216, height=832),
        "shift": node("ModelSamplingAuraFlow", column + 1, model=("unet", 0), shift=3.0),
        "paint": node(
            "KSampler",
            column + 2,
            model=("shift", 0),
            positive=("prompt", 0),
            negative=("nothing", 0),
            latent_image=("size", 0),
            seed=11,
            steps=8,
            cfg=1.0,
            sampler_name="res_multistep",
            scheduler="simple",
        ),
        "still": node("VAEDecode", column + 2, samples=("paint", 0), vae=("vae", 0)),
        "see": node("PreviewImage", column + 2, "The still", images=("still", 0), room=280),
    }


def by_wan_move(column, still, tracks, frames, size, fps):
    """Nodes of Wan-Move, from a still and tracks to a saved video without its last frame."""
    named = {field: WAN_MOVE[field] for field in WAN_MOVE}
    text = "flowers and grass sway in a gentle wind, leaves flutter, evening light, still camera"
    return {
        "unet": node("UNETLoader", column, unet_name=named["unet_name"]),
        "fewer": node(
            "LoraLoaderModelOnly", column, model=("unet", 0), lora_name=named["lora_name"]
        ),
        "shift": node("ModelSamplingSD3", column, model=("fewer", 0), shift=8.0),
        "clip": node("CLIPLoader", column, clip_name=named["clip_name"], type="wan"),
        "vae": node("VAELoader", column, vae_name=named["vae_name"]),
        "vision": node("CLIPVisionLoader", column, clip_name=named["vision"]),
        "prompt": node("CLIPTextEncode", column + 1, "Prompt", clip=("clip", 0), text=text),
        "negative": node(
            "CLIPTextEncode",
            column + 1,
            "Negative prompt",
            clip=("clip", 0),
            text="blurry, frozen, camera motion, text, watermark",
        ),
        "seen": node("CLIPVisionEncode", column + 1, clip_vision=("vision", 0), image=still),
        "wan": node(
            "WanMoveTrackToVideo",
            column + 1,
            positive=("prompt", 0),
            negative=("negative", 0),
            vae=("vae", 0),
            tracks=tracks,
            start_image=still,
            clip_vision_output=("seen", 0),
            width=size[0],
            height=size[1],
            length=frames,
        ),
        "paint": node(
            "KSampler",
            column + 2,
            model=("shift", 0),
            positive=("wan", 0),
            negative=("wan", 1),
            latent_image=("wan", 2),
            seed=1,
            steps=4,
            cfg=1.0,
            sampler_name="euler",
            scheduler="simple",
        ),
        "decode": node("VAEDecode", column + 2, samples=("paint", 0), vae=("vae", 0)),
        "loop": node(
            "ImageFromBatch",
            column + 2,
            "Without the last frame, which is the first",
            image=("decode", 0),
            length=80,
        ),
        "video": node("CreateVideo", column + 2, images=("loop", 0), fps=fps),
        "save": save(column + 3, ("video", 0), "wan_move"),
    }


EXAMPLE = {"still": node("ExampleStill", 0, room=260)}
STILL, MASK, ANCHOR, CLIP = (("still", i) for i in range(4))
MODES = "modes to poke"
ADD = "add (both move)"


def sampled(column, **inputs):
    return {"sample": node("MotionSpectrumSampler", column, image=STILL, **inputs)}


TEMPLATES = [
    Template(
        "Animate a photo",
        EXAMPLE
        | {
            "animate": node(
                "AnimateStill", 1, image=STILL, mask=MASK, kind="flower", weather="breeze"
            ),
            "save": save(2, ("animate", 0), "animated"),
        },
    ),
    Template(
        "Photo to loop",
        EXAMPLE
        | sampled(1, mask=MASK)
        | looked_at(1, ("sample", 0), ("sample", 1))
        | to_frames(2, STILL, ("sample", 0), "photo_to_loop"),
    ),
    Template(
        "Photo to loop, with an anchor",
        EXAMPLE
        | {"model": node("ElasticMotionModel", 1)}
        | sampled(1, model=("model", 0), mask=MASK, anchor=ANCHOR)
        | looked_at(2, ("sample", 0), ("sample", 1))
        | to_frames(2, STILL, ("sample", 0), "anchored"),
    ),
    Template(
        "Photo to loop, nothing painted",
        EXAMPLE
        | {"model": node("LoadMotionModel", 1)}
        | sampled(1, model=("model", 0))
        | looked_at(2, ("sample", 0), ("sample", 1), "Found to move: white")
        | to_frames(2, STILL, ("sample", 0), "learned"),
    ),
    Template(
        "Photo to loop, by words (SAM3)",
        EXAMPLE
        | {
            "sam": node("CheckpointLoaderSimple", 1, "SAM3", ckpt_name=SAM3),
            "words": node("CLIPTextEncode", 1, "What may move", clip=("sam", 1), text="flowers"),
            "detect": node(
                "SAM3_Detect",
                1,
                model=("sam", 0),
                image=STILL,
                conditioning=("words", 0),
                individual_masks=True,
            ),
        }
        | sampled(2, mask=("detect", 0))
        | looked_at(2, ("sample", 0), ("sample", 1))
        | to_frames(3, STILL, ("sample", 0), "by_words"),
        newest=True,
    ),
    Template(
        "Text to loop (Stable Diffusion 1.5)",
        painted(0)
        | sampled(3)
        | looked_at(3, ("sample", 0), ("sample", 1))
        | to_frames(4, STILL, ("sample", 0), "text_to_loop"),
    ),
    Template(
        "Text to loop (Z-Image)",
        by_z_image(0)
        | sampled(3)
        | looked_at(3, ("sample", 0), ("sample", 1))
        | to_frames(4, STILL, ("sample", 0), "text_to_loop"),
    ),
    Template(
        "Photo to poke",
        EXAMPLE
        | sampled(1, mask=MASK, kind=MODES)
        | {
            "mask": node(
                "MaskPreview", 1, "Refined mask: white moves", mask=("sample", 1), room=260
            ),
            "poke": node(
                "PokeDynamics", 2, spectrum=("sample", 0), still=STILL, gestures=GESTURES, room=300
            ),
            "met": node("PreviewAny", 2, "What the gestures met", source=("poke", 1), room=60),
            "page": node(
                "SaveInteractivePage",
                3,
                spectrum=("sample", 0),
                still=STILL,
                filename_prefix="image_dynamics/photo_to_poke",
                room=60,
            ),
        }
        | saved(3, STILL, ("poke", 0), "photo_to_poke"),
    ),
    Template(
        "Text to poke (Stable Diffusion 1.5)",
        painted(0)
        | sampled(3, kind=MODES)
        | {
            "mask": node(
                "MaskPreview", 3, "Refined mask: white moves", mask=("sample", 1), room=260
            ),
            "poke": node(
                "PokeDynamics", 4, spectrum=("sample", 0), still=STILL, gestures=SWEEP, room=300
            ),
        }
        | saved(5, STILL, ("poke", 0), "text_to_poke"),
    ),
    Template(
        "Clip to calm loop",
        EXAMPLE
        | {
            "read": node("MotionSpectrumFromVideo", 1, clip=CLIP, bands=8),
            "said": node("PreviewAny", 1, "What was read", source=("read", 3), room=120),
        }
        | looked_at(1, ("read", 0), ("read", 2), "Moving area: white moves")
        | to_frames(2, ("read", 1), ("read", 0), "clip_to_calm_loop", gain=0.7),
    ),
    Template(
        "Motion of a clip on a photo",
        EXAMPLE
        | {
            "read": node("MotionSpectrumFromVideo", 1, clip=CLIP),
            "said": node("PreviewAny", 1, "What was read", source=("read", 3), room=120),
            "put": node("MotionSpectrumTransfer", 2, spectrum=("read", 0), image=STILL, mask=MASK),
            "how": node("PreviewAny", 2, "What was put", source=("put", 2), room=120),
        }
        | looked_at(2, ("put", 0), ("put", 1))
        | to_frames(3, STILL, ("put", 0), "clip_motion"),
    ),
    Template(
        "Clip's motion, calmed band by band",
        EXAMPLE
        | {
            "read": node("MotionSpectrumFromVideo", 1, clip=CLIP),
            "edit": node(
                "MotionEdit", 2, spectrum=("read", 0), bands="0.2:1, 1:0.5, 3:0", room=230
            ),
        }
        | looked_at(2, ("edit", 0))
        | to_frames(3, ("read", 1), ("edit", 0), "calmed"),
    ),
    Template(
        "Camera and sway",
        EXAMPLE
        | sampled(1, mask=MASK)
        | {
            "camera": node("CameraMotion", 1, image=STILL, room=300),
            "both": node(
                "MotionCombine", 2, base=("sample", 0), top=("camera", 0), way=ADD, room=60
            ),
        }
        | looked_at(2, ("both", 0))
        | to_frames(3, STILL, ("both", 0), "camera_and_sway"),
    ),
    Template(
        "Camera and sway, by depth (Depth Anything 3)",
        EXAMPLE
        | {
            "da3": node("LoadDA3Model", 1, model_name=DEPTH_ANYTHING),
            "read": node("DA3Inference", 1, da3_model=("da3", 0), image=STILL),
            "depth": node("DA3Render", 1, da3_geometry=("read", 0)),
            "see": node("PreviewImage", 1, "Depth: near is white", images=("depth", 0), room=280),
        }
        | sampled(2, mask=MASK)
        | {
            "camera": node("CameraMotion", 2, image=STILL, depth=("depth", 0), room=300),
            "both": node(
                "MotionCombine", 3, base=("sample", 0), top=("camera", 0), way=ADD, room=60
            ),
        }
        | looked_at(3, ("both", 0))
        | to_frames(4, STILL, ("both", 0), "camera_by_depth"),
        newest=True,
    ),
    Template(
        "Two kinds in one photo, camera over all",
        EXAMPLE
        | {
            "flowers": node("ElasticMotionModel", 1, "Flowers", kind="flower"),
            "grass": node("ElasticMotionModel", 1, "Grass", kind="grass"),
            "first": node(
                "MotionSpectrumSampler", 2, "Flowers", image=STILL, model=("flowers", 0), mask=MASK
            ),
            "second": node(
                "MotionSpectrumSampler",
                2,
                "Grass",
                image=STILL,
                model=("grass", 0),
                mask=ANCHOR,
                amplitude=0.5,
            ),
            "regions": node(
                "MotionCombine", 3, "Regions", base=("second", 0), top=("first", 0), room=60
            ),
            "camera": node("CameraMotion", 3, image=STILL, strength=1.0, room=300),
            "both": node(
                "MotionCombine", 4, base=("regions", 0), top=("camera", 0), way=ADD, room=60
            ),
        }
        | looked_at(4, ("both", 0))
        | to_frames(5, STILL, ("both", 0), "two_kinds"),
    ),
    Template(
        "Clouds over a meadow that sways",
        {"still": node("ExampleStill", 0, example="clouds", room=260)}
        | {"sky": node("InvertMask", 0, "The sky: what does not sway", mask=MASK)}
        | sampled(1, mask=MASK)
        | {
            "flow": node(
                "FlowMotion",
                2,
                image=STILL,
                kind="clouds",
                speed=1.5,
                mask=("sky", 0),
                horizon=0.62,
                in_front=("sample", 0),
                room=300,
            ),
            "said": node("PreviewAny", 2, "What flows", source=("flow", 2), room=60),
        }
        | to_frames(3, STILL, ("flow", 0), "clouds"),
    ),
    Template(
        "A river behind reeds",
        {
            "still": node("ExampleStill", 0, "The water, painted", example="river", room=260),
            "reeds": node(
                "ExampleStill", 0, "Its reeds, painted", example="river, its reeds", room=260
            ),
            "model": node("ElasticMotionModel", 1, "Reeds", kind="reeds"),
        }
        | sampled(1, model=("model", 0), mask=("reeds", 1))
        | {
            "flow": node(
                "FlowMotion",
                2,
                image=STILL,
                kind="water",
                speed=2.5,
                mask=MASK,
                horizon=0.38,
                refine_mask=False,
                in_front=("sample", 0),
                room=300,
            ),
            "said": node("PreviewAny", 2, "What flows", source=("flow", 2), room=60),
        }
        | to_frames(3, STILL, ("flow", 0), "river"),
    ),
    Template(
        "A candle, flame, smoke and light",
        {
            "still": node("ExampleStill", 0, example="candle", room=260),
            "rising": node(
                "ExampleStill", 0, "Its smoke, painted", example="candle, its smoke", room=260
            ),
        }
        | {
            "lit": node("InvertMask", 0, "What its light reaches", mask=ANCHOR),
            "model": node("ElasticMotionModel", 1, "The flame leans", kind="flame"),
        }
        | sampled(1, model=("model", 0), mask=MASK)
        | {
            "smoke": node(
                "FlowMotion",
                2,
                "Smoke that rises",
                image=STILL,
                kind="smoke",
                speed=2.5,
                mask=("rising", 1),
                refine_mask=False,
                in_front=("sample", 0),
                room=300,
            ),
            "flow": node(
                "FlowMotion",
                3,
                "Light that flickers",
                image=STILL,
                kind="flames",
                speed=0.0,
                turbulence=0.0,
                mask=("lit", 0),
                light=0.1,
                refine_mask=False,
                in_front=("smoke", 0),
                room=300,
            ),
        }
        | to_frames(4, STILL, ("flow", 0), "candle"),
    ),
    Template(
        "Loop on the beat",
        EXAMPLE
        | {"beat": node("MotionBeat", 1, bpm=100.0, room=60)}
        | sampled(1, mask=MASK, duration=("beat", 0), amplitude=1.5)
        | {
            "play": node(
                "SpectrumToDisplacement",
                2,
                spectrum=("sample", 0),
                frames=("beat", 1),
                fps=("beat", 2),
            ),
            "envelope": node("MotionEnvelope", 2, displacement=("play", 0), bpm=100.0, room=200),
        }
        | saved(3, STILL, ("envelope", 0), "on_the_beat"),
    ),
    Template(
        "Any clip to a loop",
        EXAMPLE
        | {
            "parts": node("GetVideoComponents", 1, video=CLIP),
            "blend": node("LoopBlend", 1, frames=("parts", 0)),
            "said": node("PreviewAny", 1, "What it brought", source=("blend", 1), room=120),
            "video": node("CreateVideo", 2, images=("blend", 0), fps=("parts", 2)),
            "save": save(3, ("video", 0), "any_clip_to_loop"),
        },
    ),
    Template(
        "Photo to Wan-Move",
        EXAMPLE
        | sampled(1, mask=MASK, amplitude=4.0)
        | {
            "play": node("SpectrumToDisplacement", 1, spectrum=("sample", 0), frames=80, fps=16.0),
            "tracks": node(
                "MotionToTracks", 2, image=STILL, displacement=("play", 0), still_points=24
            ),
            "small": node(
                "ImageScale",
                2,
                "The still at the video's size",
                image=STILL,
                upscale_method="area",
                width=832,
                height=480,
                crop="center",
            ),
            "draw": node(
                "WanMoveVisualizeTracks",
                3,
                images=("small", 0),
                tracks=("tracks", 0),
                circle_size=5,
                line_width=4,
            ),
            "drawn": node("CreateVideo", 3, images=("draw", 0), fps=16.0),
            "look": save(3, ("drawn", 0), "wan_move_tracks"),
        }
        | by_wan_move(4, STILL, ("tracks", 0), ("tracks", 4), (832, 480), 16.0),
        newest=True,
    ),
    Template(
        "Four variations, pick one",
        EXAMPLE
        | {"sample": node("MotionVariations", 1, image=STILL, mask=MASK, room=320)}
        | to_frames(2, STILL, ("sample", 0), "picked"),
    ),
    Template(
        "Keep a motion and use it again",
        EXAMPLE
        | sampled(1, mask=MASK)
        | {
            "keep": node("SaveMotionSpectrum", 1, spectrum=("sample", 0), room=60),
            "load": node("LoadMotionSpectrum", 2, file="flowers in a clip.safetensors [example]"),
            "other": node("ExampleStill", 2, "Another picture", example="lanterns", room=260),
            "put": node(
                "MotionSpectrumTransfer",
                3,
                spectrum=("load", 0),
                image=("other", 0),
                mask=("other", 1),
            ),
        }
        | looked_at(3, ("put", 0), ("put", 1))
        | to_frames(4, ("other", 0), ("put", 0), "kept_motion"),
    ),
]


def parts(kind_of_spectrum="motion to play", mask=None):
    """A sampler and a renderer without the still, which comes from outside."""
    masked = {} if mask is None else {"mask": mask}
    return {
        "sample": node("MotionSpectrumSampler", 1, kind=kind_of_spectrum, **masked),
        "render": node("FeatureSplatRender", 3, displacement=("play", 0)),
    }


PLAY = {"play": node("SpectrumToDisplacement", 2, spectrum=("sample", 0))}
SWAYS = {
    "amplitude": [("sample", "amplitude")],
    "seed": [("sample", "seed")],
    "frames": [("play", "frames")],
    "fps": [("play", "fps")],
}
SEEN = {"video": ("render", 2), "refined mask": ("sample", 1)}
BLUEPRINTS = [
    Blueprint(
        "Sway a photo",
        "A photo sways in the wind, as a loop: paint what may move, or let it be recognized.",
        PLAY | parts(),
        {
            "image": [("sample", "image"), ("render", "image")],
            "mask": [("sample", "mask")],
            **SWAYS,
        },
        SEEN,
    ),
    Blueprint(
        "Sway by words",
        "What you name in a photo sways in the wind, as a loop; SAM3 finds it.",
        {
            "sam": node("CheckpointLoaderSimple", 0, "SAM3", ckpt_name=SAM3),
            "words": node("CLIPTextEncode", 0, clip=("sam", 1), text="flowers"),
            "detect": node(
                "SAM3_Detect",
                0,
                model=("sam", 0),
                conditioning=("words", 0),
                individual_masks=True,
            ),
        }
        | PLAY
        | parts(mask=("detect", 0)),
        {
            "image": [("detect", "image"), ("sample", "image"), ("render", "image")],
            "what moves": [("words", "text")],
            **SWAYS,
            "SAM3": [("sam", "ckpt_name")],
        },
        SEEN,
    ),
    Blueprint(
        "Poke a photo",
        "A photo that you pull, flick and push, and that rings.",
        {"play": node("PokeDynamics", 2, spectrum=("sample", 0), room=300)} | parts(MODES),
        {
            "image": [("sample", "image"), ("play", "still"), ("render", "image")],
            "mask": [("sample", "mask")],
            "wind": [("play", "wind")],
            "stiffness": [("play", "stiffness")],
            "damping_ratio": [("play", "damping_ratio")],
            "duration": [("play", "duration")],
        },
        SEEN,
    ),
]
