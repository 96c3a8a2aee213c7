"""Settings of the method as frozen data, with the defaults' sources beside them."""

from dataclasses import dataclass, field

MOST_BANDS = 128  # of a spectrum


@dataclass(frozen=True)
class SpectrumConfig:
    bands: int = 16  # oscillating bands, 0.2 ... 3.2 Hz over five seconds (Li et al., Sec. 4.1)
    duration_s: float = 5.0  # the bands are harmonics of 1 / duration (149 flows at 30 fps, Sec. 7)
    amplitude_pct: float = 1.0  # peak displacement, 95th percentile, in % of the longer side
    kind: str = "response"  # bands of the motion in wind, to play; or "modes", to poke

    @classmethod
    def of_clip(cls, frames: int, fps: float, amplitude_pct: float = 1.0) -> "SpectrumConfig":
        """Bands at the harmonics of a clip, as far as the defaults reach."""
        return cls(bands_of_clip(frames, fps), frames / fps, amplitude_pct)


def bands_of_clip(frames: int, fps: float) -> int:
    """How many harmonics of a clip reach 3.2 Hz, as the defaults do, below half the frame rate."""
    highest_hz = SpectrumConfig.bands / SpectrumConfig.duration_s
    return max(1, min(round(highest_hz * frames / fps), (frames - 1) // 2, MOST_BANDS))


@dataclass(frozen=True)
class WindConfig:
    """Wind in the picture plane. A unit of length is the picture's width."""

    direction_deg: float = 0.0  # 0 = towards the right, 90 = towards the top
    speed: float = 0.5  # widths per second, at which gusts travel
    gust_length: float = 0.5  # widths; longer gusts are slower
    gustiness: float = 0.5  # across-wind share of turbulence, 0 ... 1 (sigma_v / sigma_u)
    coherence_decay: float = 10.0  # c of exp(-c f d / U) across the wind (Davenport 1961)
    travel_decay: float = 1.0  # c along the wind, where gusts are nearly frozen (Taylor 1938)
    lull: float = 0.5  # how much of the wind comes and goes in gusts of 10 s and longer, 0 ... 1


@dataclass(frozen=True)
class ElasticConfig:
    """The training-free motion prior. Frequencies hold for the largest part; smaller ones are
    faster."""

    sway_hz: float = 1.0  # dominant frequency of the largest part
    damping_ratio: float = 0.09  # 0.086 measured on trees in leaf, 0.039 bare
    anchor: str = "auto"  # "auto", "ground", "hanging", "border", "none"
    modes: int = 64  # of the largest part
    longest_side: int = 160  # of the grid of elements
    edge_contrast: float = 0.1  # sigma of exp(-|grad I|^2 / sigma^2), in image units per cell
    edge_stiffness: float = 0.1  # what an edge leaves of the stiffness
    hold: float = 0.4  # stiffness of the outline where the picture shows no edge
    rooting: str = "auto"  # "one root", "each its own", "field", or "auto"
    rooted: float = 0.1  # share of a part's stiffness that is its roots', not its bending
    reach: float = 0.06  # in a field: what stands so far apart moves apart; of the longer side
    across: float = 1.0  # stiffness from side to side, relative to that from top to bottom
    parting: float = 0.08  # step of colour that makes two parts of what is painted as one; 0: none
    smallest: float = 0.002  # part that an edge can set apart, of the picture
    flutter: float = 0.2  # motion of leaves beside that of the whole (rms)
    flutter_hz: float = 2.5  # natural frequency of leaves
    flutter_damping: float = 0.15
    leaf: float = 0.05  # size of a leaf, of the longer side


ANCHORS = ("auto", "ground", "hanging", "border", "none")
ROOTINGS = ("auto", "one root", "each its own", "field")


@dataclass(frozen=True)
class FlowConfig:
    """What flows, and how."""

    kind: str = "water"  # "water", "waterfall", "clouds", "smoke", "flames"
    direction_deg: float = 0.0  # counter-clockwise, added to where the kind goes by itself
    speed_pct: float = 2.0  # % of the picture's width per second, nearest to the camera
    turbulence: float = 0.3  # speed of eddies as a share of that of the flow, rms
    light: float = 0.0  # flicker of brightness, rms; 0 is none
    horizon: float | None = None  # share of the height, from the top; None: no perspective
    duration_s: float = 5.0  # the bands of eddies and light are harmonics of 1 / duration
    longest_side: int = 160  # of the grid
    ripples_pct: float = 0.0  # how far reflections sway on water, rms, % of the width; 0 is none


@dataclass(frozen=True)
class ExtractionConfig:
    """How motion is read from a clip."""

    bands: int = 16  # oscillating bands, 0.2 ... 3.2 Hz in a window of five seconds; 0: to 3.2 Hz
    window_s: float = 5.0  # the bands are harmonics of 1 / window (Sec. 4.1); 0: the whole clip
    detrend: bool = True  # False: the paper's way
    longest_side: int = 256  # of the grid that flow is computed on (theirs: 256 x 160)
    training: bool = False  # the rules for a training set refuse; else they warn


@dataclass(frozen=True)
class ShardConfig:
    """How a training set is made of clips."""

    every: int = 10  # frames from one start frame to the next (Li et al. 2024, supplement)
    samples: int = 64  # of a shard, at least: those of a clip stay together
    longest_side: int = 512  # of the stills; motion has the grid of `extraction`
    flow: str = "dis"
    extraction: ExtractionConfig = ExtractionConfig(training=True)


@dataclass(frozen=True)
class AutoencoderConfig:
    """Of one band at a time: 4 scalars a pixel to `latent` channels at a quarter of the size."""

    latent: int = 4
    patch: int = 1  # px to a side that the first layer takes at once
    widths: tuple[int, ...] = (
        128,
        256,
        512,
    )  # each at half the size (Li et al. 2024: 128 x 1, 2, 4)
    blocks: int = 2


@dataclass(frozen=True)
class DenoiserConfig:
    """The image encoder and the U-Net."""

    bands: int = 16
    latent: int = 4
    features: int = 16  # of the still, at latent resolution (Li et al. 2024, supplement)
    encoder_widths: tuple[int, ...] = (64, 128, 256, 256, 256)  # from half the still's size down
    widths: tuple[int, ...] = (128, 512, 1024)  # Li et al. 2024: 128 x 1, 4, 8
    blocks: int = 2  # a level
    attention_from: int = 0  # level from which pixels attend to each other
    head: int = 64  # channels of an attention head
    layout: str = "coordinated"  # "coordinated", "independent", "volume"
    # Radii, in places, of means that it is shown as well; older files do not know of them.
    smoothed: tuple[int, ...] = field(default=(), metadata={"later": True})


LAYOUTS = ("coordinated", "independent", "volume")


@dataclass(frozen=True)
class MotionModelConfig:
    """A latent diffusion model of spectral volumes."""

    bands: int = 16
    duration_s: float = 5.0
    longest_side: int = 256  # of the spectra, and of the still as the network sees it
    normalization: str = "adaptive"
    autoencoder: AutoencoderConfig = AutoencoderConfig()
    denoiser: DenoiserConfig = DenoiserConfig()


@dataclass(frozen=True)
class RendererConfig:
    """The network that finishes frames; its levels have a half, a quarter, ... of the picture's
    size."""

    features: tuple[int, ...] = (64, 128, 256, 512)  # of the still, splatted (theirs: ResNet-34)
    widths: tuple[int, ...] = (96, 192, 384, 512)  # of the decoder
    blocks: int = 2  # a level


RENDERERS = {
    "tiny": RendererConfig((8, 12, 16), (12, 16, 24), 1),
    "small": RendererConfig((12, 24, 32), (16, 32, 48), 1),
    "paper": RendererConfig(),
}


@dataclass(frozen=True)
class SamplingConfig:
    """How the learned model is asked."""

    steps: int = 20  # the fewest measured within 3 % of 250 of DDIM (docs/benchmarks.md)
    sampler: str = "dpmpp_2m"
    guidance: float = 0.0  # w of (1 + w) told - w untold (Li et al. 2024: 1.75)
    loop_strength: float = 0.0  # u of loop guidance (Li et al. 2024: 200)
    loop_s: float = 5.0  # the length of the loop that it closes
    repeats: int = 1  # of a step, where a guide works (Li et al. 2024: 2)
    evened: bool = True  # as strong everywhere as the image encoder expects (not in the paper)
    loop_rule: str = "fast"  # "paper": with the gradient through the denoiser; LOOP_RULES


PRESETS = {
    "tiny": MotionModelConfig(
        longest_side=64,
        autoencoder=AutoencoderConfig(patch=2, widths=(16, 24), blocks=1),
        denoiser=DenoiserConfig(
            encoder_widths=(16, 24, 32), widths=(24, 32), blocks=1, attention_from=9, head=16
        ),
    ),
    "small": MotionModelConfig(
        longest_side=128,
        autoencoder=AutoencoderConfig(patch=2, widths=(32, 64), blocks=1),
        denoiser=DenoiserConfig(
            encoder_widths=(32, 64, 128, 160),
            widths=(48, 96, 128),
            blocks=1,
            attention_from=1,
            head=32,
        ),
    ),
    "paper": MotionModelConfig(),
}
