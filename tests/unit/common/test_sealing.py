"""The key ring of the control nodes, and the keys of workers."""

from __future__ import annotations

import stat
from pathlib import Path

import pytest

from dcron_common.errors import ConfigError, SecretError
from dcron_common.sealing.ring import Ring
from dcron_common.sealing.worker_key import WorkerKey, seal

OLD, NEW = "0123456789abcdef" * 4, "9a3b5c7d" * 8
VALUE = "correct horse\nbattery staple"


def written(path: Path, text: str, mode: int = 0o640) -> Path:
    path.write_text(text)
    path.chmod(mode)
    return path


def test_a_value_is_read_back_and_its_text_is_not_in_what_is_stored() -> None:
    ring = Ring.generate()
    stored = ring.encrypt("KEY", VALUE)
    assert ring.decrypt("KEY", stored) == VALUE
    assert "horse" not in stored and ring.encrypt("KEY", VALUE) != stored


def test_what_is_stored_opens_under_its_own_name_only() -> None:
    ring = Ring.generate()
    with pytest.raises(SecretError, match="was changed"):
        ring.decrypt("OTHER", ring.encrypt("KEY", VALUE))


def test_another_ring_opens_nothing() -> None:
    with pytest.raises(SecretError, match="is not in the ring"):
        Ring.generate().decrypt("KEY", Ring.generate().encrypt("KEY", VALUE))


@pytest.mark.parametrize("damage", ["", "!", "AAAA"])
def test_what_was_damaged_is_refused_without_a_word_of_it(damage: str) -> None:
    ring = Ring.generate()
    key, _, text = ring.encrypt("KEY", VALUE).partition(":")
    with pytest.raises(SecretError) as caught:
        ring.decrypt("KEY", f"{key}:{damage}{text[8:]}")
    assert caught.value.__cause__ is None and caught.value.__suppress_context__


def test_the_first_key_encrypts_and_all_decrypt(tmp_path: Path) -> None:
    before = Ring.read(written(tmp_path / "old", f"{OLD}\n"))
    both = Ring.read(written(tmp_path / "both", f"# of 2027\n{NEW}\n\n{OLD}\n"))
    stored = before.encrypt("KEY", VALUE)
    assert both.decrypt("KEY", stored) == VALUE and not both.is_current(stored)
    renewed = both.encrypt("KEY", VALUE)
    assert both.is_current(renewed)
    assert Ring.read(written(tmp_path / "new", NEW)).decrypt("KEY", renewed) == VALUE


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("", "holds no key"),
        ("# none\n", "holds no key"),
        (OLD[1:], "is not 64 random hex digits"),
        ("0" * 64, "is not 64 random hex digits"),
        (OLD.upper(), "is not 64 random hex digits"),
        ("changeme", "is not 64 random hex digits"),
        (f"{OLD}\n{OLD}", "holds a key twice"),
        ("é", "plain ASCII"),
    ],
)
def test_a_wrong_or_empty_ring_is_refused(tmp_path: Path, text: str, why: str) -> None:
    with pytest.raises(ConfigError, match=why) as caught:
        Ring.read(written(tmp_path / "keys", text))
    assert not text or text not in str(caught.value)


@pytest.mark.parametrize("mode", [0o644, 0o660, 0o641, 0o750])
def test_a_ring_that_others_may_read_or_write_is_refused(tmp_path: Path, mode: int) -> None:
    with pytest.raises(ConfigError, match="chmod 0640"):
        Ring.read(written(tmp_path / "keys", OLD, mode))


def test_a_ring_behind_a_symlink_is_refused(tmp_path: Path) -> None:
    (tmp_path / "keys").symlink_to(written(tmp_path / "elsewhere", OLD))
    with pytest.raises(ConfigError, match="cannot be read"):
        Ring.read(tmp_path / "keys")


def test_the_embedded_modes_ring_is_made_once_and_private(tmp_path: Path) -> None:
    path = tmp_path / "keys"
    stored = Ring.read_or_make(path).encrypt("KEY", VALUE)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert Ring.read_or_make(path).decrypt("KEY", stored) == VALUE
    assert [one.name for one in tmp_path.iterdir()] == ["keys"]


def test_what_is_sealed_for_a_worker_only_that_worker_opens() -> None:
    mine, other = WorkerKey.generate(), WorkerKey.generate()
    sealed = seal(mine.public, "node1", "KEY", VALUE)
    assert mine.open("node1", "KEY", sealed) == VALUE and "horse" not in sealed
    for key, worker, name in [
        (other, "node1", "KEY"),
        (mine, "node2", "KEY"),
        (mine, "node1", "OTHER"),
    ]:
        with pytest.raises(SecretError, match=f"the secret {name} was sealed for another key"):
            key.open(worker, name, sealed)


@pytest.mark.parametrize("sealed", ["", "!", "QUJD", "Ω"])
def test_what_is_no_sealed_value_is_refused(sealed: str) -> None:
    with pytest.raises(SecretError):
        WorkerKey.generate().open("node1", "KEY", sealed)


@pytest.mark.parametrize("public", ["", "zz" * 32, "ab", "00" * 32])
def test_nothing_is_sealed_for_a_key_that_is_none(public: str) -> None:
    with pytest.raises(SecretError, match="node1") as caught:
        seal(public, "node1", "KEY", VALUE)
    assert "horse" not in str(caught.value)


def test_a_workers_key_is_made_once_and_private(tmp_path: Path) -> None:
    path = tmp_path / "key"
    made = WorkerKey.read_or_make(path)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert WorkerKey.read_or_make(path).public == made.public
    path.chmod(0o640)
    with pytest.raises(ConfigError, match="chmod 0600"):
        WorkerKey.read_or_make(path)


def test_a_workers_key_that_is_none_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="remove the file"):
        WorkerKey.read_or_make(written(tmp_path / "key", "nothing", 0o600))
