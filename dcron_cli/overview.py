"""The cluster as `dcron top` shows it: a function of what the API says at one moment."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from dcron_cli.output import Column, instant, key, table, text
from dcron_cli.wording import plain

if TYPE_CHECKING:
    from rich.console import RenderableType

    from dcron_cli.client import Client

_MOST = 15  # rows of a part

_WORKERS = [
    key("name"),
    Column("state", lambda one: "drained" if one["drained"] else one["state"]),
    key("jobs"),
    key("running"),
    Column("ill", lambda one: " ".join(one["ill"]), cut=True),
    Column("last seen", lambda one: instant(one["last_seen"])),
]
_RUNS = [
    key("job_id", "job"),
    key("id", "run"),
    key("worker"),
    key("trigger"),
    Column("since", lambda one: instant(one["started_at"])),
]
_JOBS = [
    key("id"),
    key("name", cut=True),
    key("schedule", cut=True),
    Column("last", lambda one: one["last_run"] and one["last_run"]["state"]),
    Column("why", lambda one: one["last_run"] and one["last_run"]["reason"], cut=True),
]


@dataclass(frozen=True, slots=True)
class Overview:
    """What is asked for each time."""

    cluster: Mapping[str, Any]
    workers: list[dict[str, Any]]
    running: list[dict[str, Any]]
    errors: list[dict[str, Any]]

    def json(self) -> dict[str, Any]:
        """Each part as the API has it."""
        return {
            "cluster": self.cluster,
            "workers": self.workers,
            "running": self.running,
            "errors": self.errors,
        }


def look(client: Client) -> Overview:
    """Ask for all of it. CliError."""
    return Overview(
        client.get("/cluster"),
        client.get("/workers"),
        client.listed("/runs", {"state": "running"}, _MOST).items,
        client.listed("/jobs", {"status": "error", "removed": "false"}, _MOST).items,
    )


def drawn(found: Overview, at: str, trouble: str | None = None) -> RenderableType:
    """All of it; `at`: when it was so; `trouble`: why it is not newer."""
    from rich.console import Group

    parts: list[RenderableType] = [text(headline(found.cluster, at), "bold")]
    if trouble is not None:
        parts.append(text(trouble, "red"))
    for problem in found.cluster["problems"]:
        parts.append(text(f"! {problem['what']}: {plain(problem['remedy'])}", "yellow"))
    for title, rows, columns in (
        ("workers", found.workers, _WORKERS),
        ("running", found.running, _RUNS),
        ("jobs in error", found.errors, _JOBS),
    ):
        parts += [text(""), text(f"{title}: {len(rows)}" + ("+" if len(rows) == _MOST else ""))]
        if rows:
            parts.append(table(rows[:_MOST], columns))
    return Group(*parts)


def headline(cluster: Mapping[str, Any], at: str) -> str:
    """The numbers in one line; `-` where the part that knows does not answer."""
    late, queue, workers = cluster["lateness_seconds"], cluster["queue"], cluster["workers"]
    waiting = "-" if queue is None else f"{queue['inbox']} changes, {queue['tasks']} runs"
    online = "-" if workers is None else f"{workers['online']} online, {workers['ill']} ill"
    journals = cluster["journals"]
    parts = [
        f"dcron at {at}",
        f"leader {cluster['leader'] or 'none'}",
        f"workers {online}",
        f"waiting {waiting}",
        f"late {'-' if late is None else f'{late:.0f} s'}",
        f"isolated {len(cluster['isolated'])}",
        f"unrecorded {'-' if journals is None else journals['waiting']}",
    ]
    return "   ".join(parts)
