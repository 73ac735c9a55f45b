"""How many image files a second are decoded, by the processor time that each takes."""

import os
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from flowjax_glow import data
from flowjax_glow.data.threads import cores

SIDE = 64  # of the images that come out
BATCH = 64
ON_PAPER = 16  # cores
UNDECODED = "decoder left out"


@dataclass(frozen=True)
class Decoding:
    """What it took to read batches of 64x64 images from files of one kind.

    Attributes:
      cores: that could be used, with a thread on each.
      processor: the least processor seconds per image in any batch, over all threads.
      rate: the most images per second in any batch, by the clock.
    """

    files: str
    cores: int
    processor: float
    rate: float


def measure(images: int, rounds: int) -> list[Decoding]:
    """JPEG files of 64 and 128 pixels, on one core and on all, and what Python does of that."""
    found = []
    with tempfile.TemporaryDirectory() as place:
        for side in (64, 128):
            name = f"JPEG {side}x{side}"
            write_files(Path(place) / name, images, side)
            source = data.load(f"folder:{place}/{name}", size=SIDE)
            for count in sorted({1, cores()}):
                with on_cores(count):
                    found.append(Decoding(name, count, *best_batch(source, rounds)))
            if side == SIDE:  # larger ones are shrunk, which is not Python's work
                with on_cores(1), nothing_decoded():
                    found.append(Decoding(f"{name}, {UNDECODED}", 1, *best_batch(source, rounds)))
        np.savez(Path(place) / "images.npz", images=source.examples("train", images // 2))
        source = data.load(f"npz:{place}/images.npz")
        with on_cores(1):
            found.append(Decoding("npz, decoded once and for all", 1, *best_batch(source, rounds)))
    return found


def write_files(folder: Path, images: int, side: int) -> None:
    """Crops of the bundled photographs; 128x128 pixels are four crops, as rich in detail."""
    from PIL import Image

    folder.mkdir()
    tiles = side // SIDE
    crops = data.load("photos", size=SIDE).batch("train", seed=1, step=0, size=images * tiles**2)
    grid = crops.reshape(images, tiles, tiles, SIDE, SIDE, 3).transpose(0, 1, 3, 2, 4, 5)
    for index, image in enumerate(grid.reshape(images, side, side, 3)):
        Image.fromarray(np.ascontiguousarray(image)).save(folder / f"{index:05}.jpg", quality=90)


def best_batch(source: data.Source, rounds: int) -> tuple[float, float]:
    """Processor seconds per image and images per second: what other programs disturbed least."""
    processor, rate = [], []
    for step in range(rounds):
        clock, own = time.perf_counter(), time.process_time()
        source.batch("train", seed=0, step=step, size=BATCH)
        processor.append((time.process_time() - own) / BATCH)
        rate.append(BATCH / (time.perf_counter() - clock))
    return min(processor), max(rate)


@contextmanager
def on_cores(count: int) -> Iterator[None]:
    """Lets this process use `count` of its cores, where the system can do that."""
    if not hasattr(os, "sched_setaffinity"):
        yield
        return
    allowed = os.sched_getaffinity(0)
    os.sched_setaffinity(0, sorted(allowed)[:count])
    try:
        yield
    finally:
        os.sched_setaffinity(0, allowed)


@contextmanager
def nothing_decoded() -> Iterator[None]:
    """Gives Pillow a JPEG decoder that does nothing, so that Python's own work is left."""
    from PIL import Image, ImageFile

    class Nothing(ImageFile.PyDecoder):
        def decode(self, buffer: object) -> tuple[int, int]:
            return -1, 0

    Image.register_decoder("jpeg", Nothing)
    try:
        yield
    finally:
        del Image.DECODERS["jpeg"]


def describe(found: list[Decoding]) -> str:
    """A line for each, and what that makes on more cores."""
    lines = [f"files, made {SIDE}x{SIDE}                    cores  us/image  images/s by the clock"]
    lines += [
        f"{one.files:<40} {one.cores:>6} {1e6 * one.processor:>9.1f} {one.rate:>22,.0f}"
        for one in found
    ]
    python = next(one.processor for one in found if UNDECODED in one.files)
    whole = min(one.processor for one in found if "128x128" in one.files)
    lines += [
        f"On paper {ON_PAPER} cores decode {ON_PAPER / whole:,.0f} images/s of 128x128 pixels, "
        f"and Python, of which one thread runs at a time, lets {1 / python:,.0f} pass."
    ]
    return "\n".join(lines)
