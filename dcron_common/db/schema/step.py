"""What a step of the schema is."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Column:
    """A column that a later release adds to a table: `definition` follows its name."""

    table: str
    name: str
    definition: str


@dataclass(frozen=True, slots=True)
class Step:
    """One version of the schema: `columns` are added where they are missing, then `statements`
    run, which may be repeated. Braces are filled in from the dialect."""

    version: int
    description: str
    statements: tuple[str, ...]
    columns: tuple[Column, ...] = ()
