"""What a shell completes."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import requests
from click.shell_completion import ShellComplete

from dcron_cli.main import cli
from dcron_cli.session import Session
from tests.unit.cli.cluster import Script, Terminal, job
from tests.unit.cli.test_worker import NODE


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_each_shell_gets_its_script(
    answering: Callable[[dict[str, Any]], Terminal], shell: str
) -> None:
    told = answering({})("completion", shell)
    assert told.exit_code == 0, told.output
    assert f"_DCRON_COMPLETE={shell}_complete" in told.stdout


def test_bash_takes_it(answering: Callable[[dict[str, Any]], Terminal], tmp_path: Path) -> None:
    bash = shutil.which("bash")
    assert bash is not None
    script = tmp_path / "dcron.bash"
    script.write_text(answering({})("completion", "bash").stdout)
    subprocess.run([bash, "-n", str(script)], check=True, timeout=30)


def completed(
    monkeypatch: pytest.MonkeyPatch, adapter: Script, *words: str, begun: str = ""
) -> list[str]:
    http = requests.Session()
    http.mount("http://", adapter)
    monkeypatch.setenv("DCRON_URL", "http://127.0.0.1:30000")
    monkeypatch.setenv("DCRON_TOKEN", "t")
    complete = ShellComplete(cli, {"obj": Session(http=http)}, "dcron", "_DCRON_COMPLETE")
    return [one.value for one in complete.get_completions(list(words), begun)]


def test_names_of_jobs_and_workers_complete(monkeypatch: pytest.MonkeyPatch) -> None:
    jobs = [job(1, name="backup"), job(2, name="back\x1b[2J"), job(3), job(4, name="mail")]
    script = Script({"GET /jobs": jobs, "GET /workers": [NODE]})
    assert completed(monkeypatch, script, "job", "show", begun="ba") == ["backup"]
    assert script.asked[0].query["q"] == ["ba"]
    assert completed(monkeypatch, script, "run", "logs", begun="m") == ["mail"]
    assert completed(monkeypatch, script, "worker", "drain") == ["node1"]


def test_a_cluster_that_is_away_completes_nothing_and_disturbs_nobody(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    away = Script({"GET /jobs": requests.ConnectionError("away")})
    assert completed(monkeypatch, away, "job", "show") == []


def test_commands_options_and_zones_complete_without_a_cluster(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    script = Script({})
    assert completed(monkeypatch, script, "job", begun="re") == ["resume"]
    assert "--schedule" in completed(monkeypatch, script, "job", "add", begun="--s")
    assert completed(monkeypatch, script, "audit", "--action", begun="re") == [
        *("resume", "revoke"),
    ]
    zones = completed(monkeypatch, script, "schedule", "explain", "x", "--tz", begun="europe/ri")
    assert zones == ["Europe/Riga"]
    assert script.asked == []
