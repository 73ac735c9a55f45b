"""Damaged files by the thousand: each is read, or refused in one line that names it, at once.

A healthy run folder, a sweep, arrays and pictures are written once. Every input is one of their
files with a seeded fault: cut, flipped, doubled, mixed up, or with another value in its JSON. The
readers that commands use then open it. `tests/test_damaged_files.py` has some hundred in the suite.
"""

import contextlib
import dataclasses
import io
import json
import signal
import time
import warnings
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from types import FrameType
from typing import Any

import numpy as np
from PIL import Image

from flowjax_glow import data
from flowjax_glow.commands.errors import one_line
from flowjax_glow.data.decode import decode
from flowjax_glow.files import write_json
from flowjax_glow.runs.experiment import Experiment, read_config, to_json
from flowjax_glow.runs.folder import check_same, is_complete
from flowjax_glow.runs.images import check_images, note_images, noted_shape
from flowjax_glow.runs.results import load_sweep

SECONDS = 5  # an input that takes longer hangs

#: What a value of a JSON file may turn into.
ODD = (None, True, -1, 0, 3.5, 10**30, 1e308, "", "x", "NaN", "../..", [], {}, [[]], {"a": 1}, "\0")

Reader = Callable[[], Any]
Damage = Callable[[bytes, np.random.Generator], bytes]


@dataclass(frozen=True)
class Subject:
    """A healthy file and what reads it."""

    file: Path
    read: Reader
    content: bytes
    damage: Damage | None = None  #: how it is damaged; as `damaged` does if none


@dataclass(frozen=True)
class Outcome:
    """What came of the inputs: how many were read, or refused in a line; and every fault."""

    counts: Counter[str]
    faults: list[str]
    slowest: float

    def __str__(self) -> str:
        told = ", ".join(f"{count} {what}" for what, count in sorted(self.counts.items()))
        return f"{self.counts.total()} inputs: {told}; the slowest took {self.slowest:.2f} s"


def files(place: Path) -> list[Subject]:
    """Writes a healthy run folder, the sweep that it is in, and arrays, below `place`."""
    sweep, run = place / "sweep", place / "sweep" / "control-seed0"
    (run / "arrays").mkdir(parents=True)
    experiment, rng = Experiment(), np.random.default_rng(0)
    write_json(run / "config.json", to_json(experiment))
    write_json(run / "status.json", {"status": "done", "step": 400, "seconds": 3.5})
    table = {"1": 0.5, "0.7": float("inf")}
    numbers = {"bits_per_dim": 3.5, "z_error": table, "loss_slope": None}
    write_json(
        run / "summary.json",
        {"variant": "control", "seed": 0, "status": "done", "steps": 400, **numbers},
    )
    rows = [{"step": step, "loss": 3.0, "drift": [0.1, "NaN"]} for step in range(1, 5)]
    (run / "metrics.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    write_json(sweep / "sweep.json", {"preset": "laptop", "dataset": "photos", "runs": [run.name]})
    look = {"taus": np.linspace(0, 1, 3), "z_error": rng.random((3, 8), np.float32)}
    np.savez_compressed(run / "arrays/look-000400.npz", allow_pickle=False, **look)
    images = rng.integers(0, 256, (12, 8, 8, 3), np.uint8)
    np.savez(place / "plain.npz", images=images)
    np.savez_compressed(place / "packed.npz", images=images, test_images=images[:3])
    source = data.load(f"npz:{place / 'plain.npz'}")
    note_images(run, source)

    def resumed() -> None:
        is_complete(run, experiment)
        check_same(run, dataclasses.replace(read_config(run), steps=800))

    readers: dict[Path, Reader] = {
        run / "config.json": lambda: (load_sweep(run), read_config(run)),
        run / "status.json": lambda: (load_sweep(run), resumed()),
        run / "summary.json": lambda: (load_sweep(run), resumed()),
        run / "metrics.jsonl": lambda: load_sweep(run),
        run / "data.json": lambda: (noted_shape(run, experiment), check_images(run, source)),
        run / "arrays/look-000400.npz": lambda: load_sweep(run)[0].last_look(),
        sweep / "sweep.json": lambda: load_sweep(sweep),
    }
    for name in ("plain.npz", "packed.npz"):
        readers[place / name] = lambda path=place / name: data.load(f"npz:{path}", size=8)
    return [Subject(file, read, file.read_bytes()) for file, read in readers.items()]


def pictures(place: Path) -> list[Subject]:
    """Writes a healthy picture of every kind; the decoder and both folder sources read it."""
    image, found = np.random.default_rng(0).integers(0, 256, (8, 8, 3), np.uint8), list[Subject]()
    for suffix in ("png", "jpg", "gif", "webp", "bmp", "tif", "ppm", "tga", "qoi"):
        folder = place / suffix
        file = folder / "train" / f"picture.{suffix}"
        for healthy in (file, folder / "train/other.png", folder / "test/other.png"):
            healthy.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(image).save(healthy)
        for read in (
            partial(decode, file, 8),
            partial(_batch, f"strict-folder:{folder}"),
            partial(_batch, f"folder:{folder}"),
        ):
            found.append(Subject(file, read, file.read_bytes()))
    return found


def _batch(name: str) -> data.Images:
    """Of both of its training images."""
    return data.load(name, size=8).batch("train", seed=0, step=0, size=2)


def damaged(content: bytes, rng: np.random.Generator) -> bytes:
    """`content` with one fault, or a few."""
    if content.lstrip()[:1] == b"{" and rng.random() < 0.5:
        return odd_json(content, rng)
    size = len(content)
    start, stop = sorted(rng.integers(0, size + 1, 2).tolist())
    noise = rng.bytes(int(rng.integers(1, 64)))
    flipped = bytearray(content)
    for _ in range(int(rng.integers(1, 9))):
        flipped[int(rng.integers(size))] ^= 1 << int(rng.integers(8))
    filled = bytearray(content)
    filled[start : start + 8] = rng.choice([b"\0", b"\xff"]) * min(8, size - start)
    return [
        b"",
        content[:start],
        content[stop:],
        content[:start] + content[stop:],
        content[:start] + noise + content[start:],
        content[:stop] + content[start:],
        bytes(flipped),
        bytes(flipped),
        bytes(filled),
        noise,
    ][int(rng.integers(10))]


def odd_json(content: bytes, rng: np.random.Generator) -> bytes:
    """One value of one line replaced or left out, or all of it nested too deeply."""
    if rng.random() < 0.05:
        return b"[" * 100_000
    lines = [content] if content.lstrip().count(b"\n{") == 0 else content.splitlines(keepends=True)
    index = int(rng.integers(len(lines)))
    value = json.loads(lines[index])
    holder = value
    while True:
        keys = list(holder) if isinstance(holder, dict) else list(range(len(holder)))
        key = keys[int(rng.integers(len(keys)))]
        inner = holder[key]
        if not isinstance(inner, dict | list) or not inner or rng.random() < 0.2:
            break
        holder = inner
    fault = rng.random()
    if fault < 0.2:
        del holder[key]
    elif fault < 0.3 and isinstance(holder, dict):
        holder[f"{key}_of_another_version"] = holder.pop(key)
    else:
        holder[key] = ODD[int(rng.integers(len(ODD)))]
    lines[index] = json.dumps(value).encode() + b"\n"
    return b"".join(lines)


def soak(kinds: Sequence[Subject], count: int, seed: int) -> Outcome:
    """Reads `count` damaged files, in turn of every kind."""
    rng = np.random.default_rng(seed)
    counts, faults, slowest = Counter[str](), list[str](), 0.0
    for number in range(count):
        subject = kinds[number % len(kinds)]
        subject.file.write_bytes((subject.damage or damaged)(subject.content, rng))
        start = time.perf_counter()
        result = outcome(subject)
        slowest = max(slowest, time.perf_counter() - start)
        counts[result.partition(":")[0]] += 1
        if ":" in result:
            faults.append(f"input {number}, {subject.file.name}: {result}")
        subject.file.write_bytes(subject.content)
    return Outcome(counts, faults, slowest)


def outcome(subject: Subject) -> str:
    """``read`` or ``refused``; anything else is a fault, with a colon and what was raised."""
    try:
        with _at_once(), warnings.catch_warnings(), contextlib.redirect_stderr(io.StringIO()):
            warnings.simplefilter("ignore")
            subject.read()
    except TimeoutError:
        return f"hung: {SECONDS} s"
    except (ValueError, OSError) as error:  # what becomes a line and an exit code
        line = one_line(error)
        if not line.isprintable():
            return f"not a line: {line!r}"
        names = (subject.file.name, f"{subject.file.parent}: ", "error: decode: ")
        is_named = any(name in line for name in names)
        return "refused" if is_named and ": expected " in line else f"unnamed: {line}"
    except BaseException as error:
        return f"raised: {type(error).__name__}: {error}"
    return "read"


@contextlib.contextmanager
def _at_once() -> Iterator[None]:
    def stop(signum: int, frame: FrameType | None) -> None:
        raise TimeoutError

    before = signal.signal(signal.SIGALRM, stop)
    signal.alarm(SECONDS)
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)
