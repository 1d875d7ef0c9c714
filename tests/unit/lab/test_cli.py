from pathlib import Path

import pytest

from lab import cli, names


@pytest.fixture(autouse=True)
def _nothing_is_up(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(names, "RUN", tmp_path)
    monkeypatch.setenv("LAB", "none")


def test_without_root_up_ends_with_3_and_touches_nothing(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    monkeypatch.setattr("os.geteuid", lambda: 1000)
    assert cli.main(["up"]) == 3
    assert "needs root" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("words", [["status"], ["env"], ["write-env"], ["exec", "ctl1", "true"]])
def test_a_lab_that_is_not_up_ends_with_4(
    words: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.main(words) == 4
    assert "LAB=none bin/lab up" in capsys.readouterr().err


def test_a_bad_lab_name_ends_with_2(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LAB", "../etc")
    assert cli.main(["status"]) == 2


def test_an_unknown_verb_ends_with_2() -> None:
    with pytest.raises(SystemExit) as caught:
        cli.main(["explode"])
    assert caught.value.code == 2
