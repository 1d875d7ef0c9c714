"""`dcron apply`: jobs as a YAML file says. Plan, confirm, apply.

Each step is bound to the job as it was planned: what somebody changed, made or removed in between
is noticed, and nothing of it is overwritten.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from dcron_cli.errors import Misused
from dcron_cli.output import note, say, show_json
from dcron_cli.params import PAIR, confirm, yes_option
from dcron_cli.session import Session, json_option, pass_session, profile_option

if TYPE_CHECKING:
    from dcron_cli.applying import Outcome
    from dcron_cli.plan import Step


@click.command()
@click.option(
    "--file",
    "-f",
    "source",
    required=True,
    type=click.Path(dir_okay=False, path_type=Path),
    metavar="FILE",
    help="YAML: jobs:, a list; docs/cli.md has an example.",
)
@click.option(
    "--prune",
    is_flag=True,
    help="Remove jobs that are not in FILE; give --label, or all are meant.",
)
@click.option(
    "--label", "labels", type=PAIR, multiple=True, help="Prune only jobs with it; repeat."
)
@yes_option
@click.option("--dry-run", is_flag=True, help="Show the plan, and do nothing.")
@json_option
@profile_option
@pass_session
def apply(
    session: Session,
    /,
    source: Path,
    prune: bool,
    labels: tuple[tuple[str, str], ...],
    yes: bool,
    dry_run: bool,
) -> None:
    """Make jobs as FILE says, found again by their names; jobs it does not name are left alone.

    With --json and without --yes: the plan, and nothing is done. What you may not change does not
    hold up the rest; it ends with 3 then, or with 1 if something else failed, too.
    """
    from dcron_cli import applying, plan
    from dcron_cli.jobfile import read_jobs

    if labels and not prune:
        raise Misused("--label says which jobs --prune may remove; give --prune, too")
    wanted = read_jobs(source)
    present = session.client.listed("/jobs", {"removed": "false"}, None).items
    steps = applying.planned(session.client, wanted, present, dict(labels) if prune else None)
    todo = plan.pending(steps)
    if not session.as_json:
        for line in plan.lines(steps):
            say(line)
    done: list[Outcome] = []
    if todo and not dry_run and (yes or not session.as_json):
        _confirm(todo, anything=prune and not labels, yes=yes)
        done = applying.carry_out(session.client, todo)
    _show(session, steps, done)
    failure = applying.verdict(steps, todo, done)
    if failure is not None:
        raise failure


def _confirm(todo: list[Step], *, anything: bool, yes: bool) -> None:
    """`anything`: no label says what may be removed."""
    from dcron_cli.plan import Kind

    gone = sum(step.kind is Kind.REMOVE for step in todo)
    if anything and gone:
        note(
            f"without --label every job with a name that FILE does not have is removed, whoever "
            f"made it: {gone} jobs"
        )
    confirm(f"do these {len(todo)}{f', {gone} of them removals' if gone else ''}?", yes)


def _show(session: Session, steps: list[Step], done: list[Outcome]) -> None:
    if not session.as_json:
        if done:
            say(f"done: {sum(one.error is None for one in done)}")
        return
    by_step: dict[int, Any] = {id(one.step): one.json() for one in done}
    shown = [by_step.get(id(step), step.json()) for step in steps]
    show_json({"applied": bool(done), "steps": shown})
