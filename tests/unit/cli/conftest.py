from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.unit.app.api_client import Api, open_api
from tests.unit.cli.cluster import Script, Terminal, Wsgi, job
from tests.unit.cli.kept_jobs import FILE, KeptJobs


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


@pytest.fixture
def kept() -> KeptJobs:
    return KeptJobs(
        job(1, name="hello", executable="echo hullo", schedule="* * * * *", labels={"app": "web"}),
        job(2, name="old", labels={"app": "web"}),
        job(3, name="foreign", labels={"app": "mail"}),
        job(4, labels={"app": "web", "tier": "x"}),
    )


@pytest.fixture
def dcron(kept: KeptJobs, tmp_path: Path) -> Terminal:
    (tmp_path / "jobs.yml").write_text(FILE)
    (tmp_path / "backup.sh").write_text("#!/bin/sh\necho backup\n")
    return Terminal(kept, tmp_path)
