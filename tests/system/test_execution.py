"""How jobs are executed on real hosts: limits and what is said of them, surroundings, leftovers,
outputs, and crond brought back. Asked of a deployed cluster of any size, through its API and
bin/lab. What a test spoils is as it was when the test ends, however it ends.

All jobs are posted at once, so that they wait for the same minute.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import pytest

from tests.system.cluster import (
    Cluster,
    base64_of,
    crontabs,
    figure,
    lab,
    needs_cluster,
    needs_lab,
    script,
    wait_for,
)

pytestmark = [needs_cluster, needs_lab]

ENDED = 150.0  # until what is due at the next minute has run, and has been ended where need be
PUT_BACK = 40.0
EMPTY = 90.0  # until removed jobs stand in no crontab
SILENT = 90.0  # seconds without a tick after which a worker acts
MEMORY = 64 << 20
HOG = "exec python3 -c 'print(len(bytearray(300 << 20)))'"
CROWD = "for i in 1 2 3 4 5 6; do sleep 1 & done; wait; false"
BOMB = "bomb() { bomb | bomb & }; bomb; exec sleep 60"  # exec: to go on takes no fork
MARK = "4242"
# Behind two forks, in a session of its own, without the run's environment, deaf to TERM.
HIDDEN = f"""(setsid env -i /bin/sh -c '
  (trap "" TERM HUP; while :; do /bin/sleep {MARK}; done) & exit 0') &
sleep 600
"""
LOOK = r"""env | sort
echo umask=$(umask) user=$(id -un) groups=$(id -Gn) pwd=$(pwd)
echo fds=$(ls /proc/self/fd | tr '\n' ,) oom=$(cat /proc/self/oom_score_adj) nice=$(nice)
grep -E '^Sig(Blk|Ign)' /proc/self/status # by grep: gawk ignores SIGPIPE of its own accord
echo tty=$(cut -d' ' -f7 /proc/self/stat)
state=/var/lib/dcron-worker
for file in /etc/dcron/worker.toml /etc/dcron/worker/worker.key $state/runs/journal /run/dcron/fire
do (cat <$file) 2>/dev/null && echo leaked=$file
done
exit 0
"""


def command(text: str, **more: Any) -> dict[str, Any]:
    return {"executable": text, "schedule": "* * * * *", "type": "command", **more}


JOBS: dict[str, dict[str, Any]] = {
    "memory": command(HOG, limits={"memory_bytes": MEMORY}),
    "processes": command(CROWD, limits={"processes": 4}),
    "bomb": command(BOMB, limits={"processes": 30}, timeout_seconds=2),
    "cpu": command("while :; do :; done", limits={"cpu_percent": 10}, timeout_seconds=3),
    "flood": command("yes", limits={"output_bytes": 100_000}),
    "large": command("seq 20000"),
    "hidden": script(HIDDEN, timeout_seconds=2),
    "look": script(LOOK, environment={"GREETING": "hello  world"}),
    "no line": script("echo by sh $0\n", filename="no-line.sh"),
    "no interpreter": script("#!/no/interpreter\n"),
    "no program": {
        "executable": base64_of(b"\x00\x01neither"),
        "schedule": "* * * * *",
        "type": "binary",
    },
    "no folder": command("true", working_directory="/no/such/folder"),
    "no such user here": command("true", run_as="games"),
}


@pytest.fixture(scope="module")
def cluster() -> Iterator[Cluster]:
    made = Cluster()
    yield made
    made.clean()


@pytest.fixture(scope="module")
def ran(cluster: Cluster) -> dict[str, dict[str, Any]]:
    """The first run of each job that came to an end; no job runs again."""
    ids = {name: cluster.post(body)["id"] for name, body in JOBS.items()}
    found: dict[str, dict[str, Any]] = {}

    def all_ended() -> bool:
        for name in ids.keys() - found.keys():
            if ended := cluster.ended(ids[name]):
                found[name] = ended[-1]
                cluster.delete(ids[name])
        return len(found) == len(ids)

    def none_stands() -> bool:
        return all(held.isdisjoint(ids.values()) for held in crontabs(cluster.workers()).values())

    wait_for("all jobs have run once", all_ended, ENDED, pause=1)
    wait_for("none stands in a crontab any more", none_stands, EMPTY)
    for name, run in found.items():
        figure(name, f"{run['state']}: {run['reason']}")
    return found


@pytest.mark.parametrize(
    ("name", "state", "reason"),
    [
        ("memory", "failed", f"memory limit of {MEMORY} bytes exceeded"),
        ("processes", "failed", "limit of 4 processes reached"),
        ("bomb", "timed_out", "timeout of 2 s; limit of 30 processes reached"),
        # For how long depends on what else the machine does.
        ("cpu", "timed_out", r"timeout of 3 s; cpu limit of 10 % held it back for (0\.)?[1-9]"),
        ("flood", "failed", "output limit of 100000 bytes exceeded"),
    ],
)
def test_a_limit_that_was_exceeded_is_the_reason(
    ran: dict[str, dict[str, Any]], name: str, state: str, reason: str
) -> None:
    assert ran[name]["state"] == state
    assert re.match(reason, ran[name]["reason"] or ""), ran[name]["reason"]


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("no interpreter", "the interpreter that its #! line or its ELF header names is missing"),
        ("no program", "neither a program for this machine nor a script with a #! line"),
        ("no folder", "working directory /no/such/folder: No such file or directory"),
        ("no such user here", "this node does not run jobs as games: add it to"),
    ],
)
def test_what_cannot_be_started_says_why(
    ran: dict[str, dict[str, Any]], name: str, reason: str
) -> None:
    run = ran[name]
    assert (run["state"], run["exit_code"]) == ("failed", None)
    assert reason in run["reason"]


def test_a_script_without_a_line_that_names_its_interpreter_runs_by_sh(
    ran: dict[str, dict[str, Any]],
) -> None:
    assert ran["no line"]["state"] == "succeeded"
    assert ran["no line"]["output_tail"].startswith("by sh /")


def test_a_run_has_crons_surroundings_the_documented_variables_and_nothing_else(
    ran: dict[str, dict[str, Any]],
) -> None:
    run = ran["look"]
    lines = run["output_tail"].splitlines()
    told = dict(line.split("=", 1) for line in lines if re.match(r"[A-Z_]+=", line))
    told.pop("_", None)
    assert told.pop("DCRON_LAUNCH").startswith(f"{run['id']}@")
    assert int(told.pop("DCRON_EPOCH")) >= 0
    assert told == {
        "GREETING": "hello  world",
        "HOME": told["HOME"],
        "LOGNAME": "dcron-job",
        "PATH": "/usr/bin:/bin",
        "PWD": told["PWD"],
        "SHELL": "/bin/sh",
        "USER": "dcron-job",
        "DCRON_ATTEMPT": "1",
        "DCRON_JOB_ID": run["job_id"],
        "DCRON_RUN_ID": run["id"],
        "DCRON_SCHEDULED_AT": run["scheduled_at"],
    }
    assert f"umask=0022 user=dcron-job groups=dcron-job pwd={told['PWD']}" in lines
    assert "fds=0,1,2,3, oom=0 nice=0" in lines
    assert "tty=0" in lines
    assert not [line for line in lines if line.startswith("leaked=")]
    masks = [int(line.split(":")[1], 16) for line in lines if line.startswith("Sig")]
    assert [mask & ~(0b11 << 31) for mask in masks] == [0, 0]


def test_what_hides_from_its_run_is_ended_with_it(ran: dict[str, dict[str, Any]]) -> None:
    run = ran["hidden"]
    assert run["state"] == "timed_out"
    left = lab("exec", run["worker"], f"pgrep -u dcron-job -fa {MARK} || echo none", seconds=90)
    assert left.strip() == "none"


@pytest.mark.parametrize(
    ("name", "whole"),
    [
        ("large", "".join(f"{number}\n" for number in range(1, 20001))),
        ("flood", "y\n" * 50_000),
    ],
)
def test_an_output_beyond_its_tail_can_be_read_whole(
    cluster: Cluster, ran: dict[str, dict[str, Any]], name: str, whole: str
) -> None:
    run = ran[name]
    path = f"/jobs/{run['job_id']}/runs"

    def stored() -> bool:
        return any(one["id"] == run["id"] and one["output_url"] for one in cluster.get(path))

    wait_for("the whole output is stored", stored, 60)
    answer = cluster.ask("GET", f"{path}/{run['id']}/output")
    assert (answer.status_code, answer.headers["Dcron-Output"]) == (200, "whole")
    assert answer.text == whole


@pytest.mark.parametrize("fault", ["echo '* * * * * root true' >>{}", "rm {}", "chmod 600 {}"])
def test_a_crontab_that_somebody_changed_is_put_back_and_reported(
    cluster: Cluster, fault: str
) -> None:
    host = min(cluster.workers())
    file = "/etc/cron.d/dcron"
    before = lab("exec", host, f"cat {file}", seconds=90)
    since = lab("exec", host, "date +%s", seconds=90).strip()
    lab("exec", host, fault.format(file), seconds=90)

    def is_back() -> bool:
        shown = lab("exec", host, f"stat -c %a {file}; cat {file} || true", seconds=90)
        return shown == f"644\n{before}"

    wait_for("the crontab is as it was", is_back, PUT_BACK)
    said = f"journalctl --no-pager -o cat -u dcron-worker --since @{since}"
    wait_for(
        "the edit is reported",
        lambda: "edits by hand were put back in: dcron" in lab("exec", host, said, seconds=90),
        PUT_BACK,
    )


@pytest.fixture
def spoiled(cluster: Cluster) -> Iterator[dict[str, str]]:
    """Hosts whose crond was stopped or stands still, and the pid that it had. Where there is one
    host only, it stands still."""
    faults = ("systemctl kill --signal=STOP cron", "systemctl stop cron")
    hurt = dict(zip(sorted(cluster.workers()), faults, strict=False))
    before = {host: lab("exec", host, "pgrep -o -x cron", seconds=90).strip() for host in hurt}
    try:
        for host, fault in hurt.items():
            lab("exec", host, fault, seconds=90)
        yield before
    finally:
        for host in hurt:
            mend = "systemctl kill --signal=CONT cron || true; systemctl start cron"
            lab("exec", host, mend, seconds=90)


def test_a_crond_that_was_stopped_or_stands_still_is_started_again(
    spoiled: dict[str, str],
) -> None:

    def all_back() -> bool:
        asked = "systemctl is-active cron; pgrep -o -x cron || true"
        shown = {
            host: lab("exec", host, f"({asked}) || true", seconds=90).split() for host in spoiled
        }
        return all(
            len(words) == 2 and words[0] == "active" and words[1] != spoiled[host]
            for host, words in shown.items()
        )

    wait_for("crond runs again", all_back, SILENT + 120, pause=3)
