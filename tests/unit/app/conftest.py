from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.unit.app.api_client import Api, open_api
from tests.unit.app.asked import lay_places


@pytest.fixture
def api(tmp_path: Path) -> Iterator[Api]:
    with open_api(tmp_path) as opened:
        yield opened


@pytest.fixture
def places(api: Api) -> None:
    """The nodes of two workers, as the leader lays them out: runs can be asked for and ended."""
    lay_places(api)
