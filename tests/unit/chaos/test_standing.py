"""What stands in the end is read from what the product itself writes."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from types import SimpleNamespace

import pytest

from chaos.model import How
from chaos.standing import (
    final,
    from_zookeeper,
    how_the_api_has,
    lines_of,
    unacknowledged,
    zookeeper,
)
from dcron_common import paths
from dcron_common.coordinator.local import LocalCoordinator, LocalEnsemble
from dcron_common.job import JobType, Spec
from dcron_common.paths import Edition, Slot
from dcron_common.protocol import Fence
from dcron_common.schedule import parse
from dcron_worker import crontab
from dcron_worker.runner.model import Ended, Launch
from dcron_worker.runner.register import Register

SPEC = Spec(7, "I", 3, JobType.COMMAND, "true", "*/2 * * * *", "Asia/Kathmandu", 60, paused=True)
FENCE = Fence("I", 2, "a", 3, "paused", 120)


def name(spec: Spec = SPEC, slot: Slot | None = None) -> str:
    """Of its assignment."""
    path = paths.assignment("a", slot or Slot(7), Edition(spec.revision, spec.digest()))
    return path.rpartition("/")[2]


def test_a_fence_tells_its_holder_its_revision_its_state_and_what_runs() -> None:
    running = Fence("I", 2, "a", 3, "active", 120, active="180").encode().decode()
    said = {"7": FENCE.encode().decode(), "8@a": running}
    found = from_zookeeper({"leftovers": [], "fences": said, "assignments": {}})
    assert found.details is not None
    assert found.fences == {"7": "a", "8@a": "a"}
    assert found.details.fences == {"7": How(3, "paused"), "8@a": How(3, "active")}
    assert found.leftovers == [paths.fence(Slot(8, "a")) + ".180"]


def test_an_assignment_tells_its_edition_and_what_its_spec_says() -> None:
    said = {"a": {name(): SPEC.encode().decode()}, "b": {}}
    found = from_zookeeper({"leftovers": [], "fences": {}, "assignments": said})
    assert found.details is not None
    assert found.assignments == {"a": {"7"}, "b": set()}
    how = How(3, "paused", "*/2 * * * *", "Asia/Kathmandu")
    assert found.details.assignments == {"a": {"7": [how]}, "b": {}}


def test_two_editions_of_one_slot_are_both_told() -> None:
    both = {name(one): one.encode().decode() for one in (SPEC, SPEC.at(4))}
    found = from_zookeeper({"leftovers": [], "fences": {}, "assignments": {"a": both}})
    assert found.details is not None
    assert [one.revision for one in found.details.assignments["a"]["7"]] == [3, 4]


def table() -> str:
    jobs = [
        (1, parse("* * * * *", "UTC")),
        (2, parse("1-59/2 * * * *", "UTC")),
        (3, parse("*/2 * * * *", "Asia/Kathmandu")),
        (4, parse("@at 2036-12-01T03:00:00Z", "UTC")),
        *((number, parse("*/5 * * * *", "UTC")) for number in range(100, 260)),
    ]
    return "".join(crontab.render(crontab.plan(jobs, "Etc/UTC"), fifo="/run/dcron/fire").values())


def test_a_crontab_tells_the_line_of_each_job() -> None:
    found = lines_of(table())
    assert found["1"] == found["3"] == found["4"] == ["* * * * *"]
    assert found["2"] == [parse("1-59/2 * * * *", "UTC").crontab]
    assert found["100"] == found["259"] == ["*/5 * * * *"]
    assert len(found) == 164


def test_a_crontab_without_jobs_tells_of_none() -> None:
    assert lines_of("".join(crontab.render(crontab.plan([], ""), fifo="/f").values())) == {}
    assert lines_of(crontab.render_empty()) == {}


def test_a_journal_tells_the_runs_that_were_not_acknowledged_though_they_wrote_nothing(
    tmp_path: Path,
) -> None:
    register = Register(tmp_path)
    register.add(
        Launch(run, 1, "60", 1, 1, ("true",), {}, None, None, 60) for run in ("a", "b", "c")
    )
    register.end(
        [Ended(run, "succeeded", 9.0, 10.0, 0, None, None, "", None, 0, False) for run in "ab"]
    )
    register.forget(["a"])
    register.journal.close()
    text = (tmp_path / "journal").read_text() + '\n{"t":"laun\n'
    assert unacknowledged(text.splitlines()) == {"b", "c"}
    assert list(register.outputs.iterdir()) == []


@pytest.fixture
def service(monkeypatch: pytest.MonkeyPatch) -> LocalCoordinator:
    """A tree with a job, which the script finds where it looks for ZooKeeper."""
    tree = LocalCoordinator(LocalEnsemble(), "dcron-app")
    tree.start(1)
    for path in paths.roots():
        tree.ensure(path)
    tree.ensure(paths.assignments("a"))
    tree.ensure(paths.runs("a"))
    tree.ensure(paths.tasks("a"))
    tree.ensure(paths.kills("a"))
    tree.create(paths.fence(Slot(7)), FENCE.encode())
    tree.create(paths.assignments("a") + "/" + name(), SPEC.encode())
    tree.create(paths.claim("a", Slot(7), "120"))
    tree.create(paths.inbox_prefix(7), sequence=True)
    monkeypatch.setattr("dcron_app.wiring.open_coordinator", lambda settings: tree)
    monkeypatch.setattr("dcron_common.config.load_app", lambda path: SimpleNamespace(zookeeper=""))
    return tree


def run(command: str, capsys: pytest.CaptureFixture[str]) -> str:
    """What a host says to it, after a word of ssh's; a real shell hands the script on."""
    assert command.startswith("/opt/dcron/venv/bin/python -c ")
    words = command.replace("/opt/dcron/venv/bin/python -c", "printf %s", 1)
    script = subprocess.run(["/bin/sh", "-c", words], check=True, capture_output=True, text=True)
    exec(compile(script.stdout, "asked", "exec"), {})  # noqa: S102  # it is what is tested
    return f"a word before\n{capsys.readouterr().out}"


def test_what_stands_in_zookeeper_is_asked_of_one_host(
    service: LocalCoordinator, capsys: pytest.CaptureFixture[str]
) -> None:
    asked: list[str] = []

    def ask(host: str, command: str) -> str:
        asked.append(host)
        return run(command, capsys)

    found = zookeeper(ask, "ctl1")
    assert asked == ["ctl1"]
    assert found.leftovers == ["/inbox/7-0000000000", "/runs/a/7.120"]
    assert found.fences == {"7": "a"}
    assert found.details is not None
    assert found.details.fences == {"7": How(3, "paused")}
    assert found.assignments == {"a": {"7"}}


def test_everything_is_asked_of_those_who_have_it(
    service: LocalCoordinator, capsys: pytest.CaptureFixture[str]
) -> None:
    said = {
        "cat /etc/cron.d": table(),
        "find /var": "R1\nR2\n",
        "cat /var/lib/dcron-worker/runs/journal": '{"t":"launch","run":{"run_id":"R0"}}\n',
        "/opt/dcron/venv/bin/python -c 'from": "Etc/UTC\n",
    }

    def ask(host: str, command: str) -> str:
        known = [text for begin, text in said.items() if command.startswith(begin)]
        return known[0] if known else run(command, capsys)

    job = {"id": "7", "worker": "a", "paused": True, "revision": 3, "schedule": "*/2 * * * *"}
    found = final(ask, lambda path: [{**job, "timezone": "Asia/Kathmandu"}], ["a"], "ctl1")
    assert found.details is not None
    assert found.details.jobs == {"7": How(3, "paused", "*/2 * * * *", "Asia/Kathmandu")}
    assert found.holders == {"7": "a"}
    assert found.details.zones == {"a": "Etc/UTC"}
    assert found.details.lines["a"]["2"] == [parse("1-59/2 * * * *", "UTC").crontab]
    assert found.crontabs["a"] >= {"1", "2", "3", "4"}
    assert found.leftovers[-3:] == ["journal of a.m.R0", "journal of a.m.R1", "journal of a.m.R2"]


def test_the_api_tells_how_a_job_is() -> None:
    job = {"paused": False, "revision": 2, "schedule": "* * * * *", "timezone": "UTC"}
    assert how_the_api_has(json.loads(json.dumps(job))) == How(2, "active", "* * * * *", "UTC")
