"""Tables for people."""

from __future__ import annotations

import io
import re
from typing import Any

import pytest

from dcron_cli import output
from dcron_cli.output import instant, key, short, show_list, show_record

COLUMNS = [key("id"), key("name", cut=True), key("text", cut=True)]
ROWS: list[dict[str, Any]] = [
    {"id": "1", "name": "n" * 60, "text": "t" * 60},
    {"id": "2", "name": None, "text": ""},
]


class Screen(io.StringIO):
    """A terminal of some width."""

    def isatty(self) -> bool:
        return True


def drawn(monkeypatch: pytest.MonkeyPatch, width: int) -> list[str]:
    screen = Screen()
    monkeypatch.setattr("sys.stdout", screen)
    monkeypatch.setenv("COLUMNS", str(width))
    monkeypatch.setenv("TERM", "xterm")
    show_list(ROWS, COLUMNS, as_json=False, none="none")
    return re.sub(r"\x1b\[[0-9;]*m", "", screen.getvalue()).splitlines()


@pytest.mark.parametrize("width", [30, 40, 80])
def test_a_table_fits_the_terminal(monkeypatch: pytest.MonkeyPatch, width: int) -> None:
    lines = drawn(monkeypatch, width)
    assert len(lines) == 3
    assert all(len(line) <= width for line in lines)
    assert "…" in lines[1]
    assert lines[1].startswith("1   n")  # what must not be cut is whole


def test_elsewhere_nothing_is_cut_and_lines_end_with_their_text(
    capsys: pytest.CaptureFixture[str],
) -> None:
    show_list(ROWS, COLUMNS, as_json=False, none="none")
    lines = capsys.readouterr().out.splitlines()
    assert lines[1].split() == ["1", "n" * 60, "t" * 60]
    assert lines[2].split() == ["2", "-", "-"]
    assert all(line == line.rstrip() for line in lines)


def test_nothing_is_said_to_people_and_an_empty_array_to_programs(
    capsys: pytest.CaptureFixture[str],
) -> None:
    show_list([], COLUMNS, as_json=False, none="no such thing")
    told = capsys.readouterr()
    assert (told.out, told.err) == ("", "no such thing\n")
    show_list([], COLUMNS, as_json=True, none="no such thing")
    assert capsys.readouterr().out == "[]\n"


def test_a_record_shows_what_there_is_first_things_first(
    capsys: pytest.CaptureFixture[str],
) -> None:
    found = {
        "a": None,
        "b": {"x": "1", "y": None, "z": {}},
        "c": ["p", "q"],
        "d_e": True,
        "f": 0,
        "g": [],
    }
    show_record(found, as_json=False, first=("f",))
    assert capsys.readouterr().out.splitlines() == [
        *("f    0", "b    x=1", "c    p", "     q", "d e  yes")
    ]


def test_instants_are_shown_in_whole_seconds() -> None:
    assert instant("2027-01-15T08:00:01.250Z") == "2027-01-15 08:00:01Z"
    assert instant("2027-01-15T08:00:01Z") == "2027-01-15 08:00:01Z"
    assert instant(None) is None
    assert short("2027-01-15T08:00:01.250Z") == "01-15 08:00Z"
    assert short(None) is None


def test_a_line_of_text_is_only_a_line(capsys: pytest.CaptureFixture[str]) -> None:
    output.say("made\nfaked: \x1b[2J")
    assert capsys.readouterr().out == "made\\x0afaked: \\x1b[2J\n"
