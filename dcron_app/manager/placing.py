"""Puts slots where placement wants them, when there is a reason to look.

A look costs time for every job, so it is taken only when jobs were read anew, hosts came, went or
changed, or an earlier look left something undone: never just because a second has passed.

A place that was closed opens again when all is told that was due before it was closed (P7); a
worker's place of a job on all is given up when all is told that was due there (`leaving`).
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

from dcron_app.manager import assigner, leaving, opening, placement
from dcron_app.manager.accounting import is_accounted, prepare
from dcron_app.manager.election import Election
from dcron_app.manager.view import View, Wanted
from dcron_common.clock import Clock
from dcron_common.coordinator.contract import Coordinator
from dcron_common.ids import ulid
from dcron_common.job import Concurrency
from dcron_common.paths import Slot
from dcron_common.protocol import REMOVED

BATCH = 200  # changes committed before the leader looks up again


class Placing:
    """Keeps in mind whether a look is due. `told`: what the record tells of jobs."""

    def __init__(
        self, coordinator: Coordinator, election: Election, clock: Clock, told: opening.Told
    ) -> None:
        self._coordinator = coordinator
        self._election = election
        self._clock = clock
        self._told = told
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
        hosts = [_host(view, name) for name in sorted(view.workers)]
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
        changing = _changing_shape(view, living)
        now = self._clock.wall()
        waiting = _untold(view, living, now)
        slots = [
            slot
            for slot in placed.keys() | view.fences.keys()
            if not (slot.job_id in view.unread or slot in waiting)
            and not (slot.job_id in changing and living[slot.job_id].wants(slot))
        ]
        opening_ = {slot for slot in slots if _opens(view, slot, living, placed)}
        first = opening.begins(view, opening_, placed, self._told, now)
        left = {s for s in slots if leaving.leaves(view, s, living.get(s.job_id), placed.get(s))}
        changes = self._given_up(view, living, left)
        kept = len(left) - sum(change.fence.holder is None for change in changes)
        for slot in slots:
            if slot not in left:
                job, holder = living.get(slot.job_id), placed.get(slot)
                change = assigner.change_for(view, slot, job, holder, first.get(slot, 0))
                changes += [] if change is None else [change]
        done = self._write(view, changes)
        # What failed was read again; where old places were closed the new ones may open.
        self._due = done < len(changes) or bool(changing and done)
        # Accounting has to come first.
        waits = bool(changing or waiting or kept) or _are_open_beyond(view, living)
        self._misplaced = waits or _misplaced(wishes, hosts, placed)

    def _given_up(
        self, view: View, living: Mapping[int, Wanted], left: Collection[Slot]
    ) -> list[assigner.Change]:
        """What gives these places up, as far as that can be done yet."""
        if not left:
            return []
        prepare(self._coordinator)
        # What is due is told once, and now or never: so by the time that all go by.
        now = self._clock.wall() - (self._election.clock_offset(self._clock.wall) or 0.0)
        found = [
            leaving.change_for(view, slot, living[slot.job_id], now, lambda: ulid(now))
            for slot in sorted(left)
        ]
        return [change for change in found if change is not None]

    def _write(self, view: View, changes: Sequence[assigner.Change]) -> int:
        """Commit changes in batches; how many were done."""
        done = 0
        for start in range(0, len(changes), BATCH):
            batch = list(changes[start : start + BATCH])
            opened = {change.slot for change in batch if change.opens}
            written = assigner.apply(self._coordinator, view, self._election.proof, batch)
            view.unread |= {slot.job_id for slot in written if slot in opened}
            done += len(written)
        return done


def _host(view: View, name: str) -> placement.Host:
    """A worker as placement sees it: with its own labels, and what people lay over them."""
    seen, said = view.workers[name], view.said
    labels = {**seen.labels, **said.labels.get(name, {})}
    return placement.Host(name, labels, seen.capacity, name not in said.drained, seen.can_start)


def _living(view: View, taken: set[Slot]) -> dict[int, Wanted]:
    """Jobs that stand somewhere. A one-shot does until its last attempt is recorded."""
    busy = {slot.job_id for slot in taken}
    return {
        job_id: job
        for job_id, job in view.jobs.items()
        if not job.removed and (not job.over or job_id in busy)
    }


def _opens(
    view: View, slot: Slot, living: Mapping[int, Wanted], placed: Mapping[Slot, str | None]
) -> bool:
    """Whether the job wants the slot, and nobody had it so far, or has it any more."""
    job, known = living.get(slot.job_id), view.fences.get(slot)
    if job is None or not job.wants(slot):
        return False
    if known is None or known.fence.state == REMOVED:
        return True
    return bool(slot.node and known.fence.holder is None and placed.get(slot))


def _untold(view: View, living: Mapping[int, Wanted], now: float) -> set[Slot]:
    """Places that are closed, that their jobs want again, and that have something to tell."""
    return {
        slot
        for slot, known in view.fences.items()
        if known.fence.state == REMOVED
        and (job := living.get(slot.job_id)) is not None
        and job.wants(slot)
        and not is_accounted(view, slot, known, now)
    }


def _are_open_beyond(view: View, living: Mapping[int, Wanted]) -> bool:
    """Whether a place waits for the leader to close what is too much for its worker."""
    return any(
        job.is_open_beyond(known.fence.mark)
        for slot, known in view.fences.items()
        if (job := living.get(slot.job_id)) is not None and job.beyond
    )


def _changing_shape(view: View, living: Mapping[int, Wanted]) -> set[int]:
    """Jobs that go from one worker to all or back: a new place opens when the old ones are closed,
    so that no mark of theirs moves any more, and, of a job that forbids overlap, when the last run
    in them is over."""
    found: set[int] = set()
    for slot, known in view.fences.items():
        job = living.get(slot.job_id)
        if job is None or job.wants(slot):
            continue
        overlaps = job.spec.concurrency is Concurrency.ALLOW
        if known.fence.state != REMOVED or (known.fence.active is not None and not overlaps):
            found.add(slot.job_id)
    return found


def _wishes(
    view: View, living: Mapping[int, Wanted], taken: set[Slot], hosts: Sequence[placement.Host]
) -> list[placement.Wish]:
    away: dict[int, list[Slot]] = {}
    for slot in view.fences:
        # One that was drained before or since has given its places up, and can be forgotten.
        if slot.node and slot.node not in view.workers and slot.node not in view.said.drained:
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
        if host is None or not (host.starts and placement.matches(wish.placement, host)):
            return True
    return False
