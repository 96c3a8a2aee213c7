"""Which number means white in a picture of more than 8 bits, or in a mask.

Law: the result is in [0, 1]; what no reading explains is refused with the values that were found.

Masks of zeros and ones are common, and so are floats, and 8 bits kept in 16 or 32. White is the
smallest of 1, 255, 65535, 2^31 - 1 and 2^32 - 1 that no value exceeds.
"""

import numpy as np

WHITES = (1, 255, 65535, 2**31 - 1, 2**32 - 1)
OVERSHOOT = 0.05  # of white, by which resampled floats may leave the range
DARKEST = 1 / 8  # of white, that the brightest value of a mask reaches


def levels(values: np.ndarray, name: str) -> np.ndarray:
    """Numbers of any type as float32 in [0, 1].

    Raises:
        ValueError: For values that are not finite, negative, or too dark for any white.
    """
    values = np.asarray(values)
    if values.dtype == bool:
        return values.astype(np.float32)
    unknown = int((~np.isfinite(values)).sum())
    if unknown:
        raise ValueError(
            f"{name!r} holds {unknown} values that are NaN or infinite. Save it with values from "
            "0 to 1, or as a picture of 8 bits."
        )
    low, high = (float(value) for value in (values.min(), values.max()))
    white = next((w for w in WHITES if high <= w * (1 + OVERSHOOT)), None)
    if white is None or low < -OVERSHOOT * white or 0 < high < DARKEST * white:
        raise ValueError(
            f"{name!r} holds values from {low:.6g} to {high:.6g}: they fit neither 0 to 1, 0 to "
            "255, nor 0 to 65535. Scale them to one of these, with white as the largest."
        )
    return np.clip(values.astype(np.float64) / white, 0, 1).astype(np.float32)
