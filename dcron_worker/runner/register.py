"""Every run that is not acknowledged, in memory and in the journal alike.

But for what a job was given and what it wrote: no environment is ever on disk, since it may hold
secrets; the tail of an output is read from the output's own file, which stays as long as the run
is known, and goes with it, while a line of the journal may stay for long.
"""

from __future__ import annotations

import itertools
import logging
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from dcron_worker.runner import output
from dcron_worker.runner.journal import Journal
from dcron_worker.runner.lease import boot_id
from dcron_worker.runner.model import (
    Ended,
    Launch,
    Started,
    ended_from,
    launch_from,
    to_json,
)

log = logging.getLogger(__name__)

_SLACK_RECORDS = 5000


@dataclass
class Entry:
    """`number` rises with each entry of this launcher's life. `boot_at`: when the run started,
    on CLOCK_BOOTTIME, and `ticks` when its process did, as /proc counts."""

    launch: Launch
    number: int
    started: Started | None = None
    boot_at: float = 0.0
    ticks: int = 0
    ended: Ended | None = None


class Register:
    """Opened by reading the journal. `same_boot` is false if that was written before a reboot."""

    def __init__(self, directory: Path) -> None:
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        self.outputs = directory / output.FOLDER
        self.outputs.mkdir(mode=0o700, exist_ok=True)
        self._outputs = str(self.outputs)
        self.journal = Journal(directory)
        self.entries: dict[str, Entry] = {}
        self._numbers = itertools.count(1)
        self._boot = boot_id()
        self.same_boot = True
        for record in self.journal.read():
            self._replay(record)
        self._read_tails()
        self._compact()
        self._remove_strays()

    def output_path(self, run_id: str) -> str:
        """Where the run's output lies. No Path: they are made by the thousand."""
        return f"{self._outputs}/{run_id}"

    def add(self, launches: Iterable[Launch]) -> list[Launch]:
        """Write down those that are new, in one fsync, and return them. OSError: none is."""
        new = {x.run_id: x for x in launches if x.run_id not in self.entries}
        if new:
            bare = {run_id: replace(x, environment={}) for run_id, x in new.items()}
            self.journal.append({"t": "launch", "run": to_json(x)} for x in bare.values())
            for launch in bare.values():
                self._remember(launch)
        return list(new.values())

    def start(self, record: dict[str, Any]) -> Entry | None:
        """Remember a start, which stands in a starter's log; None if the run is not known."""
        entry = self.entries.get(record["run_id"])
        if entry is not None:
            entry.started = Started(record["run_id"], record["pid"], record["wall"])
            entry.boot_at, entry.ticks = record["boot"], record["ticks"]
        return entry

    def unfinished(self, run_id: str) -> bool:
        """Whether the run's end is not written down yet."""
        return run_id in self.entries and self.entries[run_id].ended is None

    def end(self, ended: Sequence[Ended]) -> None:
        """Remember results and write them down in one fsync. OSError: only remembered."""
        for result in ended:
            self.entries[result.run_id].ended = result
        self.journal.append(map(_ended_record, ended))

    def forget(self, run_ids: Iterable[str]) -> None:
        """Drop ended runs and their files; others are left alone."""
        gone = [x for x in run_ids if x in self.entries and self.entries[x].ended]
        if not gone:
            return
        for run_id in gone:
            del self.entries[run_id]
            (self.outputs / run_id).unlink(missing_ok=True)
        try:
            self.journal.append([{"t": "ack", "run_ids": gone}])
        except OSError as error:  # the next launcher tells them once more
            log.error("%d acknowledgements could not be written down: %s", len(gone), error)
        if self.journal.records > _SLACK_RECORDS + 4 * len(self.entries):
            self._compact()

    def after(self, number: int) -> Iterator[Entry]:
        """The entries of higher numbers, in order."""
        return (entry for entry in self.entries.values() if entry.number > number)

    def results(self) -> list[Ended]:
        """All that the daemon has not acknowledged."""
        return [entry.ended for entry in self.entries.values() if entry.ended]

    def _remember(self, launch: Launch) -> None:
        self.entries.pop(launch.run_id, None)  # the order is that of the numbers
        self.entries[launch.run_id] = Entry(launch, next(self._numbers))

    def _replay(self, record: dict[str, Any]) -> None:
        kind = record.get("t")
        if kind == "boot":
            self.same_boot = record["id"] == self._boot
        elif kind == "launch":
            launch = launch_from(record["run"])
            self._remember(launch)
        elif kind == "started":
            self.start(record)
        elif kind == "ended" and record["run"]["run_id"] in self.entries:
            ended = ended_from(record["run"])
            self.entries[ended.run_id].ended = ended
        elif kind == "ack":
            for run_id in record["run_ids"]:
                self.entries.pop(run_id, None)

    def _read_tails(self) -> None:
        for run_id, entry in self.entries.items():
            if entry.ended and entry.ended.output_size and not entry.ended.output_tail:
                summary = output.close(self.output_path(run_id), entry.launch.output_bytes)
                entry.ended = replace(entry.ended, output_tail=summary.tail)

    def _compact(self) -> None:
        records: list[dict[str, Any]] = [{"t": "boot", "id": self._boot}]
        if not self.same_boot:  # until recovery has disowned the runs of the earlier boot
            records = [{"t": "boot", "id": "earlier"}]
        for entry in self.entries.values():
            records.append({"t": "launch", "run": to_json(entry.launch)})
            if entry.started:
                records.append(_started_record(entry, entry.started))
            if entry.ended:
                records.append(_ended_record(entry.ended))
        try:
            self.journal.rewrite(records)
        except OSError as error:  # what runs must be guarded, room or not
            log.error("the journal keeps what is over: %s", error)

    def disowned(self) -> None:
        """The runs of an earlier boot have ended: from here on the journal is of this boot."""
        self.same_boot = True
        self._compact()

    def _remove_strays(self) -> None:
        for path in self.outputs.iterdir():
            if path.name not in self.entries:
                path.unlink()


def _ended_record(ended: Ended) -> dict[str, Any]:
    return {"t": "ended", "run": to_json(replace(ended, output_tail=""))}


def _started_record(entry: Entry, started: Started) -> dict[str, Any]:
    return {
        "t": "started",
        "run_id": started.run_id,
        "pid": started.pid,
        "ticks": entry.ticks,
        "wall": started.started_at,
        "boot": entry.boot_at,
    }
