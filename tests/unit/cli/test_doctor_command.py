"""`dcron doctor` as it is typed."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from dcron_cli.doctor.command import tell
from dcron_cli.doctor.judge import judge
from dcron_cli.main import main
from tests.unit.cli.well import FACTS, worker

needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="the doctor asks for root")
SECRET = "kept-Quiet-4711-always"
WORKER = """
[worker]
name = "node1"
state_dir = "{folder}/state"
fifo = "{folder}/fire"
[cluster]
[database]
hosts = ["127.0.0.1:1"]
name = "dcron"
user = "dcron_w_node1"
password = "{secret}"
ca = "{folder}/ca.crt"
[zookeeper]
hosts = ["127.0.0.1:1"]
certificate = "{folder}/worker.crt"
key = "{folder}/worker.key"
ca = "{folder}/ca.crt"
[object_store]
kind = "s3"
endpoint = "http://127.0.0.1:1"
bucket = "dcron"
access_key = "app:s3"
secret_key = "{secret}"
[log]
"""


@needs_root
def test_a_machine_that_is_no_node_is_told_so(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["doctor", "--config-folder", str(tmp_path)]) == 2
    assert "no node of a cluster" in capsys.readouterr().err


@needs_root
def test_a_configuration_that_is_refused_is_named_and_the_rest_is_looked_at(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "worker.toml").write_text("[worker]\n")
    assert main(["doctor", "--config-folder", str(tmp_path)]) == 1
    told = capsys.readouterr().out
    assert "worker.name: is missing" in told
    assert "names" in told


@needs_root
def test_on_a_node_where_nothing_answers_each_part_is_named_and_no_secret_is_told(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "worker.toml").write_text(WORKER.format(folder=tmp_path, secret=SECRET))
    assert main(["doctor", "--json", "--config-folder", str(tmp_path)]) == 1
    captured = capsys.readouterr()
    told = json.loads(captured.out)
    assert told["well"] is False
    ill = {finding["what"] for finding in told["findings"] if finding["level"] == "ill"}
    assert ill >= {"fifo", "launcher", "lease", "results", "zookeeper", "database", "store"}
    assert SECRET not in captured.out + captured.err


def test_json_and_lines_tell_the_same(capsys: pytest.CaptureFixture[str]) -> None:
    facts = worker(tick_age=None)
    findings = judge(facts)
    tell(facts, findings, as_json=False)
    lines = capsys.readouterr().out.splitlines()
    tell(facts, findings, as_json=True)
    told = json.loads(capsys.readouterr().out)
    assert len(lines) == len(told["findings"])
    assert told["host"] == FACTS.host
    for line, finding in zip(lines, told["findings"], strict=True):
        assert all(finding[key] in line for key in ("level", "what", "message", "remedy"))
