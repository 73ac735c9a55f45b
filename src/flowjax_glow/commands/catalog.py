"""Every subcommand of `flowjax-glow`, and which one a command line asks for."""

import difflib
import sys
from collections.abc import Sequence
from typing import NoReturn

from flowjax_glow.commands.attack import Attack
from flowjax_glow.commands.command import Command, run_command
from flowjax_glow.commands.diagnose import Diagnose
from flowjax_glow.commands.errors import USAGE
from flowjax_glow.commands.explore import Explore
from flowjax_glow.commands.export import Export
from flowjax_glow.commands.figures import Figures
from flowjax_glow.commands.gradients import Gradients
from flowjax_glow.commands.importing import Import
from flowjax_glow.commands.mixing import Mixing
from flowjax_glow.commands.plan import PlanRun
from flowjax_glow.commands.repair import Repair
from flowjax_glow.commands.sample import Sample
from flowjax_glow.commands.streams import tolerant_streams
from flowjax_glow.commands.track import Track
from flowjax_glow.commands.train import Train

#: By name, in the order of the help.
COMMANDS: dict[str, type[Command]] = {
    "train": Train,
    "sample": Sample,
    "diagnose": Diagnose,
    "figures": Figures,
    "repair": Repair,
    "attack": Attack,
    "mixing": Mixing,
    "explore": Explore,
    "gradients": Gradients,
    "import": Import,
    "export": Export,
    "track": Track,
    "plan": PlanRun,
}


def dispatch(arguments: Sequence[str], prog: str) -> NoReturn:
    """Runs the subcommand that the first argument names, and exits."""
    name, *rest = arguments or ("--help",)
    if name in COMMANDS:
        run_command(COMMANDS[name], rest, prog=f"{prog} {name}")
    if name in ("-h", "--help"):
        with tolerant_streams():
            print(usage(prog))
        sys.exit(0)
    close = difflib.get_close_matches(name, COMMANDS)
    advice = f"did you mean {close[0]}?" if close else f"see {prog} --help"
    print(f"error: {prog}: expected a command, got {name!r}; {advice}", file=sys.stderr)
    sys.exit(USAGE)


def usage(prog: str) -> str:
    """A line per command: what it is for."""
    return "\n".join(
        [
            f"usage: {prog} COMMAND ...",
            "",
            "A first run, in less than two minutes on two cores:",
            f"  {prog} train --data=digits --steps=200",
            "",
            *(
                f"  {name:<10} {(command.__doc__ or '').splitlines()[0]}"
                for name, command in COMMANDS.items()
            ),
            "",
            f"{prog} COMMAND --help tells more, and {prog} --version which release this is.",
        ]
    )
