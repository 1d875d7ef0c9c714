"""`make bench-reconcile`: ten thousand jobs on one worker, read, rendered and decided.

Once against the in-process coordinator, so that no other process's time is in it, and once against
a real ZooKeeper server on this machine, by TLS. The reference is reading the same nodes without
looking into them; the bound is BOUND. Exit code 1 and a word in the last line: not reached.
"""

from __future__ import annotations

import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from dcron_common import paths
from dcron_common.coordinator.contract import APP, Coordinator, Create
from dcron_common.coordinator.local import LocalEnsemble
from dcron_common.coordinator.zookeeper import ZooKeeperCoordinator
from dcron_common.job import JobType, Spec
from dcron_common.paths import Slot
from dcron_common.protocol import Fence
from dcron_worker import assignments
from dcron_worker.book import Book
from dcron_worker.crontab import plan
from dcron_worker.crontab_file import SystemCrontab
from dcron_worker.decide import decide
from tests.servers import zookeeper

JOBS = 10_000
BOUND = 2.0  # seconds
NOW = 1_800_000_000 // 60 * 60


def main() -> int:
    missed = []
    for where, opened in (("in process", _in_process), ("ZooKeeper", _on_zookeeper)):
        with opened() as session:
            if session is None:
                missed.append(f"{where}: not measured, {zookeeper.missing()}")
                continue
            seconds = _told(where, _measured(session))
        if seconds > BOUND:
            missed.append(f"{where}: {seconds:.2f} s")
    if missed:
        print(f"NOT REACHED ({BOUND:g} s for {JOBS:,} jobs): {'; '.join(missed)}")
        return 1
    print(f"{JOBS:,} jobs reconciled within {BOUND:g} s, in process and on ZooKeeper")
    return 0


@contextmanager
def _in_process() -> Iterator[Coordinator]:
    ensemble = LocalEnsemble()
    session = ensemble.session()
    session.start(1)
    yield session
    ensemble.close()


@contextmanager
def _on_zookeeper() -> Iterator[Coordinator | None]:
    """None where this machine has none."""
    if zookeeper.missing() is not None:
        yield None
        return
    with (
        tempfile.TemporaryDirectory() as folder,
        zookeeper.ZooKeeperServer(Path(folder)) as server,
    ):
        identity = server.issue(APP)
        session = ZooKeeperCoordinator(
            [f"127.0.0.1:{server.tls_port}"],
            certificate=identity.certificate,
            key=identity.key,
            ca=server.ca,
        )
        session.start(30)
        yield session
        session.stop()


def _measured(session: Coordinator) -> dict[str, float]:
    """What each step took, in seconds; the first is the reference, the last is a second look."""
    names = _assigned(session)
    book = Book("node")

    def decided() -> int:
        found = (
            decide(held.spec, held.schedule, held.fence, "node", NOW) for held in book.held.values()
        )
        return sum(one is not None for one in found)

    with tempfile.TemporaryDirectory() as folder:
        crontab = SystemCrontab(Path("/run/dcron/fire"), directory=Path(folder))
        steps: dict[str, Callable[[], object]] = {
            "reference: nodes read": lambda: [
                session.get_many(names),
                session.get_many([paths.fence(Slot(number)) for number in range(JOBS)]),
            ],
            "assignments and fences read": lambda: assignments.refresh("node", session, book),
            "crontab rendered and written": lambda: crontab.reconcile(
                plan([(slot.job_id, held.schedule) for slot, held in book.held.items()], "UTC")
            ),
            "decided": decided,
            "again, nothing new: read": lambda: assignments.refresh("node", session, book),
        }
        taken = {name: _timed(step) for name, step in steps.items()}
    if len(book.held) != JOBS:
        raise RuntimeError(f"{len(book.held)} of {JOBS} jobs were read")
    return taken


def _assigned(session: Coordinator) -> list[str]:
    """Write the jobs' fences and assignments; the names of the latter."""
    for path in [*paths.roots(), paths.assignments("node")]:
        session.ensure(path)
    pairs = []
    for number in range(JOBS):
        slot, spec = Slot(number), _spec(number)
        fence = Fence(spec.incarnation, 1, "node", 1, "active", NOW - 60)
        pairs.append(
            [
                Create(paths.fence(slot), fence.encode()),
                Create(paths.assignment("node", slot, paths.Edition(1)), spec.encode()),
            ]
        )
    for answer in session.commit_many(pairs):
        if isinstance(answer, Exception):
            raise answer
    return [paths.assignment("node", Slot(number), paths.Edition(1)) for number in range(JOBS)]


def _told(where: str, taken: dict[str, float]) -> float:
    """Print what was taken; the seconds of what a worker does."""
    for name, seconds in taken.items():
        print(f"{where}: {seconds:7.3f} s  {name}")
    reference, *ours = list(taken.values())[:4]
    print(
        f"{where}: {JOBS:,} jobs in {sum(ours):.2f} s: {sum(ours) / BOUND:.2f} of {BOUND:g} s, "
        f"{sum(ours) / reference:.1f} times the reading alone"
    )
    return sum(ours)


def _spec(number: int) -> Spec:
    """A tenth is due every minute, the others each day at one of 1,440 minutes."""
    daily = f"{number % 60} {number // 60 % 24} * * *"
    return Spec(
        job_id=number,
        incarnation=f"{number:026}",
        revision=1,
        type=JobType.COMMAND,
        executable="true",
        schedule="* * * * *" if number % 10 == 0 else daily,
        timezone="UTC",
        effective_from=0,
    )


def _timed(step: Callable[[], object]) -> float:
    begin = time.perf_counter()
    step()
    return time.perf_counter() - begin


if __name__ == "__main__":
    sys.exit(main())
