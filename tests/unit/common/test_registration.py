"""What a worker announces: read from releases before and of this, refused where it is wrong."""

from __future__ import annotations

import json

import pytest

from dcron_common.errors import CoordinatorError
from dcron_common.protocol import Registration

MINE = Registration("node1", "boot", "1", "10.0.0.1", {}, 1, "0", 0, public_key="ab" * 32)


def test_it_is_read_back() -> None:
    assert Registration.decode(MINE.encode()) == MINE


def test_a_worker_of_the_release_before_has_no_key_yet() -> None:
    values = json.loads(MINE.encode())
    del values["public_key"]
    old = Registration.decode(json.dumps({**values, "v": 1}).encode())
    assert (old.worker, old.public_key) == ("node1", "")


@pytest.mark.parametrize("key", ["ab", "AB" * 32, "ab" * 32 + "\n", 7, None])
def test_a_key_that_is_none_is_refused(key: object) -> None:
    values = json.loads(MINE.encode())
    with pytest.raises(CoordinatorError):
        Registration.decode(json.dumps({**values, "public_key": key}).encode())


def test_a_later_version_is_refused() -> None:
    values = json.loads(MINE.encode())
    with pytest.raises(CoordinatorError, match="has version 3"):
        Registration.decode(json.dumps({**values, "v": 3}).encode())
