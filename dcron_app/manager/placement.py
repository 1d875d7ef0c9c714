"""Where slots stand: a pure function of jobs, workers and where they stand now.

Balanced by load over capacity, sticky, with few moves: a slot stays where it is as long as its
worker may have it, and can start it or nobody else can; only when the loads differ by more than a
tenth are slots moved, and no more than needed.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from dcron_common.job import Placement
from dcron_common.paths import Slot

SLACK = 0.1  # part of the mean load by which two workers may differ before slots move


@dataclass(frozen=True, slots=True)
class Host:
    """A worker that is online; `open` is false while it is drained, `starts` while it has no
    launcher."""

    name: str
    labels: Mapping[str, str]
    capacity: int
    open: bool = True
    starts: bool = True


@dataclass(frozen=True, slots=True)
class Wish:
    """What a job asks for; `movable` is false while a run of it is active."""

    slot: Slot
    placement: Placement
    movable: bool = True


def matches(placement: Placement, host: Host) -> bool:
    """Whether the host carries every label asked for, with that value."""
    return host.open and all(host.labels.get(k) == v for k, v in placement.labels.items())


def slots_of(job_id: int, placement: Placement, hosts: Iterable[Host]) -> list[Slot]:
    """One slot, or one for each matching worker of a job that runs on all."""
    if placement.on != "all":
        return [Slot(job_id)]
    return [Slot(job_id, host.name) for host in hosts if matches(placement, host)]


def place(
    wishes: Iterable[Wish], hosts: Iterable[Host], present: Mapping[Slot, str | None]
) -> dict[Slot, str | None]:
    """The worker of each slot; None where no worker may have it."""
    wishes = list(wishes)
    by_name = {host.name: host for host in hosts}
    load = dict.fromkeys(by_name, 0)
    placed: dict[Slot, str | None] = {}
    homeless: list[Wish] = []
    for wish in sorted(wishes, key=lambda one: one.slot):
        now = present.get(wish.slot)
        host = by_name.get(now) if now else None
        if wish.slot.node:
            target = by_name.get(wish.slot.node)
            placed[wish.slot] = wish.slot.node if target and target.open else now
        elif host is not None and _stays(wish, host):
            placed[wish.slot] = host.name
            load[host.name] += 1
        else:
            homeless.append(wish)
    for wish in homeless:
        target_name = _least(wish.placement, by_name, load, present.get(wish.slot))
        placed[wish.slot] = target_name
        if target_name is not None:
            load[target_name] += 1
    _level(wishes, by_name, load, placed)
    return placed


def _stays(wish: Wish, host: Host) -> bool:
    return not wish.movable or (host.starts and matches(wish.placement, host))


def _least(
    placement: Placement, hosts: Mapping[str, Host], load: Mapping[str, int], now: str | None
) -> str | None:
    able = [host for host in hosts.values() if matches(placement, host)]
    if not any(host.starts for host in able):
        # Whichever can start again first: to move between such workers helps nobody.
        able = [host for host in able if host.name == now] or able
    else:
        able = [host for host in able if host.starts]
    if not able:
        return None
    return min(able, key=lambda h: ((load[h.name] + 1) / max(h.capacity, 1), h.name)).name


def _level(
    wishes: list[Wish],
    hosts: Mapping[str, Host],
    load: dict[str, int],
    placed: dict[Slot, str | None],
) -> None:
    """Move slots from the fullest to emptier workers until they differ by no more than SLACK."""
    able = [host for host in hosts.values() if host.open and host.starts]
    if len(able) < 2:
        return
    slack = max(1.0, SLACK * sum(load[h.name] for h in able) / len(able))
    for wish in sorted(wishes, key=lambda one: one.slot, reverse=True):
        name = placed.get(wish.slot)
        if name is None or wish.slot.node or not wish.movable:
            continue
        others = [h for h in able if h.name != name and matches(wish.placement, h)]
        if not others:
            continue
        target = min(others, key=lambda h: (load[h.name] / max(h.capacity, 1), h.name))
        fair = hosts[name].capacity / max(target.capacity, 1)
        if load[name] - load[target.name] * fair > slack:
            placed[wish.slot] = target.name
            load[name] -= 1
            load[target.name] += 1
