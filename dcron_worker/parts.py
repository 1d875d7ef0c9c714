"""The parts that decide about claims and runs, put together. All belong to the daemon's thread."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass
from pathlib import Path

from dcron_common.clock import Clock
from dcron_common.coordinator.contract import Coordinator
from dcron_common.job import Spec
from dcron_common.run import RunRecord
from dcron_worker.adoption import Adoption
from dcron_worker.book import Book
from dcron_worker.claims import Claims
from dcron_worker.endings import Endings
from dcron_worker.following import Following
from dcron_worker.isolation import Isolation
from dcron_worker.killing import Killing
from dcron_worker.lifecycle import Lifecycle
from dcron_worker.notes import Notes
from dcron_worker.outputs import Outputs
from dcron_worker.pieces import Pieces
from dcron_worker.preparing import Preparing
from dcron_worker.recording import Recording
from dcron_worker.runner.client import Runner
from dcron_worker.runner.model import Ended, Launch
from dcron_worker.taking import Taking
from dcron_worker.vault import Vault


@dataclass(frozen=True, slots=True)
class Parts:
    """What the daemon's loop asks in each pass."""

    book: Book
    claims: Claims
    taking: Taking
    recording: Recording
    lifecycle: Lifecycle
    isolation: Isolation
    adoption: Adoption
    killing: Killing
    vault: Vault
    following: Following


def assemble(
    book: Book,
    *,
    notes: Notes,
    coordinator: Coordinator,
    runner: Runner,
    report: Callable[[Sequence[RunRecord], Sequence[str]], None],
    outputs: Outputs,
    pieces: Pieces,
    fetch: Callable[[Spec], Path],
    executor: Executor,
    tell: Callable[[Ended | Launch], None],
    user_of: Callable[[Spec], str | None],
    vault: Vault,
    clock: Clock,
    new_id: Callable[[], str],
    jitter: Callable[[], float],
) -> Parts:
    """`notes`: see Isolation. `report`: see Recording. `fetch`, `executor`, `tell`, `user_of`,
    `vault`: see Preparing. `jitter` is in [0, 1)."""

    def preparing() -> Preparing:
        return Preparing(
            fetch=fetch, executor=executor, tell=tell, user_of=user_of, vault=vault, clock=clock
        )

    claims = Claims(coordinator, book, clock, new_id)
    endings = Endings(coordinator, book, claims.refresh, new_id)
    recording = Recording(book, endings, runner, report, outputs)
    lifecycle = Lifecycle(
        coordinator=coordinator,
        book=book,
        claims=claims,
        endings=endings,
        runner=runner,
        recording=recording,
        preparing=preparing(),
        clock=clock,
        jitter=jitter,
        hide=vault.hide,
    )

    def is_over(run_id: str) -> bool:
        """Whether a claim holds its job by no process, and by nothing that may become one now."""
        return lifecycle.has_ended(run_id) or run_id in book.unbegun

    isolation = Isolation(
        book=book,
        notes=notes,
        runner=runner,
        report=report,
        preparing=preparing(),
        has_ended=is_over,
        hide=vault.hide,
        clock=clock,
        new_id=new_id,
    )
    adoption = Adoption(coordinator, book, claims, lifecycle, recording, isolation, runner, clock)
    killing = Killing(coordinator, book, claims, lifecycle, isolation)
    taking = Taking(book, claims, lifecycle, isolation)

    def lives(run_id: str) -> bool:
        opened = book.claims.get(run_id)
        return (opened is not None and opened.claim.result is None) or isolation.knows(run_id)

    following = Following(
        book.worker,
        coordinator,
        pieces=pieces,
        output_path=runner.output_path,
        lives=lives,
        clock=clock,
    )
    return Parts(
        book=book,
        claims=claims,
        taking=taking,
        recording=recording,
        lifecycle=lifecycle,
        isolation=isolation,
        adoption=adoption,
        killing=killing,
        vault=vault,
        following=following,
    )
