"""How fast is our GLOW, and how much memory does it take, beside other libraries' on the CPU?

```sh
pip install '.[benchmarks]'
python -m benchmarks.run --workload small --output runs/benchmark-small
python -m benchmarks.run --quick --contenders ours-store --rounds 1 --starts 0   # seconds
```

It writes benchmark.json with every single figure, table.md and chart.png; python -m
benchmarks.report FOLDER makes the last two again. A contender that cannot run is reported with its
error. Use the machine for nothing else meanwhile; the table says how much of it others took.
"""

import argparse
import sys
from pathlib import Path

from benchmarks.contenders import CONTENDERS, choose
from benchmarks.workloads import WORKLOADS


def arguments(words: list[str] | None) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--workload", choices=WORKLOADS, default="small", help="of the rounds")
    parser.add_argument("--contenders", default=",".join(CONTENDERS), help="names with commas")
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--seconds", type=float, default=1.0, help="of a turn, in every round")
    parser.add_argument("--starts", type=int, default=2, help="cold and warm ones per workload")
    parser.add_argument("--output", type=Path, default=Path("runs/benchmark"), help="a folder")
    parser.add_argument("--quick", action="store_true", help="tiny models: nothing to report")
    return parser.parse_args(words)


def main(words: list[str] | None = None) -> None:
    """Measures and reports."""
    options = arguments(words)
    try:
        contenders = choose(options.contenders)
    except ValueError as error:
        sys.exit(f"error: {error}")
    # Only now: these import the frameworks, which --help has no use for.
    from benchmarks.report import report
    from benchmarks.session import Session

    Session(
        workload=options.workload,
        contenders=contenders,
        rounds=options.rounds,
        seconds=options.seconds,
        starts=options.starts,
        quick=options.quick,
        output=options.output,
    ).run()
    print(report(options.output))


if __name__ == "__main__":
    main()
