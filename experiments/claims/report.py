"""Verdicts as strict JSON and as a table."""

import dataclasses
import io
from collections.abc import Sequence
from pathlib import Path

from rich import box
from rich.console import Console
from rich.table import Table

from experiments.claims.verdicts import Verdict
from flowjax_glow.files import write_json


def write_claims(path: str | Path, verdicts: Sequence[Verdict]) -> None:
    """Writes claims.json: ``{"claims": [...]}``, numbers that are not finite as strings."""
    write_json(Path(path), {"claims": [dataclasses.asdict(each) for each in verdicts]})


def claims_table(verdicts: Sequence[Verdict], width: int = 120) -> str:
    """A table of `width` characters, the same in a terminal and in a pipe."""
    table = Table(box=box.SIMPLE_HEAD, show_lines=True, title="Claims (* ours, not the paper's)")
    table.add_column("claim", no_wrap=True)
    table.add_column("verdict", no_wrap=True)
    table.add_column("seeds", no_wrap=True)
    table.add_column("what is claimed", ratio=2)
    table.add_column("what was measured [95 % interval]", ratio=3)
    for each in verdicts:
        name = f"{each.claim}{' *' if each.ours else ''}"
        seeds = ",".join(map(str, each.seeds)) or "none"
        table.add_row(name, each.verdict, seeds, each.title, each.statement)
    text = io.StringIO()
    console = Console(file=text, width=width, color_system=None, markup=False, highlight=False)
    console.print(table)
    return "\n".join(line.rstrip() for line in text.getvalue().splitlines())
