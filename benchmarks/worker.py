"""A process that holds one contender and does what the lines on its standard input say.

A line is a command and its numbers, such as ``train 0.7``; each is answered by one JSON object on
standard output. Between two lines the process waits, and uses no processor.
"""

import argparse
import importlib
import json
import os
import sys
import traceback
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from benchmarks.contenders import CONTENDERS, Entry
from benchmarks.machine import peak_device_mib, peak_resident_mib, resident_mib, versions
from benchmarks.peaks import matmul_peak
from benchmarks.timing import timed
from benchmarks.workloads import Workload


class Commands:
    """What a worker can be told, one method per command; what it returns is the answer."""

    def __init__(
        self, entry: Entry, work: Workload, batches: Path, options: Mapping[str, Any] | None = None
    ) -> None:
        self._entry = entry
        self._options = {**entry.options, **(options or {})}
        self._work = work
        self._batches = batches
        self._module: Any = None
        self._images: Any = None
        self._contender: Any = None

    def load(self) -> dict[str, Any]:
        """Imports everything and reads the batches; the resident memory is that before a model."""
        try:
            self._module = importlib.import_module(self._entry.module)
        except ImportError as error:
            raise _missing(error) from error
        import numpy as np

        self._images = np.load(self._batches)
        return {"versions": versions(self._entry.packages), "mib": resident_mib()}

    def build(self) -> dict[str, Any]:
        """Makes the model."""
        self._contender = self._module.build(self._work, self._images, **self._options)
        return {"parameters": self._contender.parameters}

    def train(self, seconds: float) -> dict[str, Any]:
        """Steps for so long, at least one; the loss is the last one's."""
        figures, loss = timed(self._contender.train, seconds)
        return figures | {"loss": loss}

    def encode(self, seconds: float) -> dict[str, Any]:
        """Encodes for so long, at least once."""
        return timed(self._contender.encode, seconds)[0]

    def sample(self, seconds: float) -> dict[str, Any]:
        """Samples for so long, at least once."""
        return timed(self._contender.sample, seconds)[0]

    def kernels(self) -> dict[str, Any]:
        """What the accelerator does in a step."""
        from benchmarks.kernels import device_kernels

        return device_kernels(self._contender.train)

    def facts(self) -> dict[str, Any]:
        """What is counted, and which share of latents and samples is finite."""
        return self._contender.facts() | {
            "finite_latents": _finite_share(self._contender.encode()),
            "finite_samples": _finite_share(self._contender.sample()),
        }

    def peak(self, seconds: float) -> dict[str, Any]:
        """The best speed of a matrix product within so long, in FLOP/s."""
        return {"flops": matmul_peak(self._entry.framework, seconds)}

    def memory(self) -> dict[str, Any]:
        """The most memory that this process had so far, and of it on its accelerator, if any."""
        return {"mib": peak_resident_mib(), "device_mib": peak_device_mib(self._entry.framework)}


def _finite_share(arrays: Any) -> float:
    import numpy as np

    return float(np.isfinite(np.concatenate([array.ravel() for array in arrays])).mean())


def _missing(error: ImportError) -> ValueError:
    from flowjax_glow.errors import expected

    return expected(
        "benchmarks",
        "the packages of the extra `benchmarks`",
        got=f"no {error.name} ({error})",
        advice="pip install '.[benchmarks]'",
    )


def answer(commands: Commands, line: str) -> dict[str, Any]:
    """Obeys a line; a failure is an answer, too, so that the parent can report it."""
    command, *numbers = line.split()
    try:
        return getattr(commands, command)(*map(float, numbers))
    except Exception as error:
        traceback.print_exc()
        return {"error": f"{type(error).__name__}: {' '.join(str(error).split())}"}


def main() -> None:
    """Obeys until standard input ends."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("contender", choices=CONTENDERS)
    parser.add_argument("--workload", required=True, help="a JSON object of its fields")
    parser.add_argument("--batches", type=Path, required=True, help="an .npy file")
    parser.add_argument("--options", default="{}", help="a JSON object, for its `build`")
    options = parser.parse_args()
    work = Workload(**json.loads(options.workload))
    entry, own = CONTENDERS[options.contender], json.loads(options.options)
    commands = Commands(entry, work, options.batches, own)

    answers = os.fdopen(os.dup(sys.stdout.fileno()), "w")
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())  # what libraries print is no answer
    for line in sys.stdin:
        print(json.dumps(answer(commands, line)), file=answers, flush=True)


if __name__ == "__main__":
    main()
