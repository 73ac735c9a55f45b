"""``python -m experiments.claims RUN``: judges the runs of a folder again, without training."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NoReturn

from experiments.claims.report import claims_text, write_claims
from experiments.claims.rules import judge
from flowjax_glow.commands.command import OnRuns, run_command
from flowjax_glow.runs.results import load_sweep


@dataclass(frozen=True, kw_only=True)
class Claims(OnRuns):
    """Judge the runs of a sweep folder or a run folder by the rules of docs/claims.md.

    Prints the verdicts and, in a sweep folder, writes them to claims.json.
    """

    def __call__(self) -> None:
        verdicts = judge(load_sweep(self.run))
        print(claims_text(verdicts))
        if (self.run / "sweep.json").is_file():  # a run folder belongs to its run alone
            write_claims(self.run / "claims.json", verdicts)
            print(f"verdicts: {self.run / 'claims.json'}")


def main(arguments: Sequence[str] | None = None) -> NoReturn:
    """Runs the command and exits; by default with the arguments of this process."""
    run_command(Claims, arguments, prog="python -m experiments.claims")


if __name__ == "__main__":
    main()
