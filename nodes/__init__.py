"""ComfyUI adapters: declare, convert, call one function of gid_core, convert back.

Law: no mathematics here. Node ids, input names and defaults of a release never change.
"""

from comfy_api.latest import ComfyExtension

from .animate import AnimateStill
from .camera import CameraMotion
from .displacement import SpectrumToDisplacement
from .edit import MotionCombine, MotionEdit
from .envelope import MotionBeat, MotionEnvelope
from .example import ExampleStill
from .exchange import (
    MotionToGuides,
    MotionToMaps,
    MotionToTracks,
    SaveMotionMaps,
    TracksToMotion,
)
from .files import LoadMotionSpectrum, SaveMotionSpectrum
from .flow import FlowMotion
from .loop import LoopBlend
from .model import ElasticMotionModel, LoadMotionModel
from .poke import PokeDynamics, SaveInteractivePage
from .recognition import MotionMask
from .render import FeatureSplatRender
from .spectrum import (
    MotionSpectrumFromVideo,
    MotionSpectrumPreview,
    MotionSpectrumSampler,
    MotionSpectrumTransfer,
)
from .variations import MotionVariations

NODES = [
    MotionSpectrumSampler,
    SpectrumToDisplacement,
    FeatureSplatRender,
    LoopBlend,
    ElasticMotionModel,
    MotionSpectrumPreview,
    MotionSpectrumFromVideo,
    MotionSpectrumTransfer,
    SaveMotionSpectrum,
    LoadMotionSpectrum,
    PokeDynamics,
    SaveInteractivePage,
    LoadMotionModel,
    MotionMask,
    ExampleStill,
    AnimateStill,
    MotionVariations,
    MotionToTracks,
    TracksToMotion,
    MotionToGuides,
    MotionToMaps,
    SaveMotionMaps,
    MotionCombine,
    MotionEdit,
    MotionEnvelope,
    MotionBeat,
    CameraMotion,
    FlowMotion,
]


class ImageDynamics(ComfyExtension):
    async def get_node_list(self):
        return NODES
