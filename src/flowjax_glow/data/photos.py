"""`photos`: crops from six photographs that scikit-image and matplotlib carry in their wheels."""

import functools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from flowjax_glow.data.errors import DataError, optional_module, package_file
from flowjax_glow.data.indexed import EXAMPLES_SEED
from flowjax_glow.data.resize import area_resize
from flowjax_glow.data.source import SPLITS, Images, Source

SMALLEST, DEFAULT, LARGEST = 8, 16, 64  # pixels of a crop's side
FACTORS = (1, 2, 4)  # each photo is seen at full, half and quarter size
GAP = 16  # pixels between train and test that belong to neither
TEST_SHARE = 4  # a quarter of a photo's width is test

Scales = tuple[npt.NDArray[np.uint8], ...]  # one region, (height, width, 3) at each factor


@dataclass(frozen=True)
class Photo:
    """Where a photograph lies, and on which side ("left" or "right") its test region is.

    The side is chosen so that the test region shows something of the subject and train keeps
    more of the same kind.
    """

    title: str
    package: str
    path: str
    test_side: str


PHOTOS = (
    Photo("astronaut", "skimage", "data/astronaut.png", "right"),
    Photo("chelsea", "skimage", "data/chelsea.png", "left"),
    Photo("coffee", "skimage", "data/coffee.png", "right"),
    Photo("rocket", "skimage", "data/rocket.jpg", "right"),
    Photo("hubble_deep_field", "skimage", "data/hubble_deep_field.jpg", "right"),
    Photo("grace_hopper", "matplotlib", "mpl-data/sample_data/grace_hopper.jpg", "left"),
)


@dataclass(frozen=True)
class PhotosSource(Source):
    """Random crops: uniform over photos, then over a photo's scales, then over positions.

    Photos are not weighted by their number of crops, or the dark sky of the largest would fill
    two fifths of every batch; nor scales, or the full size would drown the other two.
    """

    scales: Mapping[str, Sequence[Scales]] = field(repr=False, compare=False)

    def _batch(self, split: str, seed: int, step: int, size: int, rows: slice) -> Images:
        return self._crops(split, [seed, step, SPLITS.index(split)], size, rows)

    def _examples(self, split: str, count: int) -> Images:
        return self._crops(split, [EXAMPLES_SEED, SPLITS.index(split)], count, slice(None))

    def _crops(self, split: str, entropy: list[int], count: int, rows: slice) -> Images:
        # one row of random numbers a crop, so that hosts and longer draws agree
        draws = np.random.default_rng(entropy).random((count, 5))
        return np.stack([self._crop(split, draw) for draw in draws[rows].tolist()])

    def _crop(self, split: str, draw: list[float]) -> npt.NDArray[np.uint8]:
        photo, scale, row, column, mirror = draw
        photos = self.scales[split]
        scales = photos[int(photo * len(photos))]
        picture = scales[int(scale * len(scales))]
        side = self.shape[0]
        top = int(row * (picture.shape[0] - side + 1))
        left = int(column * (picture.shape[1] - side + 1))
        crop = picture[top : top + side, left : left + side]
        return crop[:, ::-1] if split == "train" and mirror < 0.5 else crop


def load_photos(name: str, size: int | None) -> PhotosSource:
    """The source `photos` with crops of `size` x `size` x 3; a size of 8 to 64, 16 if None.

    Raises:
        DataError: for another size, or when a package that carries photographs is missing.
    """
    side = DEFAULT if size is None else size
    if not SMALLEST <= side <= LARGEST:
        raise DataError(
            f"{name}: expected a size of {SMALLEST} to {LARGEST}, got {side}; "
            "larger images can be read from a folder: folder:PATH"
        )
    return photos_source(name, side, photographs(), [photo.test_side for photo in PHOTOS])


def photos_source(
    name: str, side: int, pictures: Sequence[npt.NDArray[np.uint8]], test_sides: Sequence[str]
) -> PhotosSource:
    """A source of crops from these pictures, (height, width, 3) each."""
    scales: dict[str, list[Scales]] = {split: [] for split in SPLITS}
    for picture, test_side in zip(pictures, test_sides, strict=True):
        for split, region in split_regions(picture.shape[1], test_side).items():
            scales[split].append(region_scales(picture[:, region], side))
    # a region too small for a crop at any scale drops out
    return PhotosSource(
        name, (side, side, 3), {split: [s for s in scales[split] if s] for split in SPLITS}
    )


def split_regions(width: int, test_side: str) -> dict[str, slice]:
    """The columns of train and of test, with `GAP` unused columns between them.

    All bounds inside the picture are multiples of the largest factor, so that blocks of
    4 x 4 pixels belong to one split as a whole.
    """
    align = FACTORS[-1]
    test = width // TEST_SHARE // align * align
    if test_side == "left":
        return {"train": slice(test + GAP, width), "test": slice(0, test)}
    start = -(-(width - test) // align) * align
    return {"train": slice(0, start - GAP), "test": slice(start, width)}


def region_scales(region: npt.NDArray[np.uint8], side: int) -> Scales:
    """A region at each factor at which a crop of `side` pixels fits; split first, shrunk second."""
    factors = [factor for factor in FACTORS if min(region.shape[:2]) // factor >= side]
    return tuple(shrink(region, factor) for factor in factors)


def shrink(region: npt.NDArray[np.uint8], factor: int) -> npt.NDArray[np.uint8]:
    """A picture (height, width, channels) at 1 / factor of its size; the odd rest is cut off."""
    height, width = region.shape[0] // factor, region.shape[1] // factor
    return area_resize(region[None, : height * factor, : width * factor], height, width)[0]


@functools.cache  # decoded once a process
def photographs() -> tuple[npt.NDArray[np.uint8], ...]:
    """The photographs, uint8 (height, width, 3), in the order of `PHOTOS`; no network is asked."""
    image = optional_module("PIL.Image", "photos")
    files = [package_file(photo.package, photo.path, "photos") for photo in PHOTOS]
    return tuple(np.asarray(image.open(file).convert("RGB")) for file in files)
