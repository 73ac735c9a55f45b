"""What only an accelerator can show: speed, and whether the inverse breaks at real scale.

```sh
PYTHONPATH=src python3 -m benchmarks.accelerator --call=A --data=DATA --output=OUT --deadline=530
PYTHONPATH=src python3 -m benchmarks.accelerator --call=B --data=DATA --output=OUT --deadline=220
PYTHONPATH=src python3 -m benchmarks.accelerator --call=C --data=DATA --output=OUT --deadline=530
PYTHONPATH=src python3 -m benchmarks.accelerator --call=D --data=DATA --output=OUT --deadline=165
```

Call A: whether the arithmetic is right (round trips, log-dets, gradients), how fast it is beside
PyTorch's normflows and nflows, then the model of the paper's author on faces at 64x64, its
remedies, and randomized splits whose permutations are lost. Call B: CIFAR-10 at 32x32. Call C: the
models of call A at a tenth of its learning rate, which is the author's own. Call D: what a step
does on the device, with convolutions as matrix products and as XLA's own. Nothing is installed;
peers that are missing are skipped. DATA holds celeba-128.zip (faces, 128x128 JPEG) and
cifar10-jpeg.zip (train/CLASS/*.jpg, test/CLASS/*.jpg). Each phase leaves a JSON file in OUT, some
an .npz beside it, and a call that is cut off keeps what it had. `python -m
benchmarks.accelerator.report OUT` turns them into the results of docs/accelerator.md.

Rules, fixed before the runs:

C1, the inverse at z = 0, holds at this scale if the largest activation there exceeds 50 at the last
two looks. Otherwise the slope of its logarithm against that of the step, over all looks after the
start, and the step at which it would cross 50 on that line, are reported.

Figure 5 is reproduced by lost permutations if, after training, more than half of the images have a
relative error above 0.1 at every clip with permutations drawn anew, in every draw, and before
training none has, with the model's own permutations, without a clip.

Speed is a ratio of two numbers of the same call: training at least 2.5 times normflows as it is and
1.5 times normflows compiled, at batch 64; sampling at least 3 times; 0.35 of the TF32 peak at batch
256; a step of `invert` within 1.3 of one of `store`, and its memory flat in depth: less parameters,
gradients and training state, at depth 64 no more than 1.1 times that at depth 32.

The least noise level at which 1 % of samples pass 50 is searched up to 2. Whatever comes out is
written down; non-finite values count as infinite; a step whose gradient is not finite is skipped
and counted.

Added after the first run of call A, in which training itself broke down: where held-out images cost
more at the last look than before training, both verdicts are stated and said to be of a flow whose
forward direction is lost, too; fifty skipped steps in a row end a training.
"""

import argparse
import os
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

#: Seconds that a phase may run over the deadline, as in a compiler, before the process is ended.
GRACE = 20.0


def arguments(words: Sequence[str] | None) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.accelerator",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--call", choices=("A", "B", "C", "D"), required=True)
    parser.add_argument("--data", type=Path, required=True, help="folder of the two zip files")
    parser.add_argument("--output", type=Path, required=True, help="folder for the results")
    parser.add_argument("--deadline", type=float, required=True, help="seconds from now")
    parser.add_argument("--tiny", action="store_true", help="to try it: models of no interest")
    return parser.parse_args(words)


def main(words: Sequence[str] | None = None) -> None:
    """Runs a call; what goes wrong in a phase is in its record, not in the exit status."""
    begun = time.monotonic()
    options = arguments(words)
    from benchmarks.accelerator.call import run_phases
    from benchmarks.accelerator.calls import CALLS, FULL, TINY
    from flowjax_glow.files import write_json

    options.output.mkdir(parents=True, exist_ok=True)
    about = {
        "call": options.call,
        "tiny": options.tiny,
        "deadline": options.deadline,
    } | surroundings()
    path = options.output / f"call-{options.call}.json"
    write_json(path, about)
    phases = CALLS[options.call](options.data, TINY if options.tiny else FULL)
    left = options.deadline - (time.monotonic() - begun)
    records = run_phases(phases, options.output, left)
    statuses = {record.fields["phase"]: record.fields["status"] for record in records}
    write_json(path, about | {"seconds": time.monotonic() - begun, "phases": statuses})


def surroundings() -> dict[str, Any]:
    """Where it runs."""
    from benchmarks.machine import description
    from flowjax_glow.runs.folder import environment

    return {
        "command": " ".join(["python -m benchmarks.accelerator", *sys.argv[1:]]),
        "date": time.strftime("%Y-%m-%d %H:%M:%S%z"),
        "machine": description(),
        "environment": environment(),
        "nvidia_smi": _nvidia_smi(),
    }


def _nvidia_smi() -> str | None:
    try:
        done = subprocess.run(["nvidia-smi"], capture_output=True, text=True, timeout=20)
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout


def command() -> None:
    """`main` in a process of its own, which ends with the deadline whatever a thread still does."""
    os.environ.setdefault("XLA_PYTHON_CLIENT_PREALLOCATE", "false")  # peers want some, too
    seconds = arguments(None).deadline
    guard = threading.Timer(max(seconds, 0.0) + GRACE, lambda: os._exit(0))
    guard.daemon = True
    guard.start()
    from flowjax_glow.runs.compilation import keep_compiled_programs

    keep_compiled_programs()
    main()
    sys.stdout.flush()
    os._exit(0)


if __name__ == "__main__":
    command()
