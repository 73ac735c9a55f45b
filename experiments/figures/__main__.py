"""``python -m experiments.figures RUN`` draws the figures of a sweep or a run again."""

import sys

import click

from experiments.figures import draw_all


@click.command()
@click.argument("run")
def main(run: str) -> None:
    """Draw the figures of RUN, a sweep folder or a run folder, again.

    Nothing is trained and no device is used. The figures go to RUN/figures, each as .png, .svg and
    the arrays that are drawn (.npz).
    """
    try:
        files = draw_all(run)
    except ValueError as error:
        print(error, file=sys.stderr)
        sys.exit(2)
    for file in files:
        if file.suffix == ".png":
            print(file)


if __name__ == "__main__":
    main()
