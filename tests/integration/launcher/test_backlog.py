"""A daemon that was away for long comes back to more results than fit a socket or a message."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from dcron_worker.runner import wire
from dcron_worker.runner.model import Ended, Launch, to_json
from dcron_worker.runner.register import Register
from tests.integration.launcher.stage import PATIENCE, Stage, wait_until

RUNS = 2000
TAIL = "\x01" * 8192  # six bytes each as JSON: all of it takes 96 MiB
MESSAGE_BYTES = 4 << 20


@pytest.fixture
def stage(tmp_path: Path) -> Iterator[Stage]:
    stage = Stage(tmp_path, "--no-cgroups")
    yield stage
    stage.close()


def end_of(number: int) -> Ended:
    return Ended(
        run_id=f"run-{number:05}",
        state="succeeded",
        started_at=1.0,
        finished_at=2.0,
        exit_code=0,
        signal=None,
        reason=None,
        output_tail=TAIL,
        output_path="/nowhere",
        output_size=len(TAIL),
        truncated=False,
    )


def gather(stage: Stage, runs: int = RUNS) -> list[Ended]:
    """Results that wait in the launcher, as if so many runs had ended while nobody listened."""
    stage.crash()
    results = [end_of(number) for number in range(runs)]
    register = Register(stage.state)
    register.add([stage.launch(result.run_id, "true") for result in results])
    for result in results:
        Path(register.output_path(result.run_id)).write_text(TAIL)
    register.end(results)
    register.journal.close()
    stage.begin()
    return results


class Peer:
    """A client that reads only when it is told to."""

    def __init__(self, stage: Stage) -> None:
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self._socket.connect(str(stage.socket))
        self._socket.settimeout(PATIENCE)
        self._decoder = wire.Decoder()

    def ask(self, **message: Any) -> None:
        self._socket.sendall(wire.encode(message))

    def messages(self) -> Iterator[dict[str, Any]]:
        while data := self._socket.recv(1 << 20):
            for message in self._decoder.feed(data):
                assert len(wire.encode(message)) <= MESSAGE_BYTES
                yield message

    def close(self) -> None:
        self._socket.close()


def test_all_results_are_told_in_their_order_and_can_be_acknowledged(stage: Stage) -> None:
    results = gather(stage)
    told: list[object] = []
    while len(told) < RUNS:
        events = stage.runner.events(PATIENCE)
        assert events, "no more results came"
        told += events
    assert told == results
    assert [known[2] for known in stage.runner.known().values()] == results
    assert stage.runner.names() == {result.run_id: True for result in results}
    stage.runner.acknowledge([result.run_id for result in results])
    assert stage.runner.known() == {}
    stage.crash()
    stage.begin()
    assert stage.runner.known() == {}


def test_what_happens_while_the_backlog_waits_comes_after_it(stage: Stage) -> None:
    results = gather(stage)
    peer = Peer(stage)
    peer.ask(op="start", seq=1, launches=[to_json(stage.launch("late", "echo done"))])
    wait_until(lambda: '"run_id":"late","state"' in _end_of_journal(stage))
    told: list[str] = []
    for message in peer.messages():
        told += [f"{kind} {data['run_id']}" for kind, data in message.get("events", [])]
        if "Ended late" in told:
            break
    peer.close()
    assert told == [f"Ended {x.run_id}" for x in results] + ["Started late", "Ended late"]


def _end_of_journal(stage: Stage) -> str:
    with (stage.state / "journal").open("rb") as file:
        file.seek(max(0, file.seek(0, 2) - 4096))
        return file.read().decode()


def test_what_is_known_comes_in_pages_that_others_coming_and_going_do_not_shift(
    stage: Stage,
) -> None:
    results = gather(stage, 200)
    peer = Peer(stage)
    found: list[str] = []
    after: int | None = 0
    pages = 0
    answers = (message for message in peer.messages() if "re" in message)
    while after is not None:
        peer.ask(op="known", seq=1, after=after)
        answer = next(answers)["result"]
        found += [entry[0]["run_id"] for entry in answer["entries"]]
        after = answer["next"]
        pages += 1
        peer.ask(op="acknowledge", seq=2, run_ids=found)
        next(answers)
    peer.close()
    assert pages > 1
    assert found == [result.run_id for result in results]
    assert stage.runner.known() == {}


def test_text_that_is_no_text_passes_the_wire(tmp_path: Path) -> None:
    message = {"argv": ["\ud800", "\udcff", "ž", "\ufffd", "\x00"]}
    decoder = wire.Decoder()
    assert list(decoder.feed(wire.encode(message))) == [message]


def test_a_launch_keeps_its_arguments(stage: Stage) -> None:
    launch: Launch = stage.launch("run", "true ž")
    stage.runner.start([launch])
    stage.ended("run")
    assert stage.runner.known()["run"][0].argv == launch.argv
