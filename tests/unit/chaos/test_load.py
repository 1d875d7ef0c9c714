"""The load asks for what the API takes, and its jobs tell what they got."""

from __future__ import annotations

import random
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from chaos import load as module
from chaos.gather import launches
from chaos.load import ARGUMENTS, SECRET, TRUTH, VALUE, ZONE, Load, kinds, script
from chaos.model import Launch, due
from chaos.standing import how_the_api_has
from dcron_common.schedule import parse
from tests.unit.app.api_client import NOW, Api, open_api
from tests.unit.chaos.records import M


@dataclass
class Said:
    status_code: int
    value: Any = None

    def json(self) -> Any:
        return self.value


def load_on(api: Api, seed: int = 2, most: int = 60) -> Load:
    def ask(method: str, path: str, body: Any, seconds: float) -> Said:
        if method == "DELETE":
            answer = api.delete(path)
        else:
            answer = getattr(api, method.lower())(path, body)
        return Said(answer.status, answer.json if answer.body else None)

    rng = random.Random(seed)  # noqa: S311  # a draw, no secret
    return Load(ask, rng, at_once=30, most=most)


def kind_of(name: str) -> str:
    return name.rpartition(" ")[0]


def every_kind() -> set[str]:
    rng = random.Random(1)  # noqa: S311  # a draw, no secret
    return {kind for kind, _ in kinds(rng, NOW)}


@pytest.fixture(scope="module")
def acted(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Load, Api]]:
    """A load that has acted for long on the API, which took all of it."""
    folder = tmp_path_factory.mktemp("api")
    with open_api(folder) as api, pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "time", SimpleNamespace(time=lambda: NOW))
        load = load_on(api)
        load.make_secret()
        for _ in range(200):
            load.act()
        yield load, api


def test_every_kind_of_job_is_taken_changed_and_paused_but_a_one_shot(
    acted: tuple[Load, Api],
) -> None:
    jobs = acted[0].jobs
    assert {kind_of(job.name) for job in jobs} == every_kind()
    assert all(job.id is not None for job in jobs)
    changed = {kind_of(job.name) for job in jobs if any(c.revision for c in job.changes)}
    paused = {kind_of(job.name) for job in jobs if job.pauses}
    assert changed >= {"file", "binary", "zoned", "secret", "limited"}
    assert paused & {"file", "binary"} and paused & {"zoned", "secret", "limited"}
    assert "one-shot" not in changed | paused


def test_the_api_has_each_job_as_its_diary_says(acted: tuple[Load, Api]) -> None:
    load, api = acted
    told = {job["id"]: job for job in api.get("/jobs").json}
    standing = [job for job in load.jobs if job.delete_sent is None]
    assert len(standing) > 20
    for job in standing:
        how, row = how_the_api_has(told[job.id or ""]), told[job.id or ""]
        newest = job.newest
        assert (how.schedule, how.timezone) == (newest.schedule, job.timezone)
        assert how.state == ("paused" if newest.paused else "active")
        assert row["type"] != "command" or not job.file
        assert bool(row["arguments"]) is job.arguments
        assert bool(row["secrets"]) is job.secret
    assert {kind_of(job.name) for job in standing if told[job.id or ""]["limits"]} == {"limited"}


def test_a_secret_that_is_refused_ends_the_run() -> None:
    rng = random.Random(1)  # noqa: S311  # a draw, no secret
    load = Load(lambda *words: Said(503, "no"), rng, at_once=1, most=1)
    with pytest.raises(RuntimeError, match="503"):
        load.make_secret()


@pytest.mark.parametrize("status", [202, 409])
def test_what_may_be_is_run_by_hand_and_the_answer_to_a_kill_is_kept(
    monkeypatch: pytest.MonkeyPatch, status: int
) -> None:
    monkeypatch.setattr(module, "time", SimpleNamespace(time=lambda: NOW))
    number = iter(range(10_000))

    def ask(method: str, path: str, body: Any, seconds: float) -> Said:
        if path == "/jobs":
            return Said(201, {"id": str(next(number))})
        if path.endswith("/runs"):
            return Said(202, {"runs": [{"run_id": f"R{next(number)}"}]})
        return Said(status if path.endswith("/kill") else 200, {})

    rng = random.Random(2)  # noqa: S311  # a draw, no secret
    load = Load(ask, rng, at_once=100, most=60)
    for _ in range(400):
        load.act()
    by_hand = {kind_of(job.name) for job in load.jobs if job.asked}
    assert by_hand == every_kind() - {"one-shot", "everywhere", "replaced"}
    kills = [one for job in load.jobs for one in job.asked if one.killed]
    assert kills
    assert {one.kill_acknowledged for one in kills} == {NOW if status == 202 else None}


def test_the_zoned_job_is_due_at_minutes_at_which_it_would_not_be_in_utc() -> None:
    rng = random.Random(1)  # noqa: S311  # a draw, no secret
    body = dict(kinds(rng, NOW))["zoned"]
    there = list(due(body["schedule"], M, M + 3600, body["timezone"]))
    assert len(there) == 30
    assert not set(there) & set(due(body["schedule"], M, M + 3600))
    assert there == parse(body["schedule"], ZONE).due(M, M + 3600, 100)


def ran(tmp_path: Path, text: str, *arguments: str, **more: str) -> Launch:
    """What a process of this text tells when it runs by sh."""
    environment = {
        "PATH": "/usr/bin:/bin",
        "DCRON_JOB_ID": "7",
        "DCRON_SCHEDULED_AT": datetime.fromtimestamp(M, UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
        "DCRON_ATTEMPT": "1",
        "DCRON_EPOCH": "3",
        "DCRON_RUN_ID": "R1",
        **more,
    }
    truth = tmp_path / "truth"
    truth.mkdir()
    command = ["/bin/sh", "-c", text.replace(TRUTH, str(truth)), "sh", *arguments]
    subprocess.run(command, env=environment, check=True)
    (file,) = truth.iterdir()
    (launch,) = launches("a", file.read_text().splitlines())
    return launch


def test_a_process_tells_what_it_is(tmp_path: Path) -> None:
    launch = ran(tmp_path, script(1, revision=4))
    said = (launch.job, launch.minute, launch.attempt, launch.epoch, launch.run, launch.revision)
    assert said == ("7", M, 1, 3, "R1", 4)
    assert launch.end == launch.seen > launch.start + 1
    assert launch.lacks is None


@pytest.mark.parametrize(
    ("arguments", "lacks"),
    [
        (tuple(ARGUMENTS), None),
        ((), "arguments"),
        (("one", "two", "words"), "arguments"),
        ((*ARGUMENTS, "three"), "arguments"),
    ],
)
def test_a_process_tells_that_it_lacks_its_arguments(
    tmp_path: Path, arguments: tuple[str, ...], lacks: str | None
) -> None:
    assert ran(tmp_path, script(0, arguments=True), *arguments).lacks == lacks


@pytest.mark.parametrize(("value", "lacks"), [(VALUE, None), ("", "secret"), ("old", "secret")])
def test_a_process_tells_that_it_lacks_its_secret(
    tmp_path: Path, value: str, lacks: str | None
) -> None:
    assert ran(tmp_path, script(0, secret=True), **{SECRET: value}).lacks == lacks
