"""Commands as a user types them."""

import contextlib
import io

from flowjax_glow.__main__ import main
from flowjax_glow.commands.command import run_command


def invoke(*arguments):
    """The exit code and what was printed, on both streams.

    The first argument is a subclass of `Command`, or all are those of `flowjax-glow`.
    """
    told = io.StringIO()
    with contextlib.redirect_stdout(told), contextlib.redirect_stderr(told):
        try:
            if arguments and isinstance(arguments[0], type):
                run_command(arguments[0], [str(argument) for argument in arguments[1:]])
            main([str(argument) for argument in arguments])
        except SystemExit as end:
            return end.code, told.getvalue()
    raise AssertionError("a command ends by exiting")
