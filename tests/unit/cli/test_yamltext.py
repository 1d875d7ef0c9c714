"""YAML as jobs are written in it."""

from __future__ import annotations

from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from dcron_cli.errors import Misused
from dcron_cli.yamltext import dump_text, load_text

TEXTS = st.text(alphabet=st.characters(codec="utf-8"))


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("on: all", {"on": "all"}),
        ("a: yes", {"a": "yes"}),
        ("a: true", {"a": True}),
        ("a: truely", {"a": "truely"}),
        ("a: 12", {"a": 12}),
        ("a: -3", {"a": -3}),
        ("a: 012", {"a": "012"}),
        ("a: 1:30", {"a": "1:30"}),
        ("a: 2027-01-15", {"a": "2027-01-15"}),
        ("a: 1.5", {"a": "1.5"}),
        ("a: null", {"a": None}),
        ("a: nullable", {"a": "nullable"}),
        ("a:", {"a": None}),
        ("a: '*/5 * * * *'", {"a": "*/5 * * * *"}),
    ],
)
def test_only_what_people_expect_is_anything_but_a_text(text: str, value: Any) -> None:
    assert load_text(text, "x") == value


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("a: 1\na: 2", "jobs.yml: line 2: a stands there twice"),
        ("1: a", "line 1: 1 is no key"),
        ("- a\n- schedule: * * * * *", r"line 2: .*quote what begins with \* or @"),
        ("- a\n- schedule: @daily", r"line 2: .*quote what begins with \* or @"),
        ("a: [1", "jobs.yml: line"),
        ("a: !!python/object/apply:os.system [ls]", "could not determine a constructor"),
        ("a: \x1b", "jobs.yml: is no YAML"),
        ("a: 1\n---\nb: 2", "found another document"),
        ("[" * 5000, "nested too deeply"),
        ("a: " + "9" * 5000, "jobs.yml: holds a number that is far too long"),
    ],
)
def test_what_is_wrong_is_named_with_its_line(text: str, told: str) -> None:
    with pytest.raises(Misused, match=told):
        load_text(text, "jobs.yml")


VALUES = st.recursive(
    TEXTS | st.integers() | st.booleans() | st.none(),
    lambda inner: st.lists(inner) | st.dictionaries(TEXTS, inner),
    max_leaves=8,
)


@given(st.dictionaries(TEXTS, VALUES))
def test_what_is_written_is_read_as_it_was_and_can_be_printed(value: dict[str, Any]) -> None:
    text = dump_text(value)
    assert load_text(text, "x") == value
    assert yaml.safe_load(text) == value
    assert all(char.isprintable() or char == "\n" for char in text)


def test_a_mapping_knows_its_lines_and_can_be_written_again() -> None:
    found = load_text("a: 1\nb:\n  c: 2\n  d: 3\n", "x")
    assert (found.lines, found["b"].line, found["b"].lines) == (
        {"a": 1, "b": 2},
        3,
        {"c": 3, "d": 4},
    )
    assert load_text(dump_text(found), "x") == {"a": 1, "b": {"c": 2, "d": 3}}
