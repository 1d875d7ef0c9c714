from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.unit.app.api_client import Api, open_api
from tests.unit.cli.cluster import Script, Terminal, Wsgi


@pytest.fixture
def answering(tmp_path: Path) -> Callable[[dict[str, Any]], Terminal]:
    """A terminal whose cluster answers by a script."""
    return lambda answers: Terminal(Script(answers), tmp_path)


@pytest.fixture
def api(tmp_path: Path) -> Iterator[Api]:
    folder = tmp_path / "api"
    folder.mkdir()
    with open_api(folder) as opened:
        yield opened


@pytest.fixture
def terminal(api: Api, tmp_path: Path) -> Terminal:
    """A terminal of an admin of the API itself."""
    return Terminal(Wsgi(api.app), tmp_path, api.tokens["admin"])
