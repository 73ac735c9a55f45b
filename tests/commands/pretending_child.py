"""Stands in for `commands.child`: what it does is told by the seed of its experiment."""

import json
import os
import sys
import time
from pathlib import Path

DONE, DIVERGED, ABORTS, FAILS, COMPLAINS, WAITS = range(6)


def main() -> None:
    order = json.loads(sys.stdin.readline())
    folder, seed = Path(order["folder"]), order["experiment"]["seed"]
    folder.mkdir(parents=True)
    (folder / "status.json").write_text('{"status": "running", "step": 0, "seconds": 0}')
    (folder / "environment.json").write_text(json.dumps(dict(os.environ)))
    print("\x1e" + json.dumps({"step": 1, "status": "hello"}), flush=True)
    if seed in (DONE, DIVERGED):
        status = "done" if seed == DONE else "diverged"
        (folder / "summary.json").write_text(json.dumps({"status": status, "steps": 60}))
    elif seed == ABORTS:
        print("something inside gives way", file=sys.stderr, flush=True)
        os.abort()
    elif seed == FAILS:
        sys.exit(1)
    elif seed == COMPLAINS:  # once the one that waits is under way
        for _ in range(1200):
            if (folder.with_name(str(WAITS)) / "environment.json").exists():
                break
            time.sleep(0.05)
        print("error: no such data")
        sys.exit(3)
    elif seed == WAITS:
        time.sleep(600)


if __name__ == "__main__":
    main()
