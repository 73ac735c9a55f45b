"""Finished and unfinished runs, read from their folders (docs/run-folder.md is the format)."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from flowjax_glow.arrays import ArraysError, read_npz
from flowjax_glow.errors import expected
from flowjax_glow.files import from_strict, read_json
from flowjax_glow.runs.folder import read_status, read_summary
from flowjax_glow.training.metrics import Row, read_metrics

Arrays = Mapping[str, np.ndarray]


@dataclass(frozen=True)
class Run:
    """One run, as far as it came.

    Attributes:
        folder: where it lies.
        variant: its name.
        seed: its seed.
        status: `running`, `done`, `diverged`, `failed` or `preempted`; `unknown` if nothing tells.
        config: the experiment, as JSON.
        metrics: the rows of metrics.jsonl, without a torn last line.
        looks: the arrays of look-*.npz by step, read when asked for.
        clippings: the arrays of clipping-*.npz by step, read when asked for.
        summary: the numbers of the table; None while the run is unfinished.
    """

    folder: Path
    variant: str
    seed: int
    status: str
    config: Mapping[str, Any]
    metrics: tuple[Row, ...]
    looks: Mapping[int, Any]  # of `Arrays`, which a check of types must not read
    clippings: Mapping[int, Any]
    summary: Mapping[str, Any] | None

    @property
    def is_finished(self) -> bool:
        """Whether training came to its end, be it by diverging."""
        return self.summary is not None

    def last_look(self) -> Arrays:
        """The arrays of the last look.

        Raises:
            ValueError: if there was none.
        """
        return self._last("look", self.looks)

    def last_clipping(self) -> Arrays:
        """The arrays of the last clipping.

        Raises:
            ValueError: if there was none.
        """
        return self._last("clipping", self.clippings)

    def layers(self) -> list[str]:
        """The names of the sub-layers in the order of generation.

        Raises:
            ValueError: if no clipping was measured, which is where they stand.
        """
        return self.last_clipping()["layers"].tolist()

    def row_at(self, temperature: float) -> int:
        """Which row of the last look's arrays is of this noise level.

        Raises:
            ValueError: if there was no look, or none at this level.
        """
        taus = self.last_look()["taus"]
        rows = np.flatnonzero(np.isclose(taus, temperature))
        if not rows.size:
            raise expected(
                f"{self.folder}",
                f"one of the noise levels {', '.join(f'{tau:g}' for tau in taus)}",
                got=temperature,
                advice="ask for one of these",
            )
        return int(rows[0])

    def series(self, field: str) -> dict[int, Any]:
        """One field of the metrics by step, of the rows that have it."""
        return {row["step"]: row[field] for row in self.metrics if field in row}

    def _last(self, kind: str, arrays: Mapping[int, Any]) -> Arrays:
        if not arrays:
            raise expected(f"{self.folder}", f"a {kind}", got="none", advice="train further")
        return arrays[max(arrays)]

    def window_losses(self) -> dict[int, float]:
        """The mean loss of every window, bits/dim, by its last step."""
        return self.series("window_loss")


class ArrayFiles(Mapping[int, Arrays]):
    """Files like ``look-000100.npz`` of a folder by step; each is read once, when asked for."""

    def __init__(self, folder: Path, kind: str) -> None:
        files = sorted(folder.glob(f"{kind}-[0-9]*.npz"))
        self._files = {int(file.stem.rpartition("-")[2]): file for file in files}
        self._arrays: dict[int, Arrays] = {}

    def __getitem__(self, step: int) -> Arrays:
        if step not in self._arrays:
            self._arrays[step] = _read_arrays(self._files[step])
        return self._arrays[step]

    def __iter__(self) -> Iterator[int]:
        return iter(sorted(self._files))

    def __len__(self) -> int:
        return len(self._files)


def load_sweep(path: str | Path) -> list[Run]:
    """The runs of a sweep folder that exist, in its order, or the one run of a run folder.

    Raises:
        ValueError: if `path` is neither, or a file in it is broken.
    """
    return [load_run(folder) for folder in run_folders(Path(path))]


def run_folders(folder: Path) -> list[Path]:
    """`folder` itself if it is a run's; of a sweep's, those of its runs that have begun.

    Raises:
        ValueError: if it is neither.
    """
    if (folder / "config.json").is_file():
        return [folder]
    index = folder / "sweep.json"
    if not index.is_file():
        raise _neither(folder)
    runs = [folder / name for name in run_names(index)]
    return [run for run in runs if (run / "config.json").is_file()]


def _neither(folder: Path) -> ValueError:
    return expected(
        f"{folder}",
        "a sweep folder (with sweep.json) or a run folder (with config.json)",
        got="neither" if folder.is_dir() else "a file" if folder.is_file() else "no such folder",
        advice="train with flowjax-glow train, which prints where its folder lies",
    )


def load_run(folder: Path) -> Run:
    """The run of a run folder, finished or not.

    Raises:
        ValueError: if it is none, or a file in it is broken.
    """
    if not (folder / "config.json").is_file():
        raise _neither(folder)
    config = from_strict(read_json(folder / "config.json", {"variant": str, "seed": int}))
    summary = from_strict(read_summary(folder))
    metrics = folder / "metrics.jsonl"
    return Run(
        folder=folder,
        variant=config["variant"],
        seed=config["seed"],
        status=(summary or read_status(folder) or {"status": "unknown"})["status"],
        config=config,
        metrics=tuple(read_metrics(metrics)) if metrics.is_file() else (),
        looks=ArrayFiles(folder / "arrays", "look"),
        clippings=ArrayFiles(folder / "arrays", "clipping"),
        summary=summary,
    )


def run_names(index: Path) -> list[str]:
    """The runs that a sweep.json lists, folders beside it; none if there is no such file.

    Raises:
        ValueError: if the file is damaged, or names what lies elsewhere.
    """
    names = (read_json(index, {"runs": list}) or {"runs": []})["runs"]
    if not all(isinstance(name, str) and name and Path(name).name == name for name in names):
        raise expected(
            f"{index}", "`runs` to be names", got=repr(names)[:80], advice="restore the file"
        )
    return names


def _read_arrays(file: Path) -> Arrays:
    try:
        return read_npz(file)
    except (OSError, ArraysError) as error:
        raise expected(
            str(file),
            "an .npz file of plain arrays",
            got=error,
            advice="restore the file, or move the run folder away (train and sweep: --restart)",
        ) from error
