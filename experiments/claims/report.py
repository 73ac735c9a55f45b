"""Verdicts as strict JSON and as text."""

import dataclasses
import textwrap
from collections.abc import Sequence
from pathlib import Path

from experiments.claims.verdicts import Verdict
from flowjax_glow.files import write_json

#: Characters of a line; a terminal has so many.
WIDTH = 80

#: Of what is said below the name of a claim.
INDENT = " " * 4


def write_claims(path: str | Path, verdicts: Sequence[Verdict]) -> None:
    """Writes claims.json: ``{"claims": [...]}``, numbers that are not finite as strings."""
    write_json(Path(path), {"claims": [dataclasses.asdict(each) for each in verdicts]})


def claims_text(verdicts: Sequence[Verdict]) -> str:
    """A paragraph per claim that could be judged, and one about what the others lack."""
    parts = ["Claims, by the rules of docs/claims.md; intervals at 95 %"]
    parts += [_paragraph(each) for each in verdicts if not each.missing]
    lacking = [f"{each.claim} ({each.missing})" for each in verdicts if each.missing]
    if lacking:
        parts.append(_filled(f"Not judged; finished are only: {'; '.join(lacking)}."))
    return "\n\n".join(parts) + "\n"


def _paragraph(verdict: Verdict) -> str:
    seeds = ", ".join(map(str, verdict.seeds))
    whose = ", a claim of ours" if verdict.ours else ""
    head = f"{verdict.claim}: {verdict.verdict} (seeds {seeds}{whose})"
    return "\n".join(
        [_filled(head), _filled(verdict.title, INDENT), _filled(verdict.statement, INDENT)]
    )


def _filled(text: str, indent: str = "") -> str:
    return textwrap.fill(
        text, WIDTH, initial_indent=indent, subsequent_indent=indent, break_on_hyphens=False
    )
