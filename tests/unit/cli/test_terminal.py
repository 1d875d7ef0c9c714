"""Nothing that somebody else wrote steers a terminal."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dcron_cli.terminal import json_text, visible, visible_output


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("backup", "backup"),
        ("ā čau 世界", "ā čau 世界"),
        ("\x1b[2J", "\\x1b[2J"),
        ("\x9b2J", "\\x9b2J"),
        ("a\rb\nc\td\x7f", "a\\x0db\\x0ac\\x09d\\x7f"),
        ("\u202egnp.exe", "\\u202egnp.exe"),
        ("\u2028", "\\u2028"),
        ("\U000e0001", "\\U000e0001"),
    ],
)
def test_what_cannot_be_printed_is_made_visible(text: str, shown: str) -> None:
    assert visible(text) == shown


@given(st.text())
def test_no_text_leaves_anything_unprintable(text: str) -> None:
    assert visible(text).isprintable()


@given(st.lists(st.binary()))
def test_an_output_keeps_lines_and_tabs_and_nothing_else_that_steers(pieces: list[bytes]) -> None:
    shown = "".join(visible_output(pieces))
    assert all(char.isprintable() or char in "\n\t" for char in shown)


def test_a_character_may_be_spread_over_two_pieces() -> None:
    assert "".join(visible_output([b"\xc4", b"\x81\xff", b"\xc4"])) == "ā\\xff\\xc4"


@given(st.recursive(st.text() | st.integers() | st.none(), lambda x: st.lists(x)))
def test_json_means_the_same_and_can_be_printed(value: object) -> None:
    text = json_text(value)
    assert json.loads(text) == value
    assert all(char.isprintable() or char == "\n" for char in text)
