"""The name of every znode. No other module builds or splits one.

/leader/election/n-<seq>         ephemeral; the lowest is the leader
/leader/epoch                    its version is raised by each new leader, checked by its writes
/inbox/<job>-<seq>               "job is at revision R"
/workers/<worker>                ephemeral registration
/assignments/<worker>/<job>.<revision>   the spec; the name alone tells what changed
/fence/<shard>/<job>             persistent for the job's life; versions never restart
/runs/<shard>/<job>/<key>        claim;  key: <minute> | <minute>.<worker> | m.<ulid>
/runs/<shard>/<job>/<key>/owner  ephemeral, only while a process runs
/tasks/<worker>/<job>.<key>      a run that the leader asks a worker for

Jobs are sharded over 256 parents so that no list of children nears ZooKeeper's packet limit.
"""

from __future__ import annotations

ELECTION = "/leader/election"
EPOCH = "/leader/epoch"
INBOX = "/inbox"
WORKERS = "/workers"
ASSIGNMENTS = "/assignments"
FENCES = "/fence"
RUNS = "/runs"
TASKS = "/tasks"

SHARDS = 256


def shard(job_id: int) -> str:
    """The two hex digits under which a job's nodes stand."""
    return f"{job_id % SHARDS:02x}"


def shards(root: str) -> list[str]:
    """All shard parents under FENCES or RUNS."""
    return [f"{root}/{number:02x}" for number in range(SHARDS)]


def roots() -> list[str]:
    """What must exist before anything else is written, parents first."""
    fixed = [ELECTION, EPOCH, INBOX, WORKERS, ASSIGNMENTS, TASKS]
    return [*fixed, *shards(FENCES), *shards(RUNS)]


def inbox_prefix(job_id: int) -> str:
    """For a sequential node; the service appends ten digits."""
    return f"{INBOX}/{job_id}-"


def inbox_job(name: str) -> int:
    """The job that an inbox node's name speaks of."""
    return int(name.partition("-")[0])


def worker(name: str) -> str:
    return f"{WORKERS}/{name}"


def assignments(worker_name: str) -> str:
    return f"{ASSIGNMENTS}/{worker_name}"


def assignment(worker_name: str, job_id: int, revision: int) -> str:
    return f"{ASSIGNMENTS}/{worker_name}/{job_id}.{revision}"


def assignment_parts(name: str) -> tuple[int, int]:
    """(job, revision) of an assignment's name."""
    job, _, revision = name.partition(".")
    return int(job), int(revision)


def fence(job_id: int) -> str:
    return f"{FENCES}/{shard(job_id)}/{job_id}"


def job_runs(job_id: int) -> str:
    return f"{RUNS}/{shard(job_id)}/{job_id}"


def claim(job_id: int, key: str) -> str:
    return f"{job_runs(job_id)}/{key}"


def owner(job_id: int, key: str) -> str:
    return f"{claim(job_id, key)}/owner"


def tasks(worker_name: str) -> str:
    return f"{TASKS}/{worker_name}"


def task(worker_name: str, job_id: int, key: str) -> str:
    return f"{TASKS}/{worker_name}/{job_id}.{key}"


def task_parts(name: str) -> tuple[int, str]:
    """(job, key) of a task's name."""
    job, _, key = name.partition(".")
    return int(job), key
