"""What takes long says so, and only to somebody who sees it."""

from __future__ import annotations

import io
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from dcron_cli.progress import Upload, working
from tests.unit.cli.cluster import Asked, Reply, Terminal, job, problem
from tests.unit.cli.kept_jobs import KeptJobs

Answering = Callable[[dict[str, Any]], Terminal]
PAGES = [
    Reply([job(1, name="a"), job(2, name="b")], headers={"Link": '</jobs?after=x>; rel="next"'}),
    Reply([job(3, name="c")]),
]


@pytest.fixture
def seen(monkeypatch: pytest.MonkeyPatch) -> None:
    """stderr is a terminal, stdout is none."""
    wrapper = "click.testing._NamedTextIOWrapper.isatty"
    monkeypatch.setattr(wrapper, lambda self: self.name == "<stderr>", raising=False)
    monkeypatch.setenv("TERM", "xterm")


def listing(answering: Answering, *options: str) -> Any:
    return answering({"GET /jobs": list(PAGES)})("job", "list", "--all", *options)


@pytest.mark.usefixtures("seen")
def test_a_list_of_many_pages_says_how_far_it_is(answering: Answering) -> None:
    told = listing(answering)
    assert "reading" in told.stderr and "2/?" in told.stderr
    assert "reading" not in told.stdout and len(told.stdout.splitlines()) == 4


def test_nothing_is_said_where_nobody_sees_it(answering: Answering) -> None:
    assert listing(answering).stderr == ""


@pytest.mark.usefixtures("seen")
def test_nothing_is_said_beside_json(answering: Answering) -> None:
    told = listing(answering, "--json")
    assert told.stderr == ""
    assert len(json.loads(told.stdout)) == 3


@pytest.mark.usefixtures("seen")
def test_one_page_says_nothing(answering: Answering) -> None:
    assert answering({"GET /jobs": [job(1)]})("job", "list", "--all").stderr == ""


@pytest.mark.usefixtures("seen")
def test_a_bulk_change_counts_the_blanks_before_its_answer(answering: Answering) -> None:
    done = {"changed": ["1", "2", "3"], "unchanged": [], "failed": []}
    answer = b"   " + json.dumps(done).encode()
    terminal = answering({"GET /jobs": [job(1)] * 4, "POST /jobs/pause": Reply(answer)})
    told = terminal("job", "pause", "--all", typed="y\n")
    assert told.exit_code == 0, told.output
    assert "pause" in told.stderr and "3/4" in told.stderr
    assert told.stdout == "paused: 1, 2, 3\n"


@pytest.mark.parametrize("data", [b"", b"   ", b'   {"changed": ['])
def test_an_answer_that_breaks_off_is_none(answering: Answering, data: bytes) -> None:
    told = answering({"POST /jobs/pause": Reply(data)})("job", "pause", "--all", "--yes")
    assert told.exit_code == 5
    assert "the answer broke off; do it again" in told.stderr


@pytest.mark.usefixtures("seen")
def test_apply_and_export_count_jobs(tmp_path: Path) -> None:
    one = "{{name: n{}, type: script, file: x.sh, schedule: '@daily'}}"
    (tmp_path / "x.sh").write_text("true")
    (tmp_path / "jobs.yml").write_text(f"jobs: [{', '.join(map(one.format, range(7)))}]")
    terminal = Terminal(KeptJobs(), tmp_path)
    told = terminal("apply", "-f", str(tmp_path / "jobs.yml"), "--yes")
    assert told.exit_code == 0, told.output
    assert "planning" in told.stderr and "applying" in told.stderr and "/7" in told.stderr
    told = terminal("export", "-o", str(tmp_path / "back.yml"))
    assert "fetching" in told.stderr and "/7" in told.stderr
    assert told.stdout == f"7 jobs are in {tmp_path / 'back.yml'}\n"


@pytest.mark.usefixtures("seen")
def test_what_went_wrong_is_told_after_the_line_is_gone(answering: Answering) -> None:
    answers = {"GET /jobs": [PAGES[0], problem(503, "away")]}
    told = answering(answers)("job", "list", "--all")
    assert told.exit_code == 5
    assert told.stderr.rstrip().endswith("dcron: away")


class _Screen(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_a_line_within_another_is_not_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    screen = _Screen()
    monkeypatch.setattr("sys.stderr", screen)
    monkeypatch.setenv("TERM", "xterm")
    with working("outer", 3) as advance:
        advance(1)
        with working("inner") as within:
            within(1)
        assert Upload.of(b"x" * 10**6).__class__ is bytes
    assert "outer" in screen.getvalue() and "inner" not in screen.getvalue()
    assert isinstance(Upload.of(b"x" * 10**6), Upload)


def test_the_bulk_request_is_a_json_one(answering: Answering) -> None:
    seen: list[Asked] = []

    def answer(asked: Asked) -> Reply:
        seen.append(asked)
        return Reply({"changed": ["1"], "unchanged": [], "failed": []})

    answering({"POST /jobs/resume": answer})("job", "resume", "--all", "--yes")
    assert seen[0].headers["Content-Type"] == "application/json"
