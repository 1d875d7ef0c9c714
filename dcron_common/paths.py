"""The name of every znode. No other module builds or splits one.

/leader/election/n-<seq>         ephemeral; the lowest is the leader
/leader/epoch                    its version is raised by each new leader, checked by its writes
/leader/record                   how often leaders have looked: a record that says less is a backup
/inbox/<job>-<seq>               "job is at revision R"
/workers/<worker>                persistent: the worker is admitted; what is below is its own
/workers/<worker>/live           ephemeral registration
/assignments/<worker>/<slot>.<revision>-<digest>   the spec; the name alone tells what changed
/fence/<shard>/<slot>            persistent for the job's life; versions never restart
/runs/<worker>/<slot>.<key>      claim;  key: <minute> | m.<ulid>
/runs/<worker>/<slot>.<key>/owner   ephemeral, only while a process runs
/tasks/<worker>/<slot>.<key>     a run that the leader or a user asks a worker for
/kills/<worker>/<slot>.<key>     a request to end that run
/follows/<worker>/<run_id>       somebody reads what that run writes, while it runs

A slot is what is placed on one worker: `<job>` alone, or `<job>@<worker>` of a job that runs on
all workers. Fences are sharded over 256 parents so that no list of children nears ZooKeeper's
packet limit; everything below a worker's name can be read and written by that worker only.

A worker's name may hold dots, so the name of a claim or a task is read from its right end.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import NamedTuple

from dcron_common.errors import CoordinatorError

ELECTION = "/leader/election"
EPOCH = "/leader/epoch"
RECORD = "/leader/record"
INBOX = "/inbox"
WORKERS = "/workers"
ASSIGNMENTS = "/assignments"
FENCES = "/fence"
RUNS = "/runs"
TASKS = "/tasks"
KILLS = "/kills"
FOLLOWS = "/follows"

SHARDS = 256

# `<slot>.<key>`: the last part alone tells a minute from a ULID, which has 26 characters. Ten
# digits of seconds last until 2286; twelve are the bound.
_RUN = re.compile(r"(.+)\.(m\.[0-9A-HJKMNP-TV-Z]{26}|[0-9]{1,12})", re.ASCII)
_RUN_ID = re.compile(r"[0-9A-HJKMNP-TV-Z]{26}", re.ASCII)
_ASSIGNMENT = re.compile(r"(.+)\.([0-9]+)(?:-([0-9a-f]+))?", re.ASCII)
_SLOT = re.compile(r"([0-9]+)(?:@(.+))?", re.ASCII)


def shard(job_id: int) -> str:
    """The two hex digits under which a job's fence stands."""
    return f"{job_id % SHARDS:02x}"


def fences(job_id: int) -> str:
    """The parent of a job's fences."""
    return f"{FENCES}/{shard(job_id)}"


def fence_shards() -> list[str]:
    """All parents of fences."""
    return [f"{FENCES}/{number:02x}" for number in range(SHARDS)]


def roots() -> list[str]:
    """What must exist before anything else is written."""
    return [
        ELECTION,
        EPOCH,
        RECORD,
        INBOX,
        WORKERS,
        ASSIGNMENTS,
        RUNS,
        TASKS,
        KILLS,
        FOLLOWS,
        *fence_shards(),
    ]


@dataclass(frozen=True, slots=True, order=True)
class Slot:
    """A job's place: `node` is empty, or the worker's name for a job that runs on all."""

    job_id: int
    node: str = ""

    def __str__(self) -> str:
        return f"{self.job_id}@{self.node}" if self.node else str(self.job_id)

    @classmethod
    def parse(cls, text: str) -> Slot:
        """CoordinatorError for a text that no slot is written as."""
        found = _SLOT.fullmatch(text)
        if found is None:
            raise CoordinatorError(f"{text!r} names no job's place")
        return cls(int(found[1]), found[2] or "")


class Edition(NamedTuple):
    """What an assignment says: a revision, and `Spec.digest` of it. A record that was put back from
    a backup gives a revision's number a second time."""

    revision: int
    digest: str = ""

    def __str__(self) -> str:
        return f"{self.revision}-{self.digest}" if self.digest else str(self.revision)


def inbox_prefix(job_id: int) -> str:
    """For a sequential node; the service appends ten digits."""
    return f"{INBOX}/{job_id}-"


def inbox_job(name: str) -> int:
    """The job that an inbox node's name speaks of."""
    return int(name.partition("-")[0])


def worker(name: str) -> str:
    return f"{WORKERS}/{name}"


def registration(name: str) -> str:
    return f"{WORKERS}/{name}/live"


def assignments(worker_name: str) -> str:
    return f"{ASSIGNMENTS}/{worker_name}"


def assignment(worker_name: str, slot: Slot, edition: Edition) -> str:
    return f"{ASSIGNMENTS}/{worker_name}/{slot}.{edition}"


def assignment_parts(name: str) -> tuple[Slot, Edition]:
    """(slot, edition) of an assignment's name; CoordinatorError for one that is not ours."""
    found = _ASSIGNMENT.fullmatch(name)
    if found is None:
        raise CoordinatorError(f"{name!r} is no name of an assignment")
    return Slot.parse(found[1]), Edition(int(found[2]), found[3] or "")


def fence(slot: Slot) -> str:
    return f"{fences(slot.job_id)}/{slot}"


def runs(worker_name: str) -> str:
    return f"{RUNS}/{worker_name}"


def claim(worker_name: str, slot: Slot, key: str) -> str:
    return f"{RUNS}/{worker_name}/{slot}.{key}"


def owner(claim_path: str) -> str:
    return f"{claim_path}/owner"


def tasks(worker_name: str) -> str:
    return f"{TASKS}/{worker_name}"


def task(worker_name: str, slot: Slot, key: str) -> str:
    return f"{TASKS}/{worker_name}/{slot}.{key}"


def kills(worker_name: str) -> str:
    return f"{KILLS}/{worker_name}"


def kill(worker_name: str, slot: Slot, key: str) -> str:
    return f"{KILLS}/{worker_name}/{slot}.{key}"


def follows(worker_name: str) -> str:
    return f"{FOLLOWS}/{worker_name}"


def follow(worker_name: str, run_id: str) -> str:
    return f"{FOLLOWS}/{worker_name}/{run_id}"


def below(worker_name: str) -> list[str]:
    """All parents of what is below a worker's name, but for its registration's."""
    roots_of = (assignments, runs, tasks, kills, follows)
    return [root_of(worker_name) for root_of in roots_of]


def followed_run(name: str) -> str:
    """The run whose output a wish's name asks for; CoordinatorError for one that is not ours."""
    if _RUN_ID.fullmatch(name) is None:
        raise CoordinatorError(f"{name!r} is no run's id")
    return name


def run_parts(name: str) -> tuple[Slot, str]:
    """(slot, key) of the name of a claim, a task or a request; CoordinatorError for one that is
    not ours."""
    found = _RUN.fullmatch(name)
    if found is None:
        raise CoordinatorError(f"{name!r} is no name of a claim or a task")
    return Slot.parse(found[1]), found[2]
