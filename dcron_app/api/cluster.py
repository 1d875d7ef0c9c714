"""/cluster: who leads, who works, what waits, how late it is, and what is wrong now.

Bounded work: the record's workers and retention in three statements, a list of names for each
worker, one registration each, and of claims the first thousand. With ZooKeeper away it tells what
the record knows; with the database away nobody gets here, since no token can be checked.
"""

from __future__ import annotations

import logging
from dataclasses import asdict, dataclass, field
from typing import Any

from bottle import HTTPResponse

from dcron_app.api.coordination import Coordination, look
from dcron_app.api.health import Remembered
from dcron_app.api.reply import reply
from dcron_app.api.routes import Access, Route
from dcron_app.api.serialize import instant
from dcron_app.api.services import Services
from dcron_app.api.shapes import ClusterShape
from dcron_app.api.troubles import Seen, troubles
from dcron_common.db import progress, workers
from dcron_common.db.workers import ONLINE, WorkerRow
from dcron_common.errors import CoordinatorError, DatabaseError, DcronError
from dcron_common.protocol import Registration

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class People:
    """Workers by what they are. `late`: seconds of those that are online, by name."""

    online: list[str] = field(default_factory=list)
    offline: list[str] = field(default_factory=list)
    drained: list[str] = field(default_factory=list)
    isolated: list[str] = field(default_factory=list)
    ill: dict[str, list[str]] = field(default_factory=dict)
    late: dict[str, float] = field(default_factory=dict)

    def counts(self) -> dict[str, int]:
        """As the answer has them."""
        ill = {name for names in self.ill.values() for name in names}
        return {
            "online": len(self.online),
            "offline": len(self.offline),
            "drained": len(self.drained),
            "ill": len(ill),
            "isolated": len(self.isolated),
        }


class Cluster:
    """The resource."""

    def __init__(self, services: Services) -> None:
        self._services = services
        self._store = Remembered(services.object_store.ready, services.clock.boot)

    def routes(self) -> list[Route]:
        """What it answers."""
        shown = {200: ClusterShape}
        return [Route("GET", "/cluster", self.show, Access.READ, "The cluster at a glance", shown)]

    def show(self) -> HTTPResponse:
        """What can be told now."""
        self._store.begin()  # beside the others: it may hang
        rows, retention = self._recorded()
        coordination = self._coordination()
        people = None
        if rows is not None:
            now = self._services.clock.wall()
            people = sorted_out(rows, coordination.live if coordination else None, now)
        answer = _answer(coordination, people, store=self._store_is_well())
        return reply({**answer, "retention": retention})

    def _recorded(self) -> tuple[list[WorkerRow] | None, dict[str, Any] | None]:
        """The record's workers, and the last round of retention."""
        try:
            rows = workers.list_workers(self._services.database)
            last = progress.last_round(self._services.database)
        except DatabaseError as error:
            log.warning("the cluster is told without the database: %s", error)
            return None, None
        if last is None:
            return rows, None
        # A leader of the release before counts no tokens.
        return rows, {"tokens": 0, **last, "at": instant(last["at"])}

    def _coordination(self) -> Coordination | None:
        coordinator = self._services.coordinator
        if not coordinator.connected:
            return None  # the answer need not wait for a timeout
        try:
            return look(coordinator)
        except CoordinatorError as error:
            log.warning("the cluster is told without ZooKeeper: %r", error)
            return None

    def _store_is_well(self) -> bool:
        try:
            self._store()
        except DcronError:
            return False
        return True


def sorted_out(rows: list[WorkerRow], live: dict[str, Registration] | None, now: float) -> People:
    """Workers by what they are: by their registrations, or by the record where these are not
    known. `now`: epoch seconds."""
    found = People()
    found.online.extend((live or {}).keys() - {row.name for row in rows})  # not recorded yet
    for row in rows:
        seen = None if live is None else live.get(row.name)
        online = row.state == ONLINE if live is None else seen is not None
        ill, ticked = row.ill, row.ticked_through
        if seen is not None:
            ill, ticked = seen.ill, seen.ticked_through
        (found.online if online else found.offline).append(row.name)
        if row.drained:
            found.drained.append(row.name)
        if not online:
            if row.running:
                found.isolated.append(row.name)
            continue
        for word in ill:
            found.ill.setdefault(word, []).append(row.name)
        if ticked:  # 0: it has just begun, and has looked at nothing yet
            found.late[row.name] = max(
                0.0, round((now if live else row.last_seen) - ticked - 60, 3)
            )
    return found


def _answer(
    coordination: Coordination | None, people: People | None, *, store: bool
) -> dict[str, Any]:
    seen = Seen(
        database=people is not None,
        coordinator=coordination is not None,
        object_store=store,
        leader=None if coordination is None else coordination.leader,
        online=None if people is None else people.online,
        inbox=0 if coordination is None else coordination.inbox,
        ends=0 if coordination is None else coordination.ended,
        **({} if people is None else _of_workers(people)),
    )
    late = [] if people is None else list(people.late.values())
    return {
        "leader": coordination.leader or None if coordination else None,
        "epoch": coordination.epoch if coordination else None,
        "workers": people.counts() if people else None,
        "queue": _queue(coordination),
        "lateness_seconds": max(late) if late else None,
        "isolated": people.isolated if people else [],
        "journals": _journals(coordination),
        "database": "ok" if seen.database else "ill",
        "coordinator": "ok" if seen.coordinator else "ill",
        "object_store": "ok" if store else "ill",
        "problems": [asdict(one) for one in troubles(seen)],
    }


def _of_workers(people: People) -> dict[str, Any]:
    names = ("offline", "drained", "isolated", "ill", "late")
    return {name: getattr(people, name) for name in names}


def _queue(found: Coordination | None) -> dict[str, int] | None:
    if found is None:
        return None
    return {"inbox": found.inbox, "tasks": found.tasks, "claims": found.claims}


def _journals(found: Coordination | None) -> dict[str, int] | None:
    if found is None:
        return None
    return {"waiting": found.ended, "looked_at": found.looked_at}
