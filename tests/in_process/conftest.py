"""What several of these tests need."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from dcron_common.db import users
from dcron_common.settings import RetentionConfig
from tests.in_process.asking import api_on
from tests.in_process.rounds import Rounds
from tests.in_process.world import World
from tests.unit.app.api_client import Api


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    world = World(tmp_path)
    yield world
    world.ensemble.close()
    world.database.close()


@pytest.fixture
def api(world: World, tmp_path: Path) -> Iterator[Api]:
    """The API on the world, and an admin."""
    with api_on(world, tmp_path / "objects", [("ann", users.Role.ADMIN, ["*"])]) as opened:
        yield opened


@pytest.fixture
def rounds(world: World) -> Callable[..., Rounds]:
    """Makes rounds by these bounds; what is not given is turned off."""

    def make(**config: int | None) -> Rounds:
        none = {"run_days": None, "runs_per_job": None, "removed_job_days": None}
        return Rounds(world, RetentionConfig(**{**none, **config}))

    return make
