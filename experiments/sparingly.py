"""What may be done now or later is done when it takes little of the time."""

import time
from collections.abc import Callable


class Sparingly:
    """Calls `action` at once the first time, and later where it took less than `share` of the time.

    `pending` tells that it was asked for and has not been done since.
    """

    def __init__(
        self,
        action: Callable[[], None],
        share: float = 0.1,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.pending = False
        self._action = action
        self._share = share
        self._clock = clock
        self._start = clock()
        self._spent = 0.0

    def __call__(self) -> None:
        begin = self._clock()
        self.pending = self._spent > self._share * (begin - self._start)
        if not self.pending:
            self._action()
            self._spent += self._clock() - begin
