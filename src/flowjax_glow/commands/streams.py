"""Standard streams that outlive their readers: what nobody can take is left out, the work goes on.

`| head -1` closes a pipe, and a full device takes no more. Neither is a reason to end a training,
nor to end a command that has done its work with another code than it has earned.
"""

import contextlib
import os
import sys
from collections.abc import Iterator
from typing import Any, TypeAlias

#: A text file. `typing.TextIO` would ask for attributes that `io.StringIO` does not have.
Stream: TypeAlias = Any


class Tolerant:
    """A text stream; once a write fails, this and all later ones go nowhere.

    A full device is told on stderr, once. A reader that has seen enough is not.
    """

    def __init__(self, stream: Stream, name: str) -> None:
        self._stream = stream
        self._name = name

    def write(self, text: str) -> int:
        with self._given_up():
            return self._stream.write(text)
        return len(text)

    def flush(self) -> None:
        with self._given_up():
            self._stream.flush()

    @contextlib.contextmanager
    def _given_up(self) -> Iterator[None]:
        """Sends the rest nowhere if the stream takes no more; what is buffered goes there, too."""
        try:
            yield
        except OSError as error:
            nowhere = os.open(os.devnull, os.O_WRONLY)
            os.dup2(nowhere, self._stream.fileno())
            os.close(nowhere)
            if not isinstance(error, BrokenPipeError) and self._name != "stderr":
                print(f"warning: {self._name}: {error}; the rest is not shown", file=sys.stderr)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)


@contextlib.contextmanager
def tolerant_streams() -> Iterator[None]:
    """Makes stdout and stderr tolerant; on leaving, what is buffered is written, or left out."""
    out: Stream
    err: Stream
    out, err = (Tolerant(getattr(sys, name), name) for name in ("stdout", "stderr"))
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        try:
            yield
        finally:
            out.flush()
            err.flush()
