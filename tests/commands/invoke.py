"""Commands as a user types them."""

import contextlib
import io

from flowjax_glow.__main__ import main
from flowjax_glow.commands.command import run_command


def invoke(command, *arguments):
    """The exit code and what was printed, on both streams; `command` is a name or a class."""
    told = io.StringIO()
    with contextlib.redirect_stdout(told), contextlib.redirect_stderr(told):
        try:
            if isinstance(command, str):
                main([command, *map(str, arguments)])
            run_command(command, [str(argument) for argument in arguments])
        except SystemExit as end:
            return end.code, told.getvalue()
    raise AssertionError("a command ends by exiting")
