"""Launchers for the tests of the runner: with cgroups where the machine has them, and without."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.integration.launcher.stage import Stage


@pytest.fixture(params=["cgroups", "proc"])
def stage(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Stage]:
    stage = Stage(tmp_path, *(["--no-cgroups"] if request.param == "proc" else []))
    yield stage
    stage.close()
