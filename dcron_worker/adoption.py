"""Brings the book in line with the claims that stand below this worker's name, and those with
the launcher's processes: after a start, a new session, a lost answer, and every few seconds.

The claims are the truth. A claim that is gone was taken away by somebody with the right to; a
process without a claim is ended.
"""

from __future__ import annotations

import logging

from dcron_common import paths
from dcron_common.coordinator.contract import Coordinator
from dcron_common.errors import DcronError
from dcron_common.protocol import Claim
from dcron_worker.book import Book, OpenClaim
from dcron_worker.claims import Claims
from dcron_worker.lifecycle import Lifecycle
from dcron_worker.recording import Recording
from dcron_worker.runner.client import Known, Runner

log = logging.getLogger(__name__)


def adopt(
    coordinator: Coordinator,
    book: Book,
    claims: Claims,
    lifecycle: Lifecycle,
    recording: Recording,
    runner: Runner,
) -> None:
    """One comparison. ConnectionLost or LaunchError: it is made again at the next pass."""
    book.claims = _read(coordinator, book)
    alive = runner.known()
    session = coordinator.session_id
    for opened in list(book.claims.values()):
        claim = opened.claim
        if claim.result is not None and not claim.closed and book.mine(opened.slot):
            lifecycle.close_as_holder(opened)
            continue
        recording.closed(opened)
        if claim.result is not None or claim.not_before is not None:
            continue
        if claim.run_id not in alive:
            if not lifecycle.on_its_way(claim.run_id):
                lifecycle.never_began(opened)
        elif (end := alive[claim.run_id][2]) is not None:
            lifecycle.ended(end)
        elif not opened.owned and session and claims.take_again(opened):
            log.info("job=%s run=%s is owned again", opened.slot, claim.run_id)
    _end_strangers(book, alive, recording, runner)
    recording.forget()


def _read(coordinator: Coordinator, book: Book) -> dict[str, OpenClaim]:
    """All claims below this worker's name, by run id."""
    parent = paths.runs(book.worker)
    names = coordinator.children(parent)
    nodes = coordinator.get_many([f"{parent}/{name}" for name in names])
    owners = coordinator.get_many([paths.owner(f"{parent}/{name}") for name in names])
    session = coordinator.session_id
    before = {opened.path: opened.spec for opened in book.claims.values()}
    found: dict[str, OpenClaim] = {}
    for name, node, owner in zip(names, nodes, owners, strict=True):
        if node is None:
            continue
        try:
            slot, key = paths.run_parts(name)
            claim = Claim.decode(node.data)
        except DcronError:
            log.exception("claim %s/%s cannot be read and is left alone", parent, name)
            continue
        path = f"{parent}/{name}"
        held = book.held.get(slot)
        spec = held.spec if held else before.get(path)
        owned = owner is not None and owner.stat.ephemeral_owner == session
        version = node.stat.version
        found[claim.run_id] = OpenClaim(slot, key, path, spec, claim, version, owned)
    return found


def _end_strangers(book: Book, alive: Known, recording: Recording, runner: Runner) -> None:
    """Processes and results of the launcher's whose claims are not here any more."""
    earlier = {one.run_id for opened in book.claims.values() for one in opened.claim.ended}
    forgotten = []
    for run_id, (_, _, end) in alive.items():
        if run_id in book.claims or run_id in earlier or recording.knows(run_id):
            continue
        if end is None:
            log.warning("run=%s is ended: its claim is not here any more", run_id)
            runner.kill(run_id, "its claim was taken by another worker")
        else:
            forgotten.append(run_id)
    runner.acknowledge(forgotten)
