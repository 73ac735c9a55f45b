"""One image file to one square of pixels, whatever its size, mode and number of frames."""

import io
import logging
import os
from pathlib import Path
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from flowjax_glow.data.errors import DataError
from flowjax_glow.files import open_regular

#: Pillow's names of color and of gray.
Mode = Literal["RGB", "L"]

Picture = Any  # a PIL.Image.Image; Pillow is optional and imported where it is used

#: Pillow's formats that hold one picture of pixels, with their suffixes. Others that Pillow opens
#: start programs (PostScript), hold several pictures or none, or have no mark to be known by.
FORMATS = {
    "PNG": (".png", ".apng"),
    "JPEG": (".jpg", ".jpeg", ".jpe", ".jfif"),
    "WEBP": (".webp",),
    "BMP": (".bmp",),
    "DIB": (".dib",),
    "GIF": (".gif",),
    "TIFF": (".tif", ".tiff"),
    "PPM": (".ppm", ".pgm", ".pbm", ".pnm"),
    "AVIF": (".avif", ".avifs"),
    "JPEG2000": (".jp2", ".j2k", ".j2c", ".jpc", ".jpf", ".jpx"),
    "QOI": (".qoi",),
    "TGA": (".tga", ".icb", ".vda", ".vst"),
}
SUFFIXES = frozenset(suffix for suffixes in FORMATS.values() for suffix in suffixes)
UNMARKED = frozenset({"TGA"})  # known by the suffix alone: anything could be one
AT_ONCE = 2**16  # bytes; larger files are read as their decoders ask
WITH_ORIENTATION = frozenset({"exif", "xmp"})  # what a JPEG file may note one in
BITS_PER_SAMPLE, PHOTOMETRIC = 258, 262  # tags of TIFF
MAX_PIXELS = 2**26  # 67 megapixels; a larger file is refused before it is decoded


def decode(file: str | Path, side: int, mode: Mode = "RGB") -> npt.NDArray[np.uint8]:
    """The center square of an image, shrunk to `side` pixels by area, in color or in gray.

    Palette and CMYK images become RGB and then gray by their luma, if asked to; gray ones stay so,
    or get three equal channels. Transparency becomes white, an animation gives its first frame, and
    an orientation noted in the file is followed.

    Returns:
        uint8 (side, side, 3), or (side, side, 1) in gray (mode "L").

    Raises:
        DataError: when the file cannot be read, is smaller than `side` or has above 2**26 pixels.
    """
    from PIL import UnidentifiedImageError

    try:
        with opened(file) as picture:
            check_size(picture.size, side)
            return center_square(upright(picture, mode), side)
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

    with open_regular(file) as stream:
        if os.fstat(stream.fileno()).st_size > AT_ONCE:
            return Image.open(file, formats=formats_for(file))
        return Image.open(io.BytesIO(stream.read()), formats=formats_for(file))


def formats_for(file: str | Path) -> list[str]:
    """Pillow's names of the formats that a file may have, the common ones first."""
    from PIL import Image

    load_formats()
    suffix = Path(file).suffix.lower()
    return [
        name
        for name, suffixes in FORMATS.items()
        if name in Image.OPEN and (name not in UNMARKED or suffix in suffixes)
    ]


def load_formats() -> None:
    """Makes Pillow load its formats.

    It would do so when it meets an uncommon one, and a thread that came by meanwhile would take its
    own file for one of no known format.
    """
    from PIL import Image

    logging.getLogger("PIL").setLevel(logging.CRITICAL)  # it raises, too
    Image.preinit()
    Image.init()


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


def upright(picture: Picture, mode: Mode = "RGB") -> Picture:
    """The first frame of an image, upright, on white, in RGB or in gray."""
    from PIL import Image, ImageOps

    if picture.format != "JPEG" or not WITH_ORIENTATION.isdisjoint(picture.info):
        ImageOps.exif_transpose(picture, in_place=True)  # a copy costs a tenth of a small image
    picture = eight_bits(picture)
    if picture.has_transparency_data:
        color = picture.convert("RGBA")
        picture = Image.alpha_composite(Image.new("RGBA", color.size, "white"), color)
    return picture if picture.mode == mode else picture.convert("RGB").convert(mode)


def eight_bits(picture: Picture) -> Picture:
    """Gray of 9 to 16 bits scaled to 8, which Pillow itself would clip; 32-bit images are refused.

    Of TIFF files it follows the number of bits and what zero stands for: Pillow does so up to 8.
    """
    from PIL import Image

    if not is_deep(picture):
        return picture
    levels, bits, white_is_zero = np.asarray(picture), 16, False
    if picture.format == "TIFF":
        (bits,) = picture.tag_v2.get(BITS_PER_SAMPLE, (16,))
        white_is_zero = picture.tag_v2.get(PHOTOMETRIC) == 0
    shades = np.minimum(levels // ((2**bits - 1) / 255), 255).astype(np.uint8)
    return Image.fromarray(255 - shades if white_is_zero else shades)


def is_deep(picture: Picture) -> bool:
    """Whether it is gray of 9 to 16 bits.

    Raises:
        DataError: if a channel has 32 bits, or a sign.
    """
    if picture.mode == "I" and picture.format == "PPM":  # Pillow has scaled it to 16 bits
        return True
    if picture.mode in ("I", "F"):
        raise DataError(
            "decode: expected 8 or 16 bits a channel without a sign, got 32 or a sign; "
            "save the image with fewer"
        )
    return picture.mode.startswith("I;16")


def center_square(picture: Picture, side: int) -> npt.NDArray[np.uint8]:
    """The middle square of an image, shrunk by area to uint8 (side, side, channels)."""
    from PIL import Image

    edge = min(picture.size)
    left, top = (picture.width - edge) // 2, (picture.height - edge) // 2
    box = (left, top, left + edge, top + edge)
    square = picture
    if picture.size != (side, side):  # else a copy
        square = picture.resize((side, side), Image.Resampling.BOX, box=box)
    # as np.asarray(square), which holds Python's lock for longer
    return np.frombuffer(square.tobytes(), np.uint8).reshape(side, side, -1)
