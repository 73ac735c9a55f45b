"""Smaller images: the mean over the area that a new pixel covers, as cameras and eyes do it."""

import numpy as np
import numpy.typing as npt

from flowjax_glow.data.errors import DataError
from flowjax_glow.data.source import Images

CHUNK = 4096  # images resized at a time: bounds the memory of the float copy


def square(images: Images, side: int | None, where: str) -> Images:
    """Center-crop images to squares and shrink them to `side` pixels.

    Args:
        images: uint8 (batch, height, width, channels).
        side: pixels of the new height and width; None leaves the images as they are.
        where: whom an error names.

    Returns:
        uint8 (batch, side, side, channels).

    Raises:
        DataError: when `side` is above the smaller side of the images: nothing is ever enlarged.
    """
    height, width = images.shape[1:3]
    if side is None or (height, width) == (side, side):
        return images
    if not 1 <= side <= min(height, width):
        raise DataError(
            f"{where}: expected a size of 1 to {min(height, width)}, got {side}; "
            "images are made smaller, never larger"
        )
    crop = center_crop(images, min(height, width))
    chunks = range(0, len(crop), CHUNK)
    return np.concatenate([area_resize(crop[i : i + CHUNK], side, side) for i in chunks])


def center_crop(images: Images, side: int) -> Images:
    """The middle `side` x `side` pixels of images (batch, height, width, channels)."""
    top, left = (images.shape[1] - side) // 2, (images.shape[2] - side) // 2
    return images[:, top : top + side, left : left + side]


def area_resize(images: Images, height: int, width: int) -> Images:
    """Shrink images to (height, width), each new pixel the mean of the area it covers.

    Args:
        images: uint8 (batch, old height, old width, channels), not smaller than the result.

    Returns:
        uint8 (batch, height, width, channels), rounded half up.
    """
    old_height, old_width = images.shape[1:3]
    if old_height % height or old_width % width:
        rows, columns = area_weights(old_height, height), area_weights(old_width, width)
        means = np.einsum("ih,bhwc,jw->bijc", rows, images, columns, optimize=True)
    else:
        means = block_means(images, old_height // height, old_width // width)
    # the float32 products of a flat area may end one rounding below the half
    return np.floor(means + (0.5 + 1e-4)).astype(np.uint8)


def block_means(images: Images, rows: int, columns: int) -> npt.NDArray[np.float32]:
    """Means over blocks of rows x columns pixels, which divide the images."""
    batch, height, width, channels = images.shape
    blocks = images.reshape(batch, height // rows, rows, width // columns, columns, channels)
    return blocks.mean(axis=(2, 4), dtype=np.float32)


def area_weights(old: int, new: int) -> npt.NDArray[np.float32]:
    """(new, old): the share that each old pixel has in each new one, along one axis."""
    edges = np.arange(new + 1) * (old / new)
    pixels = np.arange(old)
    overlap = np.minimum(edges[1:, None], pixels + 1) - np.maximum(edges[:-1, None], pixels)
    return (np.clip(overlap, 0, None) * (new / old)).astype(np.float32)
