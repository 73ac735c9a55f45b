"""Runs shown where people look: in TensorBoard, or in Weights & Biases.

What is shown is a copy in a subfolder of the run folder: every row of the metrics, and of a model
samples and a histogram of log s for every layer that scales.
"""

import secrets
import struct
from abc import abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from functools import partial
from importlib import import_module
from pathlib import Path
from typing import Any

import jax
import numpy as np

from flowjax_glow.bijector import Bijector
from flowjax_glow.context import in_turn
from flowjax_glow.data.source import Labels
from flowjax_glow.density import sample_latents
from flowjax_glow.effort import WELL
from flowjax_glow.errors import check_choice, expected, how_to_install
from flowjax_glow.files import write_atomically
from flowjax_glow.pixels import to_pixels
from flowjax_glow.runs.experiment import Experiment, to_json
from flowjax_glow.training import Observer, TrainState
from flowjax_glow.training.metrics import Row
from flowjax_glow.types import Key, Latents, LogDet, Params
from flowjax_glow.walk import flatten_records, log_scale, walk_inverse

#: Samples that are shown at temperature 1, and whose scales are counted.
SAMPLES = 16

#: Bins of a histogram, and the logarithms of what float32 can hold: log s beyond them, or NaN,
#: counts as one of these.
BINS, LIMITS = 64, (-104.0, 89.0)

#: Numbers of a row that would be curves without a message: where it stands, how many steps a window
#: has, and that a step was taken, without which the run ends.
NOT_SHOWN = frozenset({"step", "window", "update_finite"})


class Tracker(AbstractContextManager["Tracker"]):
    """Shows one run. A further kind subclasses this and joins `TRACKERS`.

    What it shows of a model stays when the run goes on; its numbers are shown anew, from
    the metrics.

    Args:
        folder: the run folder.
        experiment: its experiment.
        step: where the run goes on; models of later steps are taken back.
    """

    @abstractmethod
    def __init__(self, folder: Path, experiment: Experiment, step: int) -> None: ...

    @abstractmethod
    def scalars(self, step: int, values: Mapping[str, float]) -> None:
        """Shows numbers."""

    @abstractmethod
    def histogram(self, step: int, name: str, counts: np.ndarray, edges: np.ndarray) -> None:
        """Shows how often values fell between neighbors of the ``len(counts) + 1`` edges."""

    @abstractmethod
    def images(self, step: int, name: str, images: np.ndarray) -> None:
        """Shows uint8 images, (count, height, width, channels)."""

    @abstractmethod
    def close(self) -> None:
        """Returns once all is on the disk."""

    def shows(self, step: int) -> bool:
        """Whether the model of this step is there already."""
        del step
        return False

    def row(self, row: Row) -> None:
        """Shows the numbers in a row of the metrics."""
        self.scalars(row["step"], dict(_numbers(row)))

    def model(self, step: int, flow: Bijector, params: Params, look: "Look") -> None:
        """Shows samples of a model, and the scales that made them."""
        pixels, scales = look.at(flow, params)
        self.images(step, "samples", pixels)
        for name, values in scales:
            values = np.clip(np.nan_to_num(values, nan=LIMITS[0]), *LIMITS)
            counts, edges = np.histogram(values, BINS)
            self.histogram(step, f"log s/{name}", counts, edges)

    def __exit__(self, *raised: object) -> None:
        self.close()


def _numbers(row: Row) -> Iterator[tuple[str, float]]:
    """The entries of lists stand for themselves: ``drift/0``."""
    for name, value in row.items():
        several = {f"{name}/{i}": each for i, each in enumerate(value)} if _is_list(value) else {}
        for key, each in (several or {name: value}).items():
            if name not in NOT_SHOWN and isinstance(each, bool | int | float):
                yield key, float(each)


def _is_list(value: object) -> bool:
    return isinstance(value, Sequence) and not isinstance(value, str)


@dataclass(frozen=True)
class Look:
    """Samples of a run's model: always the same noise, at `labels` if it has classes."""

    key: Key
    shape: Sequence[int]
    n_bits: int
    labels: Labels | None = None

    def at(self, flow: Bijector, params: Params) -> tuple[np.ndarray, list[tuple[str, np.ndarray]]]:
        """Samples as uint8 images, and log s by layer, in the order of generation."""
        params = flow.given(params, self.labels)
        z = sample_latents(flow, params, self.key, (SAMPLES, *self.shape))
        x, records = _decode(flow, params, z)
        rows = flatten_records(flow, jax.device_get(records))
        scales = [(name, values) for name, _, values in rows if values is not None]
        return np.asarray(to_pixels(x, n_bits=self.n_bits)), scales


def look_of(experiment: Experiment, shape: Sequence[int]) -> Look:
    """The look at the model of an experiment, whose images have a shape."""
    key = jax.random.fold_in(jax.random.key(experiment.seed), 4)  # 0 to 3 have other uses
    classes = experiment.model.classes
    return Look(key, shape, experiment.n_bits, in_turn(classes, SAMPLES) if classes else None)


@partial(jax.jit, static_argnums=0, compiler_options=WELL)
def _decode(flow: Bijector, params: Params, z: Latents) -> tuple[Any, Any]:
    def visit(
        bijector: Bijector, own: Params, z: Latents, x: Latents, log_det: LogDet
    ) -> tuple[Latents, Any]:
        return x, log_scale(bijector, own, z)

    x, _, records = walk_inverse(flow, flow.freeze(params), z, visit)
    return x, records


@dataclass(frozen=True, eq=False)
class ShowsModel(Observer):
    """Shows the model of a training on a tracker."""

    tracker: Tracker
    flow: Bijector
    look: Look

    def observe(self, state: TrainState) -> None:
        step = int(state.step)
        if not self.tracker.shows(step):  # one that was interrupted after this is shown it again
            self.tracker.model(step, self.flow, state.params, self.look)

    def resume(self, rows: Sequence[Row]) -> None:
        for row in rows:
            self.tracker.row(row)


class TensorBoard(Tracker):
    """Event files in ``tensorboard/`` of the run folder."""

    def __init__(self, folder: Path, experiment: Experiment, step: int) -> None:
        del experiment
        place = folder / "tensorboard"
        self._shown: set[int] = set()
        for file in sorted(place.glob("events.out.tfevents.*")):
            self._shown |= _keep_models(file, step)
        self._writer = _imported("tensorboardX").SummaryWriter(str(place))

    def shows(self, step: int) -> bool:
        return step in self._shown

    def scalars(self, step: int, values: Mapping[str, float]) -> None:
        for name, value in values.items():
            self._writer.add_scalar(name, value, step)

    def histogram(self, step: int, name: str, counts: np.ndarray, edges: np.ndarray) -> None:
        middles = (edges[1:] + edges[:-1]) / 2
        self._writer.add_histogram_raw(
            name,
            min=float(edges[0]),
            max=float(edges[-1]),
            num=int(counts.sum()),
            sum=float(counts @ middles),
            sum_squares=float(counts @ middles**2),
            bucket_limits=edges[1:].tolist(),
            bucket_counts=counts.tolist(),
            global_step=step,
        )

    def images(self, step: int, name: str, images: np.ndarray) -> None:
        self._writer.add_images(name, images, step, dataformats="NHWC")

    def close(self) -> None:
        self._writer.close()


def _keep_models(file: Path, step: int) -> set[int]:
    """Drops the numbers of an event file, and what is beyond `step`; the steps of what is left.

    TensorBoard can be told to pass over events, other readers of its files cannot.
    """
    event = _imported("tensorboardX.proto.event_pb2").Event
    kept, steps = [], set()
    for frame, message in _frames(file.read_bytes()):
        found = event.FromString(message)
        kinds = {value.WhichOneof("value") for value in found.summary.value}
        if found.HasField("file_version"):
            kept.append(frame)
        elif found.step <= step and kinds & {"histo", "image"}:
            kept.append(frame)
            steps.add(found.step)
    if steps:
        write_atomically(file, b"".join(kept))
    else:
        file.unlink()
    return steps


def _frames(content: bytes) -> Iterator[tuple[bytes, bytes]]:
    """The records of an event file, whole and without length and checksums."""
    start = 0
    while start + 12 <= len(content):
        (length,) = struct.unpack_from("<Q", content, start)
        end = start + 12 + length + 4
        if end > len(content):
            return
        yield content[start:end], content[start + 12 : end - 4]
        start = end


class WeightsAndBiases(Tracker):
    """A run of Weights & Biases, in ``wandb/`` of the run folder.

    A run that goes on is the same run there, which passes over the steps that it has. With
    ``WANDB_MODE=offline`` nothing is sent, and every attempt has a folder with all numbers: ``wandb
    sync`` the last one.
    """

    def __init__(self, folder: Path, experiment: Experiment, step: int) -> None:
        del step
        self._wandb = _imported("wandb")
        try:
            self._run = self._wandb.init(
                project="flowjax-glow",
                name=folder.resolve().name,
                id=_own_id(folder / "wandb" / "id"),
                dir=str(folder),
                resume="allow",
                config=to_json(experiment),
                settings=self._wandb.Settings(silent=True, console="off"),
            )
        except self._wandb.errors.Error as error:
            raise expected(
                "wandb",
                "a run that can be opened",
                got=str(error),
                advice="run: wandb login, or set WANDB_MODE=offline",
            ) from None

    def scalars(self, step: int, values: Mapping[str, float]) -> None:
        self._run.log(dict(values), step=step)

    def histogram(self, step: int, name: str, counts: np.ndarray, edges: np.ndarray) -> None:
        bars = self._wandb.Histogram(np_histogram=(counts, edges))
        self._run.log({name: bars}, step=step)

    def images(self, step: int, name: str, images: np.ndarray) -> None:
        pictures = [self._wandb.Image(np.squeeze(image)) for image in images]
        self._run.log({name: pictures}, step=step)

    def close(self) -> None:
        self._run.finish()
        self._wandb.teardown()  # its process may write for a while after the run has ended


#: Kinds by the name that options give.
TRACKERS: dict[str, type[Tracker]] = {"tensorboard": TensorBoard, "wandb": WeightsAndBiases}


def check_tracker(where: str, kind: str) -> None:
    """Complains, under the name of an option, unless there is such a kind and its package."""
    check_choice(where, kind, tuple(TRACKERS))
    _imported({"tensorboard": "tensorboardX"}.get(kind, kind))


def _imported(module: str) -> Any:
    """An optional package."""
    try:
        return import_module(module)
    except ModuleNotFoundError:
        raise expected(
            "tracking",
            f"the package {module.partition('.')[0]}",
            got="none",
            advice=f"install it: {how_to_install('tracking')}",
        ) from None


def _own_id(file: Path) -> str:
    """What `file` says; a new random name if there is none yet. It goes where the run goes."""
    if not file.exists():
        file.parent.mkdir(exist_ok=True)
        write_atomically(file, secrets.token_hex(8).encode())
    return file.read_text()
