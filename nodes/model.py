"""Nodes that choose the motion model: what the sampler draws its spectra from."""

from comfy_api.latest import io

from ..gid_core.config import ANCHORS, ElasticConfig, SamplingConfig, WindConfig
from ..gid_core.diffusion.guidance import LOOP_RULES
from ..gid_core.diffusion.sampling import SAMPLERS
from ..gid_core.elastic import kinds
from . import aliases, networks, sockets


class ElasticMotionModel(io.ComfyNode):
    """The elastic prior: the masked area is an elastic sheet in turbulent wind."""

    @classmethod
    def define_schema(cls):
        elastic, wind = ElasticConfig(), WindConfig()
        return sockets.schema(
            ["wind", "breeze", "sway", "tree", "physics", "cinemagraph", *aliases.SWAY],
            node_id="ElasticMotionModel",
            display_name="Elastic Motion Model",
            description="How things bend and what wind blows. Needs no weights. Plug it into the "
            "Motion Spectrum Sampler; without it the sampler uses these same defaults.",
            inputs=[
                io.Float.Input(
                    "sway_hz",
                    default=elastic.sway_hz,
                    min=0.05,
                    max=10.0,
                    step=0.05,
                    tooltip="Natural frequency of the largest part, in Hz. Tall trees 0.2-0.5, "
                    "small plants 1-3. Smaller parts sway faster by themselves.",
                ),
                io.Float.Input(
                    "damping_ratio",
                    default=elastic.damping_ratio,
                    min=0.005,
                    max=2.0,
                    step=0.005,
                    tooltip="How soon ringing dies away, as a ratio: 0.04 bare branches, 0.09 in "
                    "leaf, 1 does not ring at all.",
                ),
                io.Float.Input(
                    "wind_direction",
                    default=wind.direction_deg,
                    min=-360.0,
                    max=360.0,
                    step=5.0,
                    tooltip="Where the wind blows to, in degrees: 0 right, 90 up, 180 left.",
                ),
                io.Float.Input(
                    "wind_speed",
                    default=wind.speed,
                    min=0.01,
                    max=20.0,
                    step=0.05,
                    tooltip="How fast gusts travel, in picture widths per second.",
                ),
                io.Float.Input(
                    "gust_length",
                    default=wind.gust_length,
                    min=0.01,
                    max=20.0,
                    step=0.05,
                    tooltip="Length of a gust, in picture widths. Longer gusts sway more slowly.",
                ),
                io.Float.Input(
                    "gustiness",
                    default=wind.gustiness,
                    min=0.0,
                    max=1.0,
                    step=0.05,
                    tooltip="How much the wind turns: strength across the wind as a share of that "
                    "along it, 0 to 1.",
                ),
                io.Combo.Input(
                    "anchor",
                    options=list(ANCHORS),
                    default=elastic.anchor,
                    tooltip="What holds a part where no anchor is painted: its foot (ground), its "
                    "top (hanging), the picture's border, or nothing. Auto hangs what only the "
                    "upper border cuts off, and grounds the rest.",
                ),
                io.Combo.Input(
                    "kind",
                    options=[kinds.CUSTOM, *kinds.KINDS],
                    default=kinds.CUSTOM,
                    optional=True,
                    tooltip="What it is: sets how it sways, is held and flutters, in place of "
                    "sway_hz, damping_ratio and anchor. Custom: as those say.",
                ),
                io.Combo.Input(
                    "weather",
                    options=[kinds.CUSTOM, *kinds.WEATHER],
                    default=kinds.CUSTOM,
                    optional=True,
                    tooltip="How the wind blows: sets its speed and gusts, and how far things move "
                    "beside the sampler's amplitude, which is that of a breeze. Custom: as "
                    "wind_speed, gust_length and gustiness say.",
                ),
            ],
            outputs=[sockets.Model.Output(display_name="model", tooltip="For the sampler.")],
        )

    @classmethod
    def execute(
        cls,
        sway_hz,
        damping_ratio,
        wind_direction,
        wind_speed,
        gust_length,
        gustiness,
        anchor,
        kind=kinds.CUSTOM,
        weather=kinds.CUSTOM,
    ):
        from ..gid_core.elastic.prior import ElasticPrior

        elastic = ElasticConfig(sway_hz=sway_hz, damping_ratio=damping_ratio, anchor=anchor)
        wind = WindConfig(wind_direction, wind_speed, gust_length, gustiness)
        return io.NodeOutput(kinds.prior(kind, weather, ElasticPrior(elastic, wind)))


class LoadMotionModel(io.ComfyNode):
    """The latent diffusion model: it predicts how what sways would move."""

    @classmethod
    def define_schema(cls):
        defaults, names = SamplingConfig(), networks.model_files()
        return sockets.schema(
            ["learned motion", "diffusion", "motion prior", "checkpoint"],
            node_id="LoadMotionModel",
            display_name="Load Motion Model",
            description="A learned model for the Motion Spectrum Sampler: it samples a plausible "
            "motion of what is painted, or, with no mask, of what is recognized as swaying.",
            inputs=[
                io.Combo.Input(
                    "weights",
                    options=[*names],
                    default=next(iter(names), ""),
                    tooltip="The model that came with Image Dynamics, or safetensors in "
                    "models/gid.",
                ),
                io.Int.Input(
                    "steps",
                    default=defaults.steps,
                    min=1,
                    max=1000,
                    tooltip="Steps of sampling: more are finer and slower.",
                ),
                io.Combo.Input(
                    "sampler",
                    options=list(SAMPLERS),
                    default=defaults.sampler,
                    tooltip="How steps are taken. dpmpp_2m needs the fewest; ddim is the paper's; "
                    "heun takes twice the time a step.",
                ),
                io.Float.Input(
                    "guidance",
                    default=defaults.guidance,
                    min=0.0,
                    max=20.0,
                    step=0.25,
                    tooltip="How much more the still counts than what moves in general. 0 is plain "
                    "and twice as fast; the paper has 1.75.",
                ),
                io.Float.Input(
                    "loop_guidance",
                    default=defaults.loop_strength,
                    min=0.0,
                    max=1e5,
                    step=0.01,
                    tooltip="Guides sampling towards a loop of loop_seconds: 50 to 800 by the rule "
                    "fast, 0.02 to 0.2 by the paper's. Needed only where that is not the sampler's "
                    "duration, whose frequencies close by themselves.",
                ),
                io.Float.Input(
                    "loop_seconds",
                    default=defaults.loop_s,
                    min=0.1,
                    max=600.0,
                    step=0.1,
                    tooltip="Length of the loop that loop_guidance works towards, in seconds.",
                ),
                io.Combo.Input(
                    "precision",
                    options=networks.PRECISIONS,
                    default=networks.PRECISIONS[0],
                    tooltip="What the networks compute in. Less than float32 saves memory on a GPU "
                    "and changes a seed's motion a little.",
                ),
                io.Combo.Input(
                    "loop_rule",
                    options=list(LOOP_RULES),
                    default=defaults.loop_rule,
                    optional=True,
                    tooltip="How loop_guidance works. paper: with the gradient through the whole "
                    "network, in three times the time. fast: through the decoder alone.",
                ),
                io.Int.Input(
                    "loop_repeats",
                    default=defaults.repeats,
                    min=1,
                    max=10,
                    optional=True,
                    tooltip="How often every step is taken, with fresh noise in between, so that "
                    "loop_guidance works again. The paper has 2.",
                ),
            ],
            outputs=[sockets.Model.Output(display_name="model", tooltip="For the sampler.")],
        )

    @classmethod
    def fingerprint_inputs(cls, weights, **others):
        state = networks.file_state(networks.model_files().get(weights))
        return (weights, state, tuple(sorted(others.items())))

    @classmethod
    def execute(
        cls,
        weights,
        steps,
        sampler,
        guidance,
        loop_guidance,
        loop_seconds,
        precision,
        loop_rule=SamplingConfig().loop_rule,
        loop_repeats=SamplingConfig().repeats,
    ):
        from ..gid_core.diffusion.motion_model import load_model

        path = networks.chosen(networks.model_files(), weights)
        sampling = SamplingConfig(
            steps,
            sampler,
            guidance,
            loop_guidance,
            loop_seconds,
            repeats=loop_repeats,
            loop_rule=loop_rule,
        )
        return io.NodeOutput(networks.hosted(load_model(path), precision, sampling))
