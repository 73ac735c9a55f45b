"""The data sets by name: one row each."""

import difflib
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

from flowjax_glow.data.cifar10 import load_cifar10
from flowjax_glow.data.contrast import load_centered, load_contrast
from flowjax_glow.data.digits import load_digits
from flowjax_glow.data.errors import DataError
from flowjax_glow.data.folder import load_folder
from flowjax_glow.data.mnist import load_mnist
from flowjax_glow.data.npz import load_npz
from flowjax_glow.data.photos import load_photos
from flowjax_glow.data.prepared import load_prepared
from flowjax_glow.data.source import Source


@dataclass(frozen=True)
class Bundled:
    """A data set that an installed package carries."""

    line: str
    load: Callable[[str, int | None], Source]


@dataclass(frozen=True)
class Named:
    """Data sets of one kind, told apart by what follows the colon."""

    line: str
    load: Callable[[str, str, int | None], Source]
    argument: str


CATALOG: dict[str, Bundled | Named] = {
    "photos": Bundled(
        "crops of 8 to 64 pixels from six photographs; the default; offline", load_photos
    ),
    "photos-contrast": Bundled("those crops at unit local contrast; offline", load_contrast),
    "photos-centered": Bundled("those crops without their local mean; offline", load_centered),
    "digits": Bundled("handwritten digits, 8x8 gray; offline", load_digits),
    "folder": Named("image files below a folder; give a size", load_folder, "PATH"),
    "strict-folder": Named(
        "the same; an image that cannot be read is an error, not skipped",
        partial(load_folder, strict=True),
        "PATH",
    ),
    "gray-folder": Named("the same in gray, one channel", partial(load_folder, gray=True), "PATH"),
    "npz": Named("arrays `images` and perhaps `test_images` of an .npz file", load_npz, "PATH"),
    "mnist": Named("MNIST's or Fashion-MNIST's files, 28x28 gray", load_mnist, "PATH"),
    "cifar10": Named("the CIFAR-10 archive or folder you downloaded, 32x32", load_cifar10, "PATH"),
    "tfds": Named(
        "a prepared TensorFlow data set: tfds:cifar10, tfds:celeb_a, ...", load_prepared, "NAME"
    ),
}


def load(name: str, *, size: int | None = None) -> Source:
    """Open a data set.

    Args:
        name: "photos", "digits", or a kind with its argument, for example "folder:pictures".
        size: height and width of the images in pixels; None for the data set's own. Larger images
            are cropped to their middle square and shrunk by area; none is ever enlarged.

    Raises:
        DataError: for an unknown name, a size it cannot give, or data that is missing or broken.
    """
    kind, colon, argument = name.partition(":")
    entry = CATALOG.get(kind)
    try:
        if isinstance(entry, Bundled) and not colon:
            return entry.load(name, size)
        if isinstance(entry, Named) and argument:
            return entry.load(name, argument, size)
    except DataError:
        raise
    except (
        OSError,
        RuntimeError,
        ValueError,
    ) as error:  # no such user, NUL, too long
        raise DataError(
            f"{name}: expected data that can be read, got {error}; check the path"
        ) from error
    raise DataError(f"data: expected one of {', '.join(names())}, got {name!r}; {suggestion(kind)}")


def names() -> dict[str, str]:
    """What `load` takes, with a line about each."""
    return {pattern(kind): entry.line for kind, entry in CATALOG.items()}


def pattern(kind: str) -> str:
    """A name as it is written: the kind, and the word for its argument if it has one."""
    entry = CATALOG[kind]
    return f"{kind}:{entry.argument}" if isinstance(entry, Named) else kind


def suggestion(kind: str) -> str:
    """What to write instead of an unknown or incomplete name."""
    close = difflib.get_close_matches(kind, CATALOG, n=1)
    return f"did you mean {pattern(close[0])}?" if close else "choose one of them"
