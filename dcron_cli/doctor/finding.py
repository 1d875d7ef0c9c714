"""One line of the doctor's answer."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict, dataclass
from enum import StrEnum
from typing import Any


class Level(StrEnum):
    """How bad it is: `warn` can wait until the morning, `ill` cannot."""

    OK = "ok"
    WARN = "warn"
    ILL = "ill"


@dataclass(frozen=True, slots=True)
class Finding:
    """`what` names the part; `remedy` is a command where there is one, else what to do, else ""."""

    level: Level
    what: str
    message: str
    remedy: str = ""

    def line(self) -> str:
        """For people: one line."""
        text = f"{self.level:<4}  {self.what:<15}  {self.message}"
        return f"{text}  ->  {self.remedy}" if self.remedy else text

    def json(self) -> dict[str, Any]:
        """For programs."""
        return asdict(self)


def ok(what: str, message: str) -> Finding:
    return Finding(Level.OK, what, message)


def warn(what: str, message: str, remedy: str = "") -> Finding:
    return Finding(Level.WARN, what, message, remedy)


def ill(what: str, message: str, remedy: str = "") -> Finding:
    return Finding(Level.ILL, what, message, remedy)


def is_well(findings: Iterable[Finding]) -> bool:
    """Whether nothing is ill; warnings are allowed."""
    return all(finding.level is not Level.ILL for finding in findings)
