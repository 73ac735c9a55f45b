"""One image file to one square of pixels, whatever its size, mode and number of frames."""

import io
import os
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from flowjax_glow.data.errors import DataError

Picture = Any  # a PIL.Image.Image; Pillow is optional and imported where it is used

SUFFIXES = frozenset(
    {".png", ".jpg", ".jpeg", ".webp", ".bmp", ".gif", ".tif", ".tiff", ".ppm", ".pgm"}
)
AT_ONCE = 2**16  # bytes; larger files are read as their decoders ask
WITH_ORIENTATION = frozenset({"exif", "xmp"})  # what a JPEG file may note one in
MAX_PIXELS = 2**26  # 67 megapixels; a larger file is refused before it is decoded


def decode(file: str | Path, side: int) -> npt.NDArray[np.uint8]:
    """The center square of an image, shrunk to `side` pixels by area, in color.

    Gray, palette and CMYK images become RGB, transparency becomes white, an animation gives its
    first frame, and an orientation noted in the file is followed.

    Returns:
      uint8 (side, side, 3).

    Raises:
      DataError: when the file cannot be read, is smaller than `side` or has above 2**26 pixels.
    """
    from PIL import UnidentifiedImageError

    try:
        with opened(file) as picture:
            check_size(picture.size, side)
            return center_square(upright_color(picture), side)
    except DataError:
        raise
    except Exception as error:  # decoders raise what they like on broken files
        reason = f"{type(error).__name__}: {error}"
        if isinstance(error, UnidentifiedImageError):  # whose text may name an object in memory
            reason = "one of no known format"
        raise DataError(
            f"decode: expected an image file, got {reason}; replace the file"
        ) from error


def opened(file: str | Path) -> Picture:
    """The picture in a file, not yet decoded.

    A small file is read at once, which takes less of Python's time than Pillow's own small reads:
    images are decoded in threads, and Python runs in one of them at a time.

    Raises:
      OSError: if the file cannot be read; PIL.UnidentifiedImageError is one.
      PIL.Image.DecompressionBombError: if it says that it is far too large.
    """
    from PIL import Image

    descriptor = os.open(file, os.O_RDONLY | getattr(os, "O_BINARY", 0))
    try:
        if os.fstat(descriptor).st_size > AT_ONCE:
            return Image.open(file)
        content = b""
        while more := os.read(descriptor, AT_ONCE):
            content += more
    finally:
        os.close(descriptor)
    return Image.open(io.BytesIO(content))


def check_size(size: tuple[int, int], side: int) -> None:
    """Refuse an image too large to decode safely or too small to be shrunk to `side`."""
    width, height = size
    if width * height > MAX_PIXELS:
        raise DataError(
            f"decode: expected at most {MAX_PIXELS} pixels, got {width} x {height}; shrink the file"
        )
    if min(size) < side:
        raise DataError(
            f"decode: expected at least {side} x {side} pixels, got {width} x {height}; "
            "ask for a smaller size"
        )


def upright_color(picture: Picture) -> Picture:
    """The first frame of an image, upright, on white, in RGB."""
    from PIL import Image, ImageOps

    if picture.format != "JPEG" or not WITH_ORIENTATION.isdisjoint(picture.info):
        ImageOps.exif_transpose(picture, in_place=True)  # a copy costs a tenth of a small image
    picture = eight_bits(picture)
    if picture.has_transparency_data:
        color = picture.convert("RGBA")
        picture = Image.alpha_composite(Image.new("RGBA", color.size, "white"), color)
    return picture if picture.mode == "RGB" else picture.convert("RGB")


def eight_bits(picture: Picture) -> Picture:
    """16-bit gray scaled to 8 bits, which Pillow itself would clip; 32-bit images are refused."""
    from PIL import Image

    if picture.mode in ("I", "F"):
        raise DataError(
            "decode: expected 8 or 16 bits a channel, got 32; save the image with fewer"
        )
    if picture.mode.startswith("I;16"):
        return Image.fromarray((np.asarray(picture) // 257).astype(np.uint8))
    return picture


def center_square(picture: Picture, side: int) -> npt.NDArray[np.uint8]:
    """The middle square of an RGB image, shrunk by area to uint8 (side, side, 3)."""
    from PIL import Image

    edge = min(picture.size)
    left, top = (picture.width - edge) // 2, (picture.height - edge) // 2
    box = (left, top, left + edge, top + edge)
    square = picture
    if picture.size != (side, side):  # else a copy
        square = picture.resize((side, side), Image.Resampling.BOX, box=box)
    # as np.asarray(square), which holds Python's lock for longer
    return np.frombuffer(square.tobytes(), np.uint8).reshape(side, side, 3)
