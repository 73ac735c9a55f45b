"""What survives, and the figures that say so.

python -m tests.soak                  # all of it
python -m tests.soak kills readers    # parts
python -m tests.soak --share=0.1      # a tenth of each
"""

import argparse
import os
import sys
import tempfile
import time
from functools import partial
from pathlib import Path

import jax

from tests.soak import damages, files, kills, readers
from tests.soak.attempts import train_toy
from tests.soak.models import models
from tests.soak.runs import command, example, saving
from tests.training import toy

#: What there is, and how much of it by default.
PARTS = {
    "files": 10_000,
    "pictures": 1_000,
    "models": 10_000,
    "kills": 100,
    "toy-kills": 100,
    "damages": 9,
    "readers": 1_000,
}

#: Of all kills, those that must hit a save.
INSIDE = 0.3


def soak(
    part: str, count: int, seed: int, place: Path
) -> files.Outcome | kills.Kills | damages.Damages | readers.Readers:
    """What came of a part."""
    if part == "files":
        return files.soak(files.files(place), count, seed)
    if part == "pictures":
        return files.soak(files.pictures(place), count, seed)
    if part == "models":
        return files.soak(models(place), count, seed)
    if part == "damages":
        return damages.soak(place)
    if part == "readers":
        return readers.soak(count, place)
    inside = round(INSIDE * count)
    killing = partial(kills.soak, kills=count, inside=inside, seed=seed, place=place)
    if part == "toy-kills":
        return killing(train_toy, toy.start())
    killed = saving(40)
    return killing(command(killed, place), example(killed))


def main() -> int:
    """Runs from the command line; 1 if there was a fault."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("parts", nargs="*", metavar="PART", help=f"of {', '.join(PARTS)}; all")
    parser.add_argument("--share", type=float, default=1.0, help="of the usual number of inputs")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    if unknown := set(options.parts) - PARTS.keys():
        parser.error(f"expected parts of {', '.join(PARTS)}, got {', '.join(sorted(unknown))}")
    # Every model is trained for seconds. Processes that are started read the variable.
    os.environ["JAX_DISABLE_MOST_OPTIMIZATIONS"] = "1"
    jax.config.update("jax_disable_most_optimizations", True)
    faults = []
    for part in options.parts or PARTS:
        begin = time.monotonic()
        with tempfile.TemporaryDirectory() as place:
            told = soak(part, max(1, round(PARTS[part] * options.share)), options.seed, Path(place))
        print(f"{part}: {told}; {len(told.faults)} faults, {time.monotonic() - begin:.0f} s")
        for fault in told.faults:
            print(f"  {fault}")
        sys.stdout.flush()
        faults += told.faults
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
