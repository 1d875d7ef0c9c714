"""The parts of `make bench-api` that need no lab host: its load, its reference, its table."""

from __future__ import annotations

import re
import signal
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from bench.api import BARE, BODY, START, Cell, compare, table
from bench.load import Measured, Request, Target, measure
from tests.integration.test_standalone import Server
from tests.servers.certificates import Authority
from tests.servers.process import end, free_port, launch, wait_until_ready

READ = Request("GET", "/jobs/1", None, 200)
CREATE = Request("POST", "/jobs", BODY, 201)


@pytest.fixture(scope="module")
def bare(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Target]:
    """The reference by the very options that start it on a lab host."""
    folder = tmp_path_factory.mktemp("bare")
    authority = Authority(folder)
    certificate = authority.issue("bare")
    (folder / "bare.py").write_text(BARE.read_text())
    port, log = free_port(), folder / "log"
    found = re.search(r"-m (gunicorn .*?bare:application)", START.replace("\\\n", " "))
    assert found is not None
    words = {"FOLDER": str(folder), "0.0.0.0:PORT": f"127.0.0.1:{port}"}
    words |= {'"$processes"': "1", '"$threads"': "4"}
    words |= {"/etc/haproxy/tls/dcron.crt": str(certificate.certificate)}
    words |= {"/etc/haproxy/tls/dcron.key": str(certificate.key)}
    options = [words.get(word, word) for word in found[1].split()]
    process = launch([sys.executable, "-m", *options], log)
    try:
        wait_until_ready(process, lambda: "Listening at" in log.read_text(), log, 30)
        yield Target(f"https://127.0.0.1:{port}", authority.ca)
    finally:
        end(process)


@pytest.fixture(scope="module")
def dcron(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Target]:
    server = Server(tmp_path_factory.mktemp("dcron") / "state")
    server.start()
    yield Target(server.url, None, (server.state / "token").read_text().strip())
    server.signal(signal.SIGTERM)


@pytest.mark.parametrize("request_", [READ, CREATE], ids=["read", "create"])
def test_the_reference_is_asked_as_often_as_allowed(bare: Target, request_: Request) -> None:
    found = measure(bare, request_, 4, seconds=60, most=40)
    assert len(found.took) == 40
    assert 1 <= found.connections <= 4
    assert found.rate == pytest.approx(40 / found.seconds)
    assert 0 < found.quantile(0.5) <= found.quantile(0.99)


def test_the_time_ends_a_load_too(bare: Target) -> None:
    ticks = iter(range(1_000_000))
    found = measure(bare, READ, 1, seconds=10, most=10**6, now=lambda: float(next(ticks)))
    assert 1 <= len(found.took) < 10


def test_a_wrong_answer_ends_a_load(bare: Target, dcron: Target) -> None:
    with pytest.raises(RuntimeError, match="/nothing: 404 "):
        measure(bare, Request("GET", "/nothing", None, 200), 4, seconds=60, most=1000)
    stranger = Target(dcron.url, None, "dcron_wrong")
    with pytest.raises(RuntimeError, match="/jobs/1: 401 "):
        measure(stranger, READ, 2, seconds=60, most=1000)


def test_a_server_that_is_not_there_ends_a_load() -> None:
    nobody = Target(f"http://127.0.0.1:{free_port()}", None)
    with pytest.raises(RuntimeError, match="refused"):
        measure(nobody, READ, 2, seconds=60, most=10)


def test_a_certificate_of_another_authority_is_not_taken(bare: Target, tmp_path: Path) -> None:
    wrong = Target(bare.url, Authority(tmp_path).ca)
    with pytest.raises(RuntimeError, match="certificate verify failed"):
        measure(wrong, READ, 1, seconds=60, most=1)


def test_the_two_are_asked_the_same(bare: Target, dcron: Target) -> None:
    cells = list(compare(bare, dcron, [1, 2], seconds=60, most=8))
    assert [(cell.what, cell.clients) for cell in cells] == [
        *(("creates", 1), ("creates", 2)),
        *(("reads", 1), ("reads", 2)),
    ]
    assert all(len(cell.bare.took) == len(cell.dcron.took) == 8 for cell in cells)


def test_the_table_has_rates_and_ratios() -> None:
    cell = Cell("reads", 8, Measured([0.001] * 100, 0.1), Measured([0.004] * 100, 0.4))
    assert table([cell]).splitlines()[2:] == [
        "| reads | 8 | bare bottle | 1,000 | 1.0 | 1.0 |  |",
        "| reads | 8 | dcron | 250 | 4.0 | 4.0 | 0.25 |",
    ]
