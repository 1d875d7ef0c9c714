"""What docs/guarantees.md and docs/security.md cite is there: no renamed test leaves it behind."""

from __future__ import annotations

import re
from fnmatch import fnmatch
from pathlib import Path

import pytest

TESTS = Path(__file__).parents[2]
DOCS = ("guarantees", "security")
TEXTS = {name: (TESTS.parent / "docs" / f"{name}.md").read_text() for name in DOCS}
QUOTED = {name: re.findall(r"`([^`\n]+)`", text) for name, text in TEXTS.items()}
DEFINED = re.compile(r"^ *def (test_\w+)", re.MULTILINE)


@pytest.mark.parametrize("doc", DOCS)
def test_every_file_that_is_cited_is_there(doc: str) -> None:
    cited = [word for word in QUOTED[doc] if re.fullmatch(r"[\w/]+\.py", word)]
    assert len(cited) > 30
    assert [path for path in cited if not (TESTS / path).is_file()] == []


@pytest.mark.parametrize("doc", DOCS)
def test_every_test_that_is_cited_is_in_a_file_that_its_row_cites(doc: str) -> None:
    looked = 0
    for row in TEXTS[doc].splitlines():
        quoted = re.findall(r"`([^`]+)`", row)
        files = [TESTS / word for word in quoted if re.fullmatch(r"[\w/]+\.py", word)]
        names = [name for path in files for name in DEFINED.findall(path.read_text())]
        for word in quoted:
            if re.fullmatch(r"test_[\w*]+", word):
                looked += 1
                assert any(fnmatch(name, word) for name in names), (word, row)
    assert looked > 30


def test_every_broken_rule_is_listed() -> None:
    patches = {path.stem for path in (TESTS / "mutants").glob("*.patch")}
    assert patches and patches <= set(QUOTED["guarantees"])


def test_every_security_test_is_cited_by_its_file() -> None:
    files = {str(path.relative_to(TESTS)) for path in (TESTS / "unit/security").glob("test_*.py")}
    assert files and files <= set(QUOTED["security"])
