"""What a run wrote: its tail, and where the whole lies."""

from __future__ import annotations

from dataclasses import dataclass

from dcron_common.db.connection import Database
from dcron_common.db.models import Run
from dcron_common.run import RunState


@dataclass(frozen=True, slots=True)
class Output:
    """`url`: the address of the whole, None where it was not stored (not yet, or not at all)."""

    run_id: str
    worker: str | None
    state: RunState
    tail: str | None
    url: str | None


def set_output(database: Database, run_id: str, url: str) -> bool:
    """Note where the run's whole output is, unless that is noted; False if there is no such run.

    Minutes that a run passed over have its id too, and never an output.
    """

    def work() -> bool:
        wanted = (Run.run_id == run_id) & (Run.state != RunState.MISSED)
        changed = Run.update(output_url=url).where(wanted, Run.output_url.is_null()).execute()
        return bool(changed) or bool(Run.select().where(wanted).exists())

    return database.transaction(work, idempotent=True)


def get_output(database: Database, job_id: int, run_id: str) -> Output | None:
    """What a run of this job wrote; None if there is no such run."""

    def work() -> Output | None:
        columns = (Run.run_id, Run.worker, Run.state, Run.output_tail, Run.output_url)
        wanted = (Run.run_id == run_id) & (Run.job_id == job_id) & (Run.state != RunState.MISSED)
        row = Run.select(*columns).where(wanted).first()
        if row is None:
            return None
        return Output(row.run_id, row.worker, RunState(row.state), row.output_tail, row.output_url)

    return database.read(work)
