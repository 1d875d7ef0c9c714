"""The five fields of a cron expression, read as Debian's cron 3.0pl1 reads them, but strictly.

A field is a list of items joined by commas; an item is `*`, a value, or a range `a-b`, and `*` and
ranges may carry a step. Debian's cron stops reading a field where it no longer understands it and
drops the rest, so that it takes `1#2` for 1 and `*5` for `*`; here the whole field must be
understood.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from dcron_common.schedule.errors import ScheduleError, quote

_MONTHS = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
_DAYS = ("sun", "mon", "tue", "wed", "thu", "fri", "sat")

# Debian reads a step as any number; beyond the largest field it can only be a slip of the keyboard.
_LARGEST_STEP = 60
_ITEM = re.compile(r"(?P<first>[^-/]*)(?:-(?P<last>[^-/]*))?(?:/(?P<step>[^-/]*))?")
_FOREIGN_SIGNS = {
    "?": "'?' is not of cron; write *",
    "#": "'#' (the n-th weekday of a month) is not of cron",
    "~": "'~' (random) is not of Debian's cron",
}
_FOREIGN_LETTERS = {
    "L": "'L' (last) is not of cron",
    "W": "'W' (nearest weekday) is not of cron",
    "H": "'H' (hashed) is not of cron",
}


@dataclass(frozen=True, slots=True)
class FieldRule:
    """What one of the five fields may hold. A name stands for `low` plus its place in `names`."""

    name: str
    low: int
    high: int
    names: tuple[str, ...] = ()

    @property
    def size(self) -> int:
        """How many values `*` covers (Sunday counts once)."""
        return min(self.high - self.low + 1, len(self.names) or 60)


MINUTE = FieldRule("minute", 0, 59)
HOUR = FieldRule("hour", 0, 23)
DAY_OF_MONTH = FieldRule("day of month", 1, 31)
MONTH = FieldRule("month", 1, 12, _MONTHS)
DAY_OF_WEEK = FieldRule("day of week", 0, 7, _DAYS)
RULES = (MINUTE, HOUR, DAY_OF_MONTH, MONTH, DAY_OF_WEEK)


@dataclass(frozen=True, slots=True)
class Field:
    """A field's values, ascending and distinct, Sunday as 0.

    `starred` says that the text begins with `*`, as `*/2` and `*,3` do: that is what Debian's cron
    looks at for the day rule and for clock changes, not whether all values are there.
    """

    values: tuple[int, ...]
    starred: bool


def parse_field(rule: FieldRule, text: str) -> Field:
    """Read one field. Raises ScheduleError whose message begins with the field's name."""
    values: set[int] = set()
    for item in text.split(","):
        if not item:
            raise _refused(
                rule, text, "a list has an empty place; write values with one comma between"
            )
        values.update(_parse_item(rule, item))
    if rule is DAY_OF_WEEK:
        values = {value % 7 for value in values}
    return Field(tuple(sorted(values)), text.startswith("*"))


def _parse_item(rule: FieldRule, item: str) -> range:
    match = _ITEM.fullmatch(item)
    if match is None:
        raise _refused(
            rule, item, "write a value, a range such as a-b, or a range with a step, a-b/n"
        )
    first, last, step = match["first"], match["last"], match["step"]
    if first == "*":
        if last is not None:
            raise _refused(rule, item, "'*' is already the whole range; write * or */n")
        return range(rule.low, rule.high + 1, _star_step(rule, item, step))
    low = _value(rule, item, first)
    if last is None:
        if step is not None:
            # Debian's cron refuses it, older ones read 5, later ones 5-59/10: nobody can tell.
            hint = f"{low}-{rule.high}/{step}"
            raise _refused(rule, item, f"a step needs a range; write {first} alone, or {hint}")
        return range(low, low + 1)
    high = _value(rule, item, last)
    if low > high:
        raise _refused(rule, item, _backward_hint(rule, first, last, low))
    return range(low, high + 1, 1 if step is None else _step(rule, item, step, _LARGEST_STEP))


def _value(rule: FieldRule, item: str, text: str) -> int:
    if text.isascii() and text.isdigit():
        # The length first: int() of a very long text is slow, and no value needs it.
        number = int(text) if len(text) <= 9 else rule.high + 1
        if not rule.low <= number <= rule.high:
            raise _refused(rule, item, f"values go from {rule.low} to {rule.high}")
        return number
    name = text.lower()
    if name in rule.names:
        return rule.low + rule.names.index(name)
    raise _refused(rule, item, _value_hint(rule, text))


def _step(rule: FieldRule, item: str, text: str, largest: int) -> int:
    if not (text.isascii() and text.isdigit()):
        raise _refused(rule, item, "after '/' stands a number, the step")
    number = int(text) if len(text) <= 9 else largest + 1
    if not 1 <= number <= largest:
        raise _refused(rule, item, f"a step here goes from 1 to {largest}")
    return number


def _star_step(rule: FieldRule, item: str, text: str | None) -> int:
    """A step over the whole field. Beyond the field's size it would not mean what it says."""
    return 1 if text is None else _step(rule, item, text, rule.size)


def _backward_hint(rule: FieldRule, first: str, last: str, low: int) -> str:
    if rule is DAY_OF_WEEK and last.lower() in ("0", "sun"):
        return f"as the end of a range Sunday is 7; write {first}-7"
    return f"the range runs backward; write {low}-{rule.high},{rule.low}-{last}"


def _value_hint(rule: FieldRule, text: str) -> str:
    if not text:
        return "a value is missing"
    for sign, hint in _FOREIGN_SIGNS.items():
        if sign in text:
            return hint
    if text.lower()[:3] in rule.names:
        return f"names have three letters; write {text.lower()[:3]}"
    letter = re.fullmatch(r"[0-9]*([LWH])", text.upper())
    if letter is not None:
        return _FOREIGN_LETTERS[letter[1]]
    if text[0] == "*":
        return "nothing follows * but a step, such as */5"
    if text.lower() in _MONTHS + _DAYS:
        return "names belong in the month and day of week fields"
    names = f", or {rule.names[0]} to {rule.names[-1]}" if rule.names else ""
    return f"values are whole numbers from {rule.low} to {rule.high}{names}"


def _refused(rule: FieldRule, text: str, why: str) -> ScheduleError:
    return ScheduleError(f"{rule.name}: {quote(text)} is refused: {why}")


def in_runs(values: Sequence[int]) -> list[list[int]]:
    """Rising values, neighbours together: 1, 2, 3, 7 are [1, 2, 3] and [7]."""
    runs: list[list[int]] = []
    for value in values:
        if runs and runs[-1][-1] == value - 1:
            runs[-1].append(value)
        else:
            runs.append([value])
    return runs
