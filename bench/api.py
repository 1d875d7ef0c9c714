"""`bin/bench-api`: creates and reads in a second, on the lab host that LAB names.

dcron is asked as its users ask it, through HAProxy with TLS. The reference is bare bottle on
gunicorn (`bench.bare`) on the same host in the same run: as many processes and threads, the
certificate that HAProxy shows, no database. The two take turns, so that what else the machine does
meets both. A rate is never a pass or a fail; a wrong answer ends the bench with 1.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from bench.host import CHECKOUT, on_host
from bench.load import Measured, Request, Target, measure

PORT = 30080  # of the reference
UNIT = "bench-bare"
FOLDER = "/var/tmp/bench-api"  # on the lab host
BARE = CHECKOUT / "bench" / "bare.py"
ROUNDS = 2
# Due once a year: nothing is fired meanwhile.
BODY = json.dumps({"type": "command", "executable": "true", "schedule": "0 0 1 1 *"}).encode()
# The reference runs as the API does: `dcron_app.serve` sets the same.
START = """
set -eu
bin=$(sed -n 's|^ExecStart=\\(.*\\)/dcron-app .*|\\1|p' /etc/systemd/system/dcron-api.service)
eval "$($bin/python - <<'END'
import tomllib
api = tomllib.load(open("/etc/dcron/app.toml", "rb"))["api"]
print(f"processes={api.get('processes', 2)} threads={api.get('threads', 8)}")
END
)"
systemctl stop UNIT 2>/dev/null || true
systemd-run --quiet --collect --unit=UNIT "$bin/python" -m gunicorn --chdir FOLDER \\
  --bind 0.0.0.0:PORT --worker-class gthread --workers "$processes" --threads "$threads" \\
  --keep-alive 15 --worker-tmp-dir /dev/shm --no-control-socket \\
  --certfile /etc/haproxy/tls/dcron.crt --keyfile /etc/haproxy/tls/dcron.key bare:application
echo "$processes $threads"
"""


@dataclass(frozen=True)
class Cell:
    """One line of the table: the two, asked the same."""

    what: str
    clients: int
    bare: Measured
    dcron: Measured

    @property
    def ratio(self) -> float:
        return self.dcron.rate / self.bare.rate


def main() -> int:
    """0: all was asked and answered."""
    options = _options()
    url, ca = os.environ["DCRON_URL"].rstrip("/"), Path(os.environ["DCRON_CA"])
    dcron = Target(url, ca, os.environ["DCRON_TOKEN"])
    bare = Target(f"https://{urlsplit(url).hostname}:{PORT}", ca)
    load = os.getloadavg()[0]
    try:
        with _reference(bare) as (processes, threads):
            cells = list(compare(bare, dcron, options.clients, options.seconds, options.most))
    except RuntimeError as error:
        print(f"bench-api: {error}", file=sys.stderr)
        return 1
    print(f"\nBoth: {processes} processes of {threads} threads; load average before: {load:.1f}.")
    print(table(cells))
    return 0


def compare(
    bare: Target, dcron: Target, clients: list[int], seconds: float, most: int
) -> Iterator[Cell]:
    """Creates, then reads of what was created; the two servers take turns."""
    first = _first_job(dcron)
    asked = {
        "creates": Request("POST", "/jobs", BODY, 201),
        "reads": Request("GET", f"/jobs/{first}", None, 200),
    }
    for what, request in asked.items():
        for number in clients:
            found = {"bare": Measured(), "dcron": Measured()}
            for _ in range(ROUNDS):
                for name, target in (("bare", bare), ("dcron", dcron)):
                    _say(f"{what} by {number} clients: {name}")
                    found[name].add(
                        measure(
                            target, request, number, seconds=seconds / ROUNDS, most=most // ROUNDS
                        )
                    )
            yield Cell(what, number, found["bare"], found["dcron"])


def _first_job(dcron: Target) -> str:
    """A job to read."""
    connection = dcron.connect()
    headers = {"Content-Type": "application/json", "Authorization": f"Bearer {dcron.token}"}
    connection.request("POST", "/jobs", BODY, headers)
    answer = connection.getresponse()
    body = answer.read()
    connection.close()
    if answer.status != 201:
        raise RuntimeError(f"POST {dcron.url}/jobs: {answer.status} {body[:300]!r}")
    return str(json.loads(body)["id"])


def table(cells: list[Cell]) -> str:
    """In Markdown: answers in a second, milliseconds, dcron by bare."""
    head = ["", "clients", "server", "per second", "p50 ms", "p99 ms", "dcron by bare"]
    lines = [f"| {' | '.join(head)} |", f"|{'---|' * len(head)}"]
    for cell in cells:
        for name, one in (("bare bottle", cell.bare), ("dcron", cell.dcron)):
            texts = [cell.what, str(cell.clients), name, f"{one.rate:,.0f}"]
            texts += [f"{one.quantile(part) * 1000:.1f}" for part in (0.5, 0.99)]
            texts.append(f"{cell.ratio:.2f}" if name == "dcron" else "")
            lines.append(f"| {' | '.join(texts)} |")
    return "\n".join(lines)


@contextmanager
def _reference(bare: Target) -> Iterator[tuple[int, int]]:
    """The reference on the lab host, for as long as it is needed: its processes and threads."""
    on_host(f"mkdir -p {FOLDER} && cat > {FOLDER}/bare.py", BARE.read_text())
    script = START.replace("UNIT", UNIT).replace("FOLDER", FOLDER).replace("PORT", str(PORT))
    processes, threads = map(int, on_host("bash -s", script).split())
    try:
        _await(lambda: _answers(bare))
        yield processes, threads
    finally:
        on_host(f"systemctl stop {UNIT}; rm -rf {FOLDER}")


def _answers(target: Target) -> bool:
    connection = target.connect()
    try:
        connection.request("GET", "/jobs/1")
        return connection.getresponse().status == 200
    except OSError:
        return False
    finally:
        connection.close()


def _await(ready: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 30
    while not ready():
        if time.monotonic() > deadline:
            raise RuntimeError("the reference does not answer within 30 s")
        threading.Event().wait(0.2)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="bin/bench-api")
    parser.add_argument("--clients", type=int, nargs="+", default=[1, 8, 32])
    parser.add_argument("--seconds", type=float, default=20.0, help="at most, for each figure")
    parser.add_argument("--most", type=int, default=2000, help="requests for each figure")
    return parser.parse_args()


def _say(text: str) -> None:
    print(f"{time.strftime('%H:%M:%S')} {text}", file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())
