"""How much retention does in one round, and how fast; and what it has done."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

BATCH = 500  # rows of one transaction
ROUND = 50_000  # rows and objects removed in one round
LOOKS = 300  # statements and lists that only read, in one round
PAUSE = 0.1  # seconds after each transaction or list


@dataclass(slots=True)
class Done:
    """Counts of one round. `strays`: outputs that no run names; `files`: executables;
    `tokens`: those that were over."""

    runs: int = 0
    outputs: int = 0
    strays: int = 0
    jobs: int = 0
    files: int = 0
    tokens: int = 0
    whole: bool = True  # nothing was left for the next round


class Pace:
    """`rest` waits some seconds and says whether to go on; not: the manager leads no more, or
    stops."""

    def __init__(self, rest: Callable[[float], bool]) -> None:
        self._rest = rest
        self._left = ROUND
        self._looks = LOOKS
        self._goes_on = True

    @property
    def goes_on(self) -> bool:
        """Whether there is anything left of this round."""
        return self._goes_on and self._left > 0 and self._looks > 0

    def removed(self, number: int) -> None:
        """So many rows or objects went."""
        self._left -= number
        self.breathe()

    def looked(self) -> None:
        """A page was read."""
        self._looks -= 1
        self.breathe()

    def breathe(self) -> None:
        """Let others have their turn."""
        self._goes_on = self._goes_on and self._rest(PAUSE)
