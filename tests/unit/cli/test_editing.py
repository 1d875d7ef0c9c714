"""`dcron job edit` in an editor."""

from __future__ import annotations

import re
import stat
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click
import pytest
from click.testing import Result

from tests.unit.app.api_client import COMMAND, Api
from tests.unit.cli.cluster import Reply, Script, Terminal, problem
from tests.unit.cli.test_job_change import BEFORE, edited, script

Answering = Callable[[dict[str, Any]], Terminal]


@pytest.fixture(autouse=True)
def kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where texts are kept."""
    folder = tmp_path / "kept"
    folder.mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(folder))
    return folder


def path_told(told: Result) -> Path:
    found = re.findall(r"\(your text is kept in (.+)\)", told.stderr)
    assert found, told.output
    return Path(found[-1])


class Editor:
    """What `click.edit` does: gets a text, gives the next of these back."""

    def __init__(self, *changes: Callable[[str], str | None]) -> None:
        self.changes = list(changes)
        self.seen: list[str] = []

    def __call__(self, text: str, **_more: Any) -> str | None:
        self.seen.append(text)
        return self.changes.pop(0)(text)


def test_without_options_it_is_edited_as_yaml_and_only_what_differs_is_sent(
    answering: Answering, monkeypatch: pytest.MonkeyPatch
) -> None:
    editor = Editor(
        lambda text: text.replace("retries: 0", "retries: 2").replace("timezone: UTC\n", "")
    )
    monkeypatch.setattr(click, "edit", editor)
    assert edited(answering).body == {"retries": 2, "timezone": None}
    assert "executable: ls -la" in editor.seen[0]
    assert "revision" not in editor.seen[0]


def test_what_is_refused_can_be_edited_again(
    answering: Answering, monkeypatch: pytest.MonkeyPatch
) -> None:
    editor = Editor(
        lambda text: text.replace("retries: 0", "retries: many"),
        lambda text: text.replace("retries: many", "retries: ["),
        lambda text: text.replace("retries: [", "retries: 2"),
    )
    monkeypatch.setattr(click, "edit", editor)
    answers = [problem(422, "refused", ("retries", "must be a number")), Reply(BEFORE)]
    terminal = answering({"GET /jobs/1": BEFORE, "PATCH /jobs/1": answers})
    told = terminal("job", "edit", "1", typed="y\ny\n")
    assert told.exit_code == 0, told.output
    assert "  retries: must be a number" in told.stderr
    assert "job 1: line" in told.stderr
    assert [one.body for one in script(terminal).sent("PATCH", "/jobs/1")] == [
        {"retries": "many"},
        {"retries": 2},
    ]


def test_what_is_given_up_is_kept_where_only_its_writer_reads_it(
    answering: Answering, monkeypatch: pytest.MonkeyPatch, kept: Path
) -> None:
    for reply, code in ((problem(422, "no"), 1), (problem(403, "no"), 3), (problem(503, "no"), 5)):
        for typed in ("n\n", ""):
            terminal = answering({"GET /jobs/1": BEFORE, "PATCH /jobs/1": reply})
            editor = Editor(lambda text: "# mine\n" + text.replace("s: 0", "s: 5"))
            monkeypatch.setattr(click, "edit", editor)
            told = terminal("job", "edit", "1", typed=typed)
            assert told.exit_code == code
            text = path_told(told)
            assert text.read_text().startswith("# mine\n") and "retries: 5" in text.read_text()
            assert text.parent.parent == kept
            assert stat.S_IMODE(text.parent.stat().st_mode) == 0o700


def test_what_is_saved_leaves_no_file(
    answering: Answering, monkeypatch: pytest.MonkeyPatch, kept: Path
) -> None:
    monkeypatch.setattr(click, "edit", Editor(lambda text: text.replace("s: 0", "s: 5")))
    assert edited(answering).body == {"retries": 5}
    assert list(kept.iterdir()) == []


NEWER = {**BEFORE, "revision": 4, "retries": 9, "schedule": "@daily"}
TEXTS = (
    lambda text: text.replace("retries: 0", "retries: 2").replace("team: null\n", ""),
    lambda text: text.replace("timezone: UTC", "timezone: Europe/Riga"),
)


def meanwhile(answering: Answering) -> Terminal:
    """Somebody else changes the job while it stands in the editor."""
    by_now = problem(412, "the job is at revision 4 by now: read it again and decide again")
    return answering(
        {
            "GET /jobs/1": [Reply(BEFORE), Reply(NEWER)],
            "PATCH /jobs/1": [by_now, Reply({**NEWER, "revision": 5})],
        }
    )


def test_what_somebody_else_changed_is_told_and_the_text_goes_on_on_top_of_it(
    answering: Answering, monkeypatch: pytest.MonkeyPatch, kept: Path
) -> None:
    editor = Editor(*TEXTS)
    monkeypatch.setattr(click, "edit", editor)
    terminal = meanwhile(answering)
    told = terminal("job", "edit", "1", typed="y\n")
    assert told.exit_code == 0, told.output
    assert told.stderr.splitlines()[:3] == [
        "dcron: job 1 is at revision 4 by now",
        "  somebody else changed schedule: 5 * * * * -> @daily",
        "  somebody else changed retries: 0 -> 9 (yours: 2)",
    ]
    assert "edit it again, on top of revision 4?" in told.stderr
    again = editor.seen[1]
    assert again.startswith("# job 1 at revision 4, and what you changed laid over it\n")
    assert "#   somebody else changed retries: 0 -> 9 (yours: 2)\n" in again
    assert "\nretries: 2\n" in again and "\nschedule: '@daily'\n" in again
    assert "\nteam:" not in again  # it was taken out
    first, second = script(terminal).sent("PATCH", "/jobs/1")
    assert first.headers["If-Match"] == '"3"' and second.headers["If-Match"] == '"4"'
    assert second.body == {"retries": 2, "team": None, "timezone": "Europe/Riga"}
    assert list(kept.iterdir()) == []


def test_who_gives_up_after_somebody_else_s_change_has_the_text(
    answering: Answering, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(click, "edit", Editor(*TEXTS))
    told = meanwhile(answering)("job", "edit", "1", typed="n\n")
    assert told.exit_code == 1
    assert "retries: 2" in path_told(told).read_text()
    assert "dcron: not changed" in told.stderr


def test_a_text_laid_over_a_change_can_be_sent_as_it_stands(
    answering: Answering, monkeypatch: pytest.MonkeyPatch
) -> None:
    for typed, code in (("y\ny\n", 0), ("y\nn\n", 1)):
        monkeypatch.setattr(click, "edit", Editor(TEXTS[0], lambda text: None))
        terminal = meanwhile(answering)
        told = terminal("job", "edit", "1", typed=typed)
        assert told.exit_code == code, told.output
        assert "left without saving" in told.stderr
        sent = [one.body for one in script(terminal).sent("PATCH", "/jobs/1")]
        assert sent == [{"retries": 2, "team": None}] * (2 - code)


def test_nothing_is_lost_where_the_cluster_goes_away_meanwhile(
    answering: Answering, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(click, "edit", Editor(*TEXTS))
    terminal = meanwhile(answering)
    assert isinstance(terminal.adapter, Script)
    terminal.adapter.answers["GET /jobs/1"] = [Reply(BEFORE), problem(503, "away")]
    told = terminal("job", "edit", "1", typed="y\n")
    assert told.exit_code == 5
    assert "retries: 2" in path_told(told).read_text()


def test_two_who_edit_at_the_same_time_lose_nothing(
    terminal: Terminal, api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    number = api.post("/jobs", {**COMMAND, "name": "both"}).json["id"]

    def theirs(text: str) -> str:
        api.patch(f"/jobs/{number}", {"timezone": "Europe/Riga"})
        return text.replace("retries: 0", "retries: 2")

    monkeypatch.setattr(click, "edit", Editor(theirs, lambda text: text + "\n"))
    told = terminal("job", "edit", number, typed="y\n")
    assert told.exit_code == 0, told.output
    after = api.get(f"/jobs/{number}").json
    assert (after["timezone"], after["retries"], after["revision"]) == ("Europe/Riga", 2, 3)


def test_an_editor_that_is_left_without_saving_changes_nothing(
    answering: Answering, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(click, "edit", Editor(lambda text: None))
    terminal = answering({"GET /jobs/1": BEFORE})
    assert terminal("job", "edit", "1").exit_code == 1
    monkeypatch.setattr(click, "edit", Editor(lambda text: text))
    assert "is like that already" in terminal("job", "edit", "1").stdout
    assert len(script(terminal).asked) == 2
