"""Models of motion, as a socket for the sampler."""

from comfy_api.latest import io

from ..gid_core.config import ANCHORS, ElasticConfig, WindConfig
from . import sockets


class ElasticMotionModel(io.ComfyNode):
    """The elastic prior: what is masked is a sheet of elastic material in turbulent wind."""

    @classmethod
    def define_schema(cls):
        elastic, wind = ElasticConfig(), WindConfig()
        return sockets.schema(
            ["wind", "sway", "physics", "cinemagraph"],
            node_id="ElasticMotionModel",
            display_name="Elastic Motion Model",
            description="How things bend and what wind blows. Needs no weights. Plug it into the "
            "Motion Spectrum Sampler; without it the sampler uses these same defaults.",
            inputs=[
                io.Float.Input(
                    "sway_hz", default=elastic.sway_hz, min=0.05, max=10.0, step=0.05,
                    tooltip="Natural frequency of the largest part, in Hz. Tall trees 0.2-0.5, small "
                    "plants 1-3. Smaller parts sway faster by themselves.",
                ),
                io.Float.Input(
                    "damping_ratio", default=elastic.damping_ratio, min=0.005, max=2.0, step=0.005,
                    tooltip="How soon ringing dies away, as a ratio: 0.04 bare branches, 0.09 in leaf, "
                    "1 does not ring at all.",
                ),
                io.Float.Input(
                    "wind_direction", default=wind.direction_deg, min=-360.0, max=360.0, step=5.0,
                    tooltip="Where the wind blows to, in degrees: 0 right, 90 up, 180 left.",
                ),
                io.Float.Input(
                    "wind_speed", default=wind.speed, min=0.01, max=20.0, step=0.05,
                    tooltip="How fast gusts travel, in picture widths per second.",
                ),
                io.Float.Input(
                    "gust_length", default=wind.gust_length, min=0.01, max=20.0, step=0.05,
                    tooltip="Length of a gust, in picture widths. Longer gusts sway more slowly.",
                ),
                io.Float.Input(
                    "gustiness", default=wind.gustiness, min=0.0, max=1.0, step=0.05,
                    tooltip="How much the wind turns: strength across the wind as a share of that "
                    "along it, 0 to 1.",
                ),
                io.Combo.Input(
                    "anchor", options=list(ANCHORS), default=elastic.anchor,
                    tooltip="What holds a part where no anchor is painted: its foot (ground), its top "
                    "(hanging), the picture's border, or nothing. Auto hangs what only the upper "
                    "border cuts off, and grounds the rest.",
                ),
            ],
            outputs=[sockets.Model.Output(display_name="model", tooltip="For the sampler.")],
        )  # fmt: skip

    @classmethod
    def execute(
        cls, sway_hz, damping_ratio, wind_direction, wind_speed, gust_length, gustiness, anchor
    ):
        from ..gid_core.elastic import ElasticPrior

        elastic = ElasticConfig(sway_hz=sway_hz, damping_ratio=damping_ratio, anchor=anchor)
        wind = WindConfig(wind_direction, wind_speed, gust_length, gustiness)
        return io.NodeOutput(ElasticPrior(elastic, wind))
