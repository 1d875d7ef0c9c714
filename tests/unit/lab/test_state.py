from pathlib import Path

import pytest

from lab import names, state
from lab.errors import LabError, NotFound

LAB = state.Lab("t", 3, "/f/.lab/t", "/b", {"ctl1": state.Host(12, 34)}, [["off", "ctl1"]])


def test_what_is_written_is_read_back() -> None:
    assert state.decode(state.encode(LAB)) == LAB


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"version": 2}', '{"version": 1, "hosts": 3}'])
def test_a_state_that_cannot_be_read_is_an_error_of_ours(text: str) -> None:
    with pytest.raises(LabError, match="state"):
        state.decode(text)


def test_a_lab_that_is_not_up_says_how_to_make_it(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(names, "RUN", tmp_path)
    with pytest.raises(NotFound, match="LAB=t bin/lab up"):
        state.need("t")


def test_a_saved_lab_is_found_and_an_unreadable_one_is_as_none(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(names, "RUN", tmp_path)
    state.save(LAB)
    (tmp_path / "torn").mkdir()
    (tmp_path / "torn" / "state.json").write_text('{"version": 1, "na')
    assert state.every() == {"t": LAB}
    assert state.load("torn") is None


def test_an_unknown_host_is_named_with_those_that_there_are() -> None:
    with pytest.raises(NotFound, match=r"no host 'node9'; it has ctl1"):
        LAB.known(["ctl1", "node9"])


def test_a_lock_that_another_has_is_not_waited_for_where_that_is_asked(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(state, "LOCKS", tmp_path)
    with state.lock("base") as mine:
        assert mine
        with state.lock("base", wait=False) as theirs:
            assert not theirs
    with state.lock("base", wait=False) as again:
        assert again
    assert list(tmp_path.iterdir()) == []
