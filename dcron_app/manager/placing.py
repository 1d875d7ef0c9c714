"""Puts slots where placement wants them, when there is a reason to look.

A look costs time for every job, so it is taken only when jobs were read anew, hosts came, went or
changed, or an earlier look left something undone: never just because a second has passed.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from dcron_app.manager import assigner, placement
from dcron_app.manager.election import Election
from dcron_app.manager.view import View, Wanted
from dcron_common.coordinator.contract import Coordinator
from dcron_common.job import Concurrency
from dcron_common.paths import Slot

BATCH = 200  # changes committed before the leader looks up again


class Placing:
    """Keeps in mind whether a look is due."""

    def __init__(self, coordinator: Coordinator, election: Election) -> None:
        self._coordinator = coordinator
        self._election = election
        self._hosts: list[placement.Host] = []
        self._due = True
        self._misplaced = False

    def scanned(self) -> None:
        """What was bound by a run may be free by now."""
        self._due = self._due or self._misplaced

    def look_again(self) -> None:
        """Jobs, fences or assignments may not be what they were."""
        self._due = True

    def place(self, view: View) -> bool:
        """Make fences and assignments say what placement decides; whether it looked at all."""
        hosts = [
            placement.Host(name, seen.labels, seen.capacity, name not in view.drained)
            for name, seen in sorted(view.workers.items())
        ]
        if not self._due and hosts == self._hosts:
            return False
        self._hosts, self._due = hosts, False
        self._look(view, hosts)
        return True

    def _look(self, view: View, hosts: Sequence[placement.Host]) -> None:
        taken = view.open_slots()
        living = _living(view, taken)
        wishes = _wishes(view, living, taken, hosts)
        present = {slot: known.fence.holder for slot, known in view.fences.items()}
        placed = placement.place(wishes, hosts, present)
        changes: list[assigner.Change] = []
        for slot in placed.keys() | view.fences.keys():
            change = assigner.change_for(view, slot, living.get(slot.job_id), placed.get(slot))
            if change is not None:
                changes.append(change)
        done = 0
        for start in range(0, len(changes), BATCH):
            batch = changes[start : start + BATCH]
            proof = self._election.proof
            done += len(assigner.apply(self._coordinator, view, proof, batch))
        self._due = done < len(changes)  # what failed was read again
        self._misplaced = _misplaced(wishes, hosts, placed)


def _living(view: View, taken: set[Slot]) -> dict[int, Wanted]:
    """Jobs that stand somewhere. A one-shot does until its last attempt is recorded."""
    busy = {slot.job_id for slot in taken}
    return {
        job_id: job
        for job_id, job in view.jobs.items()
        if not job.removed and (not job.over or job_id in busy)
    }


def _wishes(
    view: View, living: Mapping[int, Wanted], taken: set[Slot], hosts: Sequence[placement.Host]
) -> list[placement.Wish]:
    away: dict[int, list[Slot]] = {}
    for slot in view.fences:
        if slot.node and slot.node not in view.workers:
            away.setdefault(slot.job_id, []).append(slot)
    wishes: list[placement.Wish] = []
    for job_id, job in living.items():
        where = job.spec.placement
        slots = placement.slots_of(job_id, where, hosts)
        if where.on == "all":  # it keeps the slots of workers that are away
            slots = [*slots, *away.get(job_id, [])]
        overlaps = job.spec.concurrency is Concurrency.ALLOW
        wishes += [placement.Wish(slot, where, overlaps or slot not in taken) for slot in slots]
    return wishes


def _misplaced(
    wishes: Sequence[placement.Wish],
    hosts: Sequence[placement.Host],
    placed: Mapping[Slot, str | None],
) -> bool:
    """Whether a slot stays only for its run's sake on a host that it should leave."""
    by_name = {host.name: host for host in hosts}
    for wish in wishes:
        if wish.movable or wish.slot.node:
            continue
        host = by_name.get(placed.get(wish.slot) or "")
        if host is None or not placement.matches(wish.placement, host):
            return True
    return False
