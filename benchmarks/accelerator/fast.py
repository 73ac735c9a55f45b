"""How fast is it, and how much memory does it take? Ours beside PyTorch's, a process each.

They come in two phases, since all at once would not fit into the device's memory. Those of a phase
get ready at the same time, so the seconds until a first step are those of a busy machine. Then they
are timed one by one while the others wait. Rates are of whole steps as a user takes them, with
batches brought to the device and results fetched.
"""

import importlib.util
import statistics
import threading
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from tempfile import mkdtemp
from typing import Any

import jax

from benchmarks.accelerator.call import Deadline, Record
from benchmarks.contenders import CONTENDERS
from benchmarks.crew import Job, Worker, WorkerError
from benchmarks.peaks import device_peak
from benchmarks.workloads import Workload

#: Dense peaks in FLOP/s as the maker states them, by the beginning of the device's name.
STATED_PEAKS = {
    "NVIDIA H100": {"TF32": 494.7e12, "bfloat16": 989.4e12},
    "NVIDIA H200": {"TF32": 494.7e12, "bfloat16": 989.4e12},
    "NVIDIA A100": {"TF32": 156e12, "bfloat16": 312e12},
}

MEASURES = ("train", "encode", "sample")

#: Calls before anything is timed.
WARM_UP = 3


@dataclass(frozen=True)
class Row:
    """One contender at one size.

    Attributes:
      kind: of `KINDS`, how its products are taken or whether it is compiled.
      times_depth: its depth, in those of the workload.
      measures: what it is timed at; each but the first takes a program more.
      kernels: whether it is told what the device does in a step.
    """

    contender: str
    batch: int
    kind: str = "plain"
    times_depth: int = 1
    measures: tuple[str, ...] = ("train",)
    kernels: bool = False


#: Options of contenders. ``default`` is the device's fastest way with float32, which on recent GPUs
#: is TF32; `plain` peers take it as well. There our convolutions are matrix products; ``lax`` has
#: XLA's own.
KINDS: dict[str, Mapping[str, Any]] = {
    "default": {"net_precision": "default"},
    "float32": {"net_precision": "highest"},
    "bfloat16": {"net_precision": "default", "net_dtype": "bfloat16"},
    "lax": {"net_precision": "default", "lax": True},
    "plain": {},
    "compiled": {"compiled": True},
}


def rows(batch: int) -> tuple[Row, ...]:
    """Who is measured side by side."""
    return (
        Row("ours-store", batch, "default", measures=MEASURES),
        Row("normflows", batch, measures=MEASURES),
        Row("nflows", batch, measures=MEASURES),
        Row("ours-invert", batch, "default"),
        Row("ours-remat", batch, "default"),
        Row("ours-store", batch, "float32", measures=MEASURES),
        Row("ours-store", batch, "bfloat16"),
    )


def more_rows(small: int, large: int) -> tuple[Row, ...]:
    """What needs more memory, or longer to get ready: larger batches, depths, compiled peers."""
    return (
        Row("ours-store", large, "default", measures=MEASURES),
        Row("normflows", small, "compiled"),
        Row("ours-store", large, "bfloat16", measures=MEASURES),
        Row("ours-invert", small, "default", times_depth=2),
        Row("ours-store", small, "default", times_depth=2),
        Row("ours-remat", small, "default", times_depth=2),
        Row("nflows", small, "compiled"),
    )


def form_rows(small: int, large: int) -> tuple[Row, ...]:
    """Convolutions as matrix products beside XLA's own."""
    return (
        *(Row("ours-store", large, kind, kernels=True) for kind in ("default", "lax")),
        *(Row("ours-store", small, kind) for kind in ("default", "lax", "float32")),
    )


class Runner:
    """A contender's process, getting ready in a thread."""

    def __init__(self, row: Row, job: Job, error: str | None) -> None:
        self.row = row
        self.facts: dict[str, Any] = {"error": error, "ready": False}
        self._job = job
        self._worker: Worker | None = None
        self._closed = error is not None
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        """Begins, unless it cannot."""
        if not self._closed:
            self._thread = threading.Thread(target=self._get_ready, daemon=True)
            self._thread.start()

    def wait(self, seconds: float | None = None) -> bool:
        """Waits at most so long; returns whether it is ready."""
        if self._thread is not None:
            self._thread.join(None if seconds is None else max(seconds, 0.0))
        return self.facts["ready"]

    def time(self, measure: str, seconds: float) -> list[float]:
        """Seconds of every call within so long, at least one."""
        assert self._worker is not None
        return self._worker.ask(measure, seconds)["seconds"]

    def memory(self) -> float | None:
        """The most memory on the device so far, in MiB."""
        assert self._worker is not None
        return self._worker.ask("memory")["device_mib"]

    def note_kernels(self) -> None:
        """Adds what the device does in a step to the facts."""
        assert self._worker is not None
        try:
            self.facts["kernels"] = self._worker.ask("kernels")
        except WorkerError as error:
            self.facts["error"] = str(error)

    def close(self) -> None:
        """Ends the process, whatever it does."""
        self._closed = True
        if self._worker is not None:
            self._worker.close()

    def _get_ready(self) -> None:
        if self._closed:
            return
        try:
            self._worker = Worker(self._job)
            if self._closed:  # meanwhile
                self._worker.close()
                return
            self.facts["versions"] = self._worker.ask("load")["versions"]
            self.facts["parameters"] = self._worker.ask("build")["parameters"]
            self.facts["first_step"] = self._worker.ask("train", 0)["seconds"][0]
            for _ in range(WARM_UP):
                self._worker.ask("train", 0)
            self.facts["train_device_mib"] = self.memory()
            for measure in self.row.measures[1:]:
                for _ in range(WARM_UP):
                    self._worker.ask(measure, 0)
        except (WorkerError, OSError, ValueError) as error:
            self.facts["error"] = self.facts["error"] or str(error)
        else:
            self.facts["ready"] = True


#: Seconds of calls, by row and measure.
Rates = dict[Row, dict[str, list[float]]]


@dataclass(frozen=True)
class Fast:
    """All contenders on one workload.

    Attributes:
      seconds: of timing, per measure of a row.
      peak_size: of the square matrices whose product shows the device's peak.
    """

    work: Workload
    rows: tuple[Row, ...]
    seconds: float
    peak_size: int
    rounds: int = 2

    def prepare(self) -> list[Runner]:
        """All contenders, started; peers not installed say so."""
        folder = Path(mkdtemp(prefix="accelerator-"))
        files: dict[int, Path] = {}
        runners = []
        for row in self.rows:
            work = self._work(row)
            if row.batch not in files:
                files[row.batch] = work.save_batches(folder)
            job = Job(
                *(row.contender, work, files[row.batch], folder / "cache"),
                options=KINDS[row.kind],
                platform=None,
            )
            missing = _missing(row.contender)
            error = None if missing is None else f"skipped: {missing} is not installed"
            runners.append(Runner(row, job, error))
        for runner in runners:
            runner.start()
        return runners

    def _work(self, row: Row) -> Workload:
        name = f"{self.work.name}-{row.batch}"
        depth = self.work.depth * row.times_depth
        return Workload(name, depth, row.batch, self.work.size, self.work.levels, self.work.width)

    def run(self, runners: list[Runner], record: Record, deadline: Deadline) -> None:
        """Times whoever is ready in time, in rounds, and ends all processes."""
        rates: Rates = {}
        try:
            ready = self._ready(runners, deadline)
            peaks = self._peaks()
            for _ in range(self.rounds):
                for runner in ready:
                    for measure in runner.row.measures:
                        if deadline.left > 0:
                            own = rates.setdefault(runner.row, {}).setdefault(measure, [])
                            own += self._time(runner, measure)
                self._note(record, runners, rates, peaks)
            for runner in ready:
                if runner.row.kernels and deadline.left > 0 and runner.facts["error"] is None:
                    runner.note_kernels()
                    self._note(record, runners, rates, peaks)
        finally:
            for runner in runners:
                runner.close()

    def _note(
        self, record: Record, runners: list[Runner], rates: Rates, peaks: Mapping[str, float]
    ) -> None:
        record.note(
            workload=repr(self.work),
            peaks=peaks,
            stated_peaks=stated_peaks(jax.devices()[0].device_kind),
            rows=[self._found(runner, rates, peaks) for runner in runners],
        )

    def _ready(self, runners: list[Runner], deadline: Deadline) -> list[Runner]:
        """Waits while time for timing is left; ends whoever is late, which would disturb others."""
        timing = self.seconds * self.rounds * sum(len(runner.row.measures) for runner in runners)
        waiting = deadline.share(1 - min(0.5, timing / max(deadline.left, 1e-9)))
        ready = [runner for runner in runners if runner.wait(waiting.left)]
        for runner in runners:
            if runner not in ready:
                runner.facts["error"] = runner.facts["error"] or "skipped: not ready in time"
                runner.close()
        return ready

    def _time(self, runner: Runner, measure: str) -> list[float]:
        try:
            return runner.time(measure, self.seconds)
        except WorkerError as error:
            runner.facts["error"] = str(error)
            return []

    def _peaks(self) -> dict[str, float]:
        """FLOP/s of products of float32 matrices, by default as nets have it, and of bfloat16."""
        return {
            dtype: device_peak(dtype, self.peak_size, self.seconds)
            for dtype in ("float32", "bfloat16")
        }

    def _found(self, runner: Runner, rates: Rates, peaks: Mapping[str, float]) -> dict[str, Any]:
        """A row of the JSON: images per second, medians over all calls."""
        row, facts = runner.row, dict(runner.facts)
        for measure, seconds in rates.get(row, {}).items():
            if seconds:
                facts[measure] = row.batch / statistics.median(seconds)
                facts[f"{measure}_calls"] = len(seconds)
        if "train" in facts and peaks and row.kind != "float32":
            dtype = "bfloat16" if row.kind == "bfloat16" else "float32"
            flops = facts["train"] * self._work(row).nominal_flops
            facts |= {"train_flops": flops, "share_of_peak": flops / peaks[dtype]}
        return {
            "contender": row.contender,
            "kind": row.kind,
            "batch": row.batch,
            "depth": self._work(row).depth,
            **facts,
        }


def _missing(contender: str) -> str | None:
    """The package that a peer lacks, if any."""
    if CONTENDERS[contender].is_ours:
        return None
    needed = ("torch", *CONTENDERS[contender].packages[1:])
    return next((name for name in needed if importlib.util.find_spec(name) is None), None)


def stated_peaks(device: str) -> dict[str, float] | None:
    """Of a device by its name, None for others."""
    return next((own for name, own in STATED_PEAKS.items() if device.startswith(name)), None)
