"""`dcron audit`: who did what, and what it was before."""

from __future__ import annotations

import json
from typing import Any

import click

from dcron_cli.output import Column, instant, key, note, show_list
from dcron_cli.params import limit_option
from dcron_cli.session import Session, json_option, pass_session, profile_option
from dcron_common.auditing import ACTIONS, OBJECT_TYPES


def changes(before: dict[str, Any] | None, after: dict[str, Any] | None) -> str:
    """What differs, such as `retries: 0 -> 2`; where one side is missing, the other."""
    if before is None or after is None:
        return _short(after if before is None else before)
    names = [name for name in {**before, **after} if before.get(name) != after.get(name)]
    return ", ".join(
        f"{one}: {_short(before.get(one))} -> {_short(after.get(one))}" for one in names
    )


def _short(value: Any) -> str:
    return "" if value is None else json.dumps(value, ensure_ascii=False)


COLUMNS = [
    Column("at", lambda one: instant(one["at"])),
    key("user"),
    key("action"),
    Column("object", lambda one: f"{one['object_type']} {one['object_id']}"),
    Column("what", lambda one: changes(one["before"], one["after"]), cut=True),
]


@click.command()
@click.option("--user")
@click.option("--action", type=click.Choice(ACTIONS), help="What was done.")
@click.option("--type", "kind", type=click.Choice(OBJECT_TYPES), help="To what.")
@click.option("--id", "number", help="Of the object.")
@click.option("--from", "since", metavar="TIME", help="ISO 8601 with an offset.")
@click.option("--to", "until", metavar="TIME")
@limit_option
@json_option
@profile_option
@pass_session
def audit(session: Session, /, limit: int, **given: Any) -> None:
    """Who did what to which object, before and after; admins only."""
    params = {
        "user": given["user"],
        "action": given["action"],
        "object_type": given["kind"],
        "object_id": given["number"],
        "from": given["since"],
        "to": given["until"],
    }
    found = session.client.listed("/audit", params, limit)
    show_list(found.items, COLUMNS, as_json=session.as_json, none="nothing of that kind")
    if found.more:
        note(f"(the newest {limit}; more by --limit)")
