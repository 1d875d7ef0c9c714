from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.unit.app.api_client import Api, open_api


@pytest.fixture
def api(tmp_path: Path) -> Iterator[Api]:
    with open_api(tmp_path) as opened:
        yield opened
