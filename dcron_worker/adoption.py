"""Brings the book in line with the claims that stand below this worker's name, and those with
the launcher's processes: after a start, a new session, a lost answer, and every few seconds.

The claims are the truth. A claim that is gone was taken away by somebody with the right to; a
process without a claim is ended. Names are read each time and tell most of it: who else may
change a claim removes it. Claims themselves are read when they are new, in doubt, or may be
changed by the leader, and all of them in a new session and every half minute.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence

from dcron_common import paths
from dcron_common.clock import Clock
from dcron_common.coordinator.contract import Coordinator
from dcron_common.errors import DcronError
from dcron_common.protocol import Claim
from dcron_worker.book import Book, OpenClaim
from dcron_worker.claims import Claims
from dcron_worker.isolation import Isolation
from dcron_worker.lifecycle import Lifecycle
from dcron_worker.recording import Recording
from dcron_worker.runner.client import Known, Runner

log = logging.getLogger(__name__)

READ_ALL = 30.0  # seconds between two readings of all claims, and of all that the launcher has


class Adoption:
    """Called from the daemon's thread only."""

    def __init__(
        self,
        coordinator: Coordinator,
        book: Book,
        claims: Claims,
        lifecycle: Lifecycle,
        recording: Recording,
        isolation: Isolation,
        runner: Runner,
        clock: Clock,
    ) -> None:
        self._coordinator = coordinator
        self._book = book
        self._claims = claims
        self._lifecycle = lifecycle
        self._recording = recording
        self._isolation = isolation
        self._runner = runner
        self._clock = clock
        self._session = 0  # in which all claims were read last, and when
        self._read_at = 0.0

    def look(self) -> None:
        """One comparison. ConnectionLost or LaunchError: it is made again at the next pass.
        Without the launcher claims are read, and what ended is recorded."""
        everything = self._read()
        self._record()
        known: Known | None = None
        if everything:
            known = self._runner.known()
            self._isolation.adopt(known)
        ended = self._runner.names()
        self._book.unbegun.difference_update(ended)  # what the launcher knows was begun
        self._recording.outputs.retain(ended.keys())
        unowned: list[OpenClaim] = []
        for opened in list(self._book.claims.values()):
            claim = opened.claim
            if claim.result is not None or claim.not_before is not None:
                continue
            if claim.run_id not in ended:
                if not self._lifecycle.on_its_way(claim.run_id):
                    self._lifecycle.never_began(opened)
            elif ended[claim.run_id]:
                if not self._lifecycle.has_ended(claim.run_id):
                    known = known or self._runner.known()
                    self._end(claim.run_id, known)
            elif not opened.owned and self._coordinator.session_id:
                unowned.append(opened)
        for opened in self._claims.take_again(unowned):
            log.info("job=%s run=%s is owned again", opened.slot, opened.claim.run_id)
        self._end_strangers(ended)
        self._recording.forget()

    def _record(self) -> None:
        for opened in list(self._book.claims.values()):
            claim = opened.claim
            if claim.result is not None and not claim.closed and self._book.mine(opened.slot):
                self._lifecycle.close_as_holder(opened)
            else:
                self._recording.closed(opened)

    def _end(self, run_id: str, known: Known) -> None:
        _, _, end = known.get(run_id, (None, None, None))
        if end is not None:
            self._lifecycle.ended(end)

    def _read(self) -> bool:
        """The claims below this worker's name, by run id; whether all were read anew."""
        session, now = self._coordinator.session_id, self._clock.boot()
        if self._book.unbegun:
            self._coordinator.sync()  # what was sent before is done, or never will be
        parent = paths.runs(self._book.worker)
        standing = [f"{parent}/{name}" for name in self._coordinator.children(parent)]
        before: dict[str, OpenClaim] = {}
        for opened in self._book.claims.values():
            if opened.path in before:
                self._book.doubt(opened)  # removed, and made anew since the last look
            before[opened.path] = opened
        everything = session != self._session or now >= self._read_at + READ_ALL
        unknown = [
            path
            for path in standing
            if everything
            or path not in before
            or path in self._book.doubted
            or not _is_steady(before[path])
        ]
        found = {path: before[path] for path in standing if path in before}
        for path in unknown:
            found.pop(path, None)
        found.update(self._read_nodes(unknown, session, before))
        self._book.claims = {opened.claim.run_id: opened for opened in found.values()}
        for opened in self._book.claims.values():
            held = self._book.held.get(opened.slot)
            opened.spec = held.spec if held else opened.spec
        self._book.doubted.clear()
        self._book.unbegun &= self._book.claims.keys()
        if everything:
            self._session, self._read_at = session, now
        return everything

    def _read_nodes(
        self, wanted: Sequence[str], session: int, before: dict[str, OpenClaim]
    ) -> dict[str, OpenClaim]:
        nodes = self._coordinator.get_many(wanted)
        owners = self._coordinator.get_many([paths.owner(path) for path in wanted])
        found: dict[str, OpenClaim] = {}
        for path, node, owner in zip(wanted, nodes, owners, strict=True):
            if node is None:
                continue
            try:
                slot, key = paths.run_parts(path.rpartition("/")[2])
                claim = Claim.decode(node.data)
            except DcronError:
                log.exception("claim %s cannot be read and is left alone", path)
                continue
            spec = before[path].spec if path in before else None
            owned = owner is not None and owner.stat.ephemeral_owner == session
            found[path] = OpenClaim(slot, key, path, spec, claim, node.stat.version, owned)
        return found

    def _end_strangers(self, ended: dict[str, bool]) -> None:
        """Processes and results of the launcher's whose claims are not here any more."""
        claims = self._book.claims
        earlier = {one.run_id for opened in claims.values() for one in opened.claim.ended}
        forgotten = []
        for run_id, is_over in ended.items():
            if run_id in claims or run_id in earlier or self._recording.knows(run_id):
                continue
            if self._isolation.knows(run_id):
                continue  # it never had a claim
            if not is_over:
                log.warning("run=%s is ended: its claim is not here any more", run_id)
                self._runner.kill(run_id, "its claim was taken by another worker")
            elif self._recording.may_forget(run_id):
                forgotten.append(run_id)
        self._runner.acknowledge(forgotten)


def _is_steady(opened: OpenClaim) -> bool:
    """Whether nobody but this worker's session writes the claim as long as it stands."""
    claim = opened.claim
    return claim.closed or (claim.result is None and claim.not_before is None and opened.owned)
