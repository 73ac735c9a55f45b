"""Arrays of other levels than 0 to 255 as uint8, or a word about them."""

import numpy as np

from flowjax_glow.data.errors import DataError
from flowjax_glow.data.source import Images


def to_bytes(where: str, images: np.ndarray) -> Images:
    """uint8 as it is, and uint16 scaled to it: 0 to 65535 become 0 to 255.

    Raises:
        DataError: for every other dtype; which levels it has is nothing to guess.
    """
    if images.dtype == np.uint8:
        return images
    if images.dtype == np.uint16:
        return (images // 257).astype(np.uint8)
    raise DataError(
        f"{where}: expected dtype uint8 or uint16, got {images.dtype}{describe_range(images)}; "
        "scale to 0..255, then np.rint(images).astype(np.uint8)"
    )


def describe_range(images: np.ndarray) -> str:
    """Which value of a numeric array 0..255 cannot hold and where, or that all are within 0..1."""
    if images.dtype.kind not in "iuf" or not images.size:
        return ""
    if images.dtype.kind == "f" and images.min() >= 0 and images.max() <= 1:
        return f" from {images.min():g} to {images.max():g}"
    outside = ~((images >= 0) & (images <= 255))  # NaN compares false, so it is outside
    if not outside.any():
        return ""
    index = tuple(int(i) for i in np.unravel_index(outside.argmax(), images.shape))
    return f" with {images[index]} at index {index}"
