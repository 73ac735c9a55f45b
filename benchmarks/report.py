"""benchmark.json as a page and a chart: `python -m benchmarks.report FOLDER`."""

import json
import sys
from pathlib import Path

from benchmarks.summary import Summary
from benchmarks.tables import page


def report(folder: Path) -> str:
    """Writes table.md and chart.png beside benchmark.json; returns the text of the table."""
    from benchmarks.chart import chart

    summary = Summary(json.loads((folder / "benchmark.json").read_text()))
    text = page(summary)
    (folder / "table.md").write_text(text)
    (folder / "chart.png").write_bytes(chart(summary))
    return text


if __name__ == "__main__":
    print(report(Path(sys.argv[1])))
