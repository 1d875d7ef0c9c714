"""How commands show things: tables and records for people, one JSON document for programs.

Every text is made visible (dcron_cli.terminal) and none is read as markup. On a terminal tables
fit its width; elsewhere nothing is cut.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import click

from dcron_cli.terminal import json_text, visible

if TYPE_CHECKING:
    from rich.console import Console, RenderableType

_UNBOUND = 10_000  # columns of what is no terminal
_STATES = {
    "succeeded": "green",
    "online": "green",
    "running": "cyan",
    "finished": "dim",
    "offline": "red",
    "error": "red",
    "failed": "red",
    "timed_out": "red",
    "lost": "red",
    "missed": "yellow",
    "skipped": "yellow",
    "killed": "yellow",
}


@dataclass(frozen=True, slots=True)
class Column:
    """`of`: the cell of an element, None for nothing; `cut`: may be shortened to fit."""

    title: str
    of: Callable[[Mapping[str, Any]], Any]
    cut: bool = False


def key(name: str, title: str | None = None, *, cut: bool = False) -> Column:
    """A column that shows one key."""
    return Column(title or name.replace("_", " "), lambda one: one[name], cut)


def instant(text: str | None) -> str | None:
    """The API's instants for people: `2027-01-15 08:00:30Z`, whole seconds."""
    if text is None:
        return None
    date, _, time = text.partition("T")
    return f"{date} {time.partition('.')[0].rstrip('Z')}Z"


def short(text: str | None) -> str | None:
    """An instant where there is little room: `01-15 08:00Z`."""
    return None if text is None else f"{text[5:10]} {text[11:16]}Z"


def show_list(
    found: Sequence[Mapping[str, Any]], columns: Sequence[Column], *, as_json: bool, none: str
) -> None:
    """A table, or the array. `none`: what to say where there is nothing."""
    if as_json:
        show_json(found)
    elif found:
        show(table(found, columns))
    else:
        note(none)


def show_record(found: Mapping[str, Any], *, as_json: bool, first: Sequence[str] = ()) -> None:
    """An object key by key, those of `first` before the others; empty ones are left out."""
    if as_json:
        show_json(found)
        return
    from rich.table import Table

    grid = Table.grid(padding=(0, 2))
    for name in [*first, *(name for name in found if name not in first)]:
        if not _is_void(found[name]):
            grid.add_row(text(name.replace("_", " ")), _cell(_told(found[name])))
    show(grid)


def _is_void(value: Any) -> bool:
    return value is None or value in ([], {}, "")


def _told(value: Any) -> Any:
    """A value of a record: pairs and lists as they are typed."""
    if isinstance(value, dict):
        return "\n".join(f"{name}={_told(one)}" for name, one in value.items() if not _is_void(one))
    if isinstance(value, list):
        return "\n".join(str(_told(one)) for one in value)
    if isinstance(value, bool):
        return "yes" if value else "no"
    return value


def table(found: Iterable[Mapping[str, Any]], columns: Sequence[Column]) -> RenderableType:
    """A table of elements."""
    from rich.table import Table

    made = Table(box=None, pad_edge=False, header_style="bold", padding=(0, 2, 0, 0))
    for column in columns:
        # What may wrap is what rich makes narrower first; its cells are cut instead.
        made.add_column(column.title.upper(), no_wrap=not column.cut)
    for one in found:
        made.add_row(*(_cell(column.of(one)) for column in columns))
    return made


def _cell(value: Any) -> RenderableType:
    if value is None or value == "":
        return text("-")
    shown = str(_told(value))
    return text(shown, _STATES.get(shown, ""), keep="\n")


def text(value: str, style: str = "", keep: str = "") -> RenderableType:
    """A text that is only a text: no markup, no control characters."""
    from rich.text import Text

    return Text(visible(value, keep), style, no_wrap=True, overflow="ellipsis")


def console() -> Console:
    """What stdout is at this moment."""
    from rich.console import Console

    width = None if sys.stdout.isatty() else _UNBOUND
    return Console(file=sys.stdout, width=width, highlight=False, markup=False, emoji=False)


def show(what: RenderableType) -> None:
    """Print it; lines end where their text ends."""
    made = console()
    if made.is_terminal:
        made.print(what)
        return
    with made.capture() as capture:
        made.print(what)
    click.echo("\n".join(line.rstrip() for line in capture.get().splitlines()))


def show_json(value: Any) -> None:
    """One document."""
    click.echo(json_text(value))


def say(message: str) -> None:
    """What a command has done, on stdout."""
    click.echo(visible(message))


def note(message: str) -> None:
    """What a person should know but no program should read, on stderr."""
    click.echo(visible(message), err=True)
