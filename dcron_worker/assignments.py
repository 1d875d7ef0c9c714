"""Reads what this worker is assigned: the names tell what changed, only that is read."""

from __future__ import annotations

import logging

from dcron_common import paths
from dcron_common.coordinator.contract import Coordinator
from dcron_common.errors import DcronError
from dcron_common.job import Spec
from dcron_common.paths import Edition, Slot
from dcron_common.protocol import Fence
from dcron_common.schedule import parse
from dcron_worker.book import Book, Held

log = logging.getLogger(__name__)


def refresh(worker: str, coordinator: Coordinator, book: Book) -> bool:
    """Bring `book.held` in line with the assignments; True if anything changed.

    A spec that cannot be read (written by a newer release, say) is set aside with an error in
    the log and does not hinder the others.
    """
    names = coordinator.children(paths.assignments(worker))
    wanted: dict[Slot, Edition] = {}
    for name in names:
        slot, edition = paths.assignment_parts(name)
        wanted[slot] = max(edition, wanted.get(slot, edition))
    gone = [slot for slot in book.held if slot not in wanted]
    for slot in gone:
        del book.held[slot]
    new = [
        (slot, edition)
        for slot, edition in wanted.items()
        if slot not in book.held or book.held[slot].edition != edition
    ]
    specs = coordinator.get_many([paths.assignment(worker, s, e) for s, e in new])
    fences = coordinator.get_many([paths.fence(slot) for slot, _ in new])
    for (slot, edition), spec_node, fence_node in zip(new, specs, fences, strict=True):
        if spec_node is None or fence_node is None:
            continue  # moved on between the two reads: the next look shows it
        try:
            spec = Spec.decode(spec_node.data)
            schedule = parse(spec.schedule, spec.timezone)
            for span in spec.earlier:
                parse(span.schedule, span.timezone)  # `decide` must not meet one it cannot read
            fence = Fence.decode(fence_node.data)
        except DcronError:
            log.exception("job=%s its assignment cannot be read and is left out", slot)
            continue
        book.held[slot] = Held(spec, schedule, fence, fence_node.stat.version, edition)
    return bool(gone or new)
