"""`dcron schedule`: what an expression means, without a cluster."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import click

from dcron_cli.errors import Misused
from dcron_cli.output import say, show_json
from dcron_cli.session import Session, json_option, pass_session
from dcron_common.errors import DcronError


@click.group()
def schedule() -> None:
    """What an expression means, and when it fires. Works without a cluster."""


def _zone_names(_context: click.Context, _parameter: click.Parameter, begun: str) -> list[str]:
    from dcron_common.schedule import zones

    return sorted(name for name in zones() if name.lower().startswith(begun.lower()))


@schedule.command()
@click.argument("expression", metavar="EXPR")
@click.option(
    "--tz",
    default="UTC",
    show_default=True,
    metavar="ZONE",
    shell_complete=_zone_names,
    help="An IANA name, such as Europe/Riga.",
)
@click.option("--count", type=click.IntRange(1, 1000), default=10, show_default=True)
@click.option("--after", metavar="TIME", help="ISO 8601 with an offset; now if left out.")
@json_option
@pass_session
def explain(session: Session, /, expression: str, tz: str, count: int, after: str | None) -> None:
    """The meaning of EXPR, its next times, and where the clocks of the zone change in between.

    dcron schedule explain "*/5 9-17 * * mon-fri" --tz Europe/Riga
    """
    from dcron_cli.explaining import Change, upcoming
    from dcron_common.schedule import parse

    moment = int(session.clock.wall()) if after is None else _instant(after)
    try:
        parsed = parse(expression, tz)
    except DcronError as error:
        raise Misused(str(error)) from error
    found = list(upcoming(parsed, moment, count))
    if session.as_json:
        show_json(_document(parsed.describe(), expression, tz, found))
        return
    say(parsed.describe())
    for one in found:
        if isinstance(one, Change):
            say(f"  -- {one.sentence()}")
        else:
            again = "  (the second time that the clock shows this)" if one.again else ""
            say(f"  {one.at:%a} {one.at.isoformat(' ', 'minutes')}{again}")
    if not found:
        say("  never again")


def _instant(text: str) -> int:
    try:
        at = datetime.fromisoformat(text)
    except ValueError:
        at = None
    if at is None or at.tzinfo is None:
        raise Misused(f"--after: {text!a} is refused; write such as 2027-03-28T00:00:00+02:00")
    return int(at.timestamp())


def _document(description: str, expression: str, tz: str, found: list[Any]) -> dict[str, Any]:
    """As GET /schedule answers, and the changes."""
    from dcron_cli.explaining import Change, Firing

    changes = [one for one in found if isinstance(one, Change)]
    return {
        "expression": expression,
        "timezone": tz,
        "description": description,
        "next": [one.at.isoformat() for one in found if isinstance(one, Firing)],
        "changes": [
            {
                "at": change.after.isoformat(),
                "from_offset": change.before.isoformat()[-6:],
                "to_offset": change.after.isoformat()[-6:],
                "local_times": "skipped" if change.forward else "repeated",
                "first": f"{change.span[0]:%H:%M}",
                "last": f"{change.span[1]:%H:%M}",
            }
            for change in changes
        ],
    }
