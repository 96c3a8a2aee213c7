"""Shape annotations, checked while testing and inert otherwise.

`Float[Tensor, "b 2 h w"]` says type and shape in the signature. The test run installs jaxtyping's
import hook, which checks every call; without jaxtyping (as in most ComfyUI installs) the same
annotation means plain `Tensor`.
"""

from torch import Tensor

try:
    from jaxtyping import Bool, Complex, Float, Int, Shaped
except ModuleNotFoundError:

    class _Inert:
        def __class_getitem__(cls, item):
            return item[0]

    Bool = Complex = Float = Int = Shaped = _Inert

__all__ = ["Bool", "Complex", "Float", "Int", "Shaped", "Tensor"]
