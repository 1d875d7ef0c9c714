"""Nothing starts with a secret that is empty, well-known or in a file that everybody may read."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from dcron_app.main import main as app
from dcron_worker.main import main as worker
from tests.unit.common.test_config import APP, WORKER

PASSWORD = "Zk3vB7qLw9Xc2Np"
STARTS: list[tuple[Callable[[list[str]], int], str, list[str]]] = [
    *((app, APP, [command]) for command in ("serve", "manager", "migrate")),
    *((worker, WORKER, [command]) for command in ("run", "launcher")),
]
IDS = [f"{'app' if main is app else 'worker'} {words[0]}" for main, _, words in STARTS]


@pytest.fixture
def folder() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(dir="/tmp") as name:
        Path(name).chmod(0o755)
        yield Path(name)


def start(main: Callable[[list[str]], int], text: str, words: list[str], file: Path) -> int:
    file.write_text(text)
    return main([*words, "--config", str(file)])


@pytest.mark.parametrize(("main", "text", "words"), STARTS, ids=IDS)
@pytest.mark.parametrize("secret", ["", "changeme", "Password123456", "aaaaaaaaaaaaaaaa"])
def test_a_wrong_or_empty_secret_is_refused_at_the_start(
    folder: Path,
    capsys: pytest.CaptureFixture[str],
    main: Callable[[list[str]], int],
    text: str,
    words: list[str],
    secret: str,
) -> None:
    file = folder / "config.toml"
    file.touch(mode=0o600)
    assert start(main, text.replace(PASSWORD, secret), words, file) != 0
    told = capsys.readouterr().err
    assert "database.password" in told
    assert "openssl rand" in told
    assert not secret or secret not in told


@pytest.mark.parametrize(("main", "text", "words"), STARTS, ids=IDS)
def test_a_secret_that_everybody_may_read_is_refused_at_the_start(
    folder: Path,
    capsys: pytest.CaptureFixture[str],
    main: Callable[[list[str]], int],
    text: str,
    words: list[str],
) -> None:
    file = folder / "config.toml"
    file.touch()
    file.chmod(0o644)
    assert start(main, text, words, file) != 0
    told = capsys.readouterr().err
    assert f"chmod o= {file}" in told
    assert PASSWORD not in told
