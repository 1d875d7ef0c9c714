"""Whom the roles let read what they write: by the tasks themselves, so that none is forgotten."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

ROLES = Path(__file__).parents[3] / "roles"
WRITERS = ("template", "copy", "get_url", "file", "openssl_privatekey")
# What is in a template that makes a secret of the file.
SECRET = re.compile(r"secret|password|_key\b", re.IGNORECASE)
# These name the place of a secret, or say that there is one, and hold none.
NAMES_ONLY = {
    "haproxy.cfg.j2",  # the place of a certificate's key
    "dcron.cnf.j2",  # the same, of MariaDB
}


def tasks(found: Any) -> Iterator[dict[str, Any]]:
    for task in found or []:
        for block in ("block", "rescue", "always"):
            yield from tasks(task.get(block))
        yield task


def written() -> Iterator[tuple[Path, str, dict[str, Any]]]:
    """Every task that writes: its file, the module's short name, and what it is given."""
    for path in sorted(ROLES.glob("*/tasks/*.yml")) + sorted(ROLES.glob("*/handlers/*.yml")):
        for task in tasks(yaml.safe_load(path.read_text())):
            for key, given in task.items():
                name = key.rpartition(".")[2]
                if name in WRITERS and isinstance(given, dict) and given.get("state") != "absent":
                    yield path, name, given


ALL = list(written())
IDS = [f"{p.parts[-3]}-{name}-{given.get('dest', given.get('path'))}" for p, name, given in ALL]


def holds_a_secret(path: Path, name: str, given: dict[str, Any]) -> bool:
    target = str(given.get("dest", given.get("path", "")))
    if name == "openssl_privatekey" or target.endswith((".key", "_key")):
        return True
    if name == "copy":
        return bool(SECRET.search(str(given.get("content", ""))))
    sources = path.parents[1] / "templates"
    source = str(given.get("src", ""))
    # A loop's templates are looked at one and all.
    chosen = [sources / source] if "{{" not in source else sorted(sources.glob("*.j2"))
    texts = [one.read_text() for one in chosen if one.is_file() and one.name not in NAMES_ONLY]
    return name == "template" and "{{" not in source and any(map(SECRET.search, texts))


@pytest.mark.parametrize(("path", "name", "given"), ALL, ids=IDS)
def test_nothing_is_written_by_the_hosts_own_umask(
    path: Path, name: str, given: dict[str, Any]
) -> None:
    if given.get("state") in ("link", "touch"):
        return
    assert "mode" in given, given
    assert not int(str(given["mode"])[-1], 8) & 0o2, "everybody may write it"


@pytest.mark.parametrize(("path", "name", "given"), ALL, ids=IDS)
def test_what_holds_a_secret_is_closed_to_others(
    path: Path, name: str, given: dict[str, Any]
) -> None:
    if holds_a_secret(path, name, given):
        assert str(given["mode"]).endswith("0"), given


def test_files_with_secrets_are_known_as_such() -> None:
    closed = {
        str(given.get("dest", given.get("path")))
        for path, name, given in ALL
        if holds_a_secret(path, name, given)
    }
    for expected in ("/etc/dcron/app.toml", "/etc/dcron/worker.toml"):
        assert expected in closed
    assert len(closed) >= 6
