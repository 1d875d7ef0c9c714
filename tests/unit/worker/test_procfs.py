"""Signals to processes that may not be ours."""

from __future__ import annotations

import logging
import os
import signal

import pytest

from dcron_worker.runner import procfs


def test_who_may_not_be_signalled_is_told_of_once_and_stops_nothing(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    tried: list[int] = []

    def refused(descriptor: int, number: int) -> None:
        tried.append(number)
        raise PermissionError(1, "Operation not permitted")

    monkeypatch.setattr(signal, "pidfd_send_signal", refused)
    process = procfs.read(os.getpid())
    assert process is not None
    with caplog.at_level(logging.WARNING):
        for number in (signal.SIGTERM, signal.SIGKILL):
            procfs.send(process, number)
    assert tried == [signal.SIGTERM, signal.SIGKILL]
    [line] = caplog.messages
    assert f"pid={os.getpid()} " in line and "another user's" in line
