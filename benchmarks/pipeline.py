"""What do batches cost beside the steps they are for?

    python -m benchmarks.pipeline --images 100000

Times the bundled photographs and a folder of PNG files, which it makes in a temporary place,
against the training step of workload `small`, taking turns. Two minutes on 2 cores. Then it decodes
folders of JPEG files: `--only=decoding` does that alone, in half a minute.
"""

import argparse
import importlib
import itertools
import statistics
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

from benchmarks import decoding
from benchmarks.contenders import CONTENDERS
from benchmarks.timing import timed
from benchmarks.workloads import WORKLOADS, Workload
from flowjax_glow import data

PER_FOLDER = 1000  # files, as people sort them


def make_folder(root: Path, images: int, size: int) -> None:
    """Crops of the bundled photographs as PNG files."""
    from PIL import Image

    source, chunk = data.load("photos", size=size), min(images, 1000)
    for start in range(0, images, chunk):
        crops = source.batch("train", seed=1, step=start // chunk, size=min(chunk, images - start))
        for index, crop in enumerate(crops, start):
            folder = root / f"{index // PER_FOLDER:05}"
            folder.mkdir(exist_ok=True)
            Image.fromarray(crop).save(folder / f"{index:07}.png")


def measure(work: Workload, images: int, rounds: int) -> dict[str, list[float]]:
    """Milliseconds of every turn, by what was timed."""
    with tempfile.TemporaryDirectory() as place:
        make_folder(Path(place), images, work.size)
        begin = time.perf_counter()
        sources = {
            "photos": data.load("photos", size=work.size),
            f"folder of {images}": data.load(f"folder:{place}", size=work.size),
        }
        print(f"listing the folder took {time.perf_counter() - begin:.1f} s")
        batches = sources["photos"].batch("train", seed=0, step=0, size=work.batch)[None]
        entry = CONTENDERS["ours-store"]
        ours = importlib.import_module(entry.module).build(work, batches, **entry.options)
        ours.train()
        steps = itertools.count()
        turns: dict[str, list[float]] = {"step": [], **{name: [] for name in sources}}

        def draw(source: data.Source) -> data.Images:
            return source.batch("train", seed=0, step=next(steps), size=work.batch)

        for _ in range(rounds):
            turns["step"] += once(ours.train)
            for name, source in sources.items():
                turns[name] += once(partial(draw, source))
    return turns


def once(call: Callable[[], Any]) -> list[float]:
    """Milliseconds of one call."""
    return [1e3 * seconds for seconds in timed(call, 0)[0]["seconds"]]


def main(words: list[str] | None = None) -> None:
    """Measures and prints."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--images", type=int, default=100_000, help="in the folder")
    parser.add_argument("--rounds", type=int, default=25)
    parser.add_argument("--only", choices=["steps", "decoding"], help="one of the two parts")
    parser.add_argument("--quick", action="store_true", help="tiny models: nothing to report")
    options = parser.parse_args(words)
    if options.only != "decoding":
        compare_with_step(options)
    if options.only != "steps":
        images, rounds = (40, 2) if options.quick else (2000, 4 * options.rounds)
        print(decoding.describe(decoding.measure(images, rounds)))


def compare_with_step(options: argparse.Namespace) -> None:
    """What a batch of every source takes, beside a step."""
    work = WORKLOADS["small"].quick() if options.quick else WORKLOADS["small"]
    turns = measure(work, options.images, options.rounds)
    step = statistics.median(turns["step"])
    for name, values in turns.items():
        median = statistics.median(values)
        print(f"{name:<20} {median:8.2f} ms  {median / step:7.2%} of a step")


if __name__ == "__main__":
    main()
