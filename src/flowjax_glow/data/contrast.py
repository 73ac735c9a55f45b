"""`photos-contrast` and `photos-centered`: the crops of `photos` without their local mean.

Around every pixel and channel let m be the mean over the window of `WINDOW` x `WINDOW` pixels, and
sigma^2 the variance there, averaged over the channels, so that a pixel has one contrast. A window
that reaches over the border sees the crop mirrored. Then

- `photos-contrast` gives ``(x - m) / max(sigma, 1)``, of about unit local contrast everywhere;
- `photos-centered` gives ``(x - m) / TYPICAL``: the same without the division that equalizes, to
  tell what taking the mean away does by itself.

Both are multiplied by `SPREAD`, moved to mid-gray, rounded, and cut to 0..255. In natural images
the first has a nearly Gaussian histogram and the second heavy tails (Ruderman 1994, "The
statistics of natural images"). Sums are of whole numbers, so every machine gives the same bytes.
"""

from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from flowjax_glow.data.photos import load_photos
from flowjax_glow.data.source import Images, Source

WINDOW = 7  # pixels
MIDDLE, SPREAD = 127.5, 42.5  # gray levels: three standard deviations fill the range
TYPICAL = 23.0  # gray levels; the root mean square of sigma over train crops of 16 pixels


@dataclass(frozen=True)
class CenteredSource(Source):
    """The images of another source without their local mean, and perhaps of unit contrast."""

    of: Source = field(repr=False)
    equalized: bool = True

    def _batch(self, split: str, seed: int, step: int, size: int, rows: slice) -> Images:
        return centered(self.of._batch(split, seed, step, size, rows), self.equalized)

    def _examples(self, split: str, count: int) -> Images:
        return centered(self.of._examples(split, count), self.equalized)


def load_contrast(name: str, size: int | None) -> CenteredSource:
    """The source `photos-contrast`; sizes and errors are those of `photos`."""
    photos = load_photos(name, size)
    return CenteredSource(name, photos.shape, photos)


def load_centered(name: str, size: int | None) -> CenteredSource:
    """The source `photos-centered`; sizes and errors are those of `photos`."""
    photos = load_photos(name, size)
    return CenteredSource(name, photos.shape, photos, equalized=False)


def centered(images: Images, equalized: bool) -> Images:
    """The formula of this module, image by image; uint8 (batch, height, width, channels)."""
    deviation, sigma = local_contrast(images)
    scaled = deviation / (np.maximum(sigma, 1.0) if equalized else TYPICAL)
    return np.clip(np.rint(MIDDLE + SPREAD * scaled), 0, 255).astype(np.uint8)


def local_contrast(
    images: Images,
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """``x - m`` and sigma in gray levels, the latter with one channel."""
    count, values = WINDOW**2, images.astype(np.int64)
    totals, squares = _window_sums(values), _window_sums(values**2)
    variance = (count * squares - totals**2).mean(-1, keepdims=True) / count**2
    return (count * values - totals) / count, np.sqrt(variance)


def _window_sums(values: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    reach = WINDOW // 2
    padded = np.pad(values, ((0, 0), (reach, reach), (reach, reach), (0, 0)), mode="reflect")
    for axis in (1, 2):
        padded = np.lib.stride_tricks.sliding_window_view(padded, WINDOW, axis).sum(-1)
    return padded
