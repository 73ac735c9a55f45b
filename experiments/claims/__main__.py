"""``python -m experiments.claims RUN``: judges the runs of a folder again, without training."""

import sys
from pathlib import Path

import click

from experiments.claims import claims_table, judge, write_claims
from flowjax_glow.runs.results import load_sweep


@click.command()
@click.argument("folder", metavar="RUN", type=click.Path(path_type=Path))
def main(folder: Path) -> None:
    """Judge the runs of RUN, a sweep folder or a run folder, by the rules of docs/claims.md.

    Prints the verdicts and, in a sweep folder, writes them to claims.json.
    """
    try:
        verdicts = judge(load_sweep(folder))
    except (ValueError, OSError) as error:
        click.echo(f"error: {error}", err=True)
        sys.exit(2)
    click.echo(claims_table(verdicts))
    if (folder / "sweep.json").is_file():  # a run folder belongs to its run alone
        write_claims(folder / "claims.json", verdicts)
        click.echo(f"verdicts: {folder / 'claims.json'}")


if __name__ == "__main__":
    main()
