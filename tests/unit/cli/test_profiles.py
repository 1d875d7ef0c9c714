"""Where tokens are kept."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest

from dcron_cli import profiles
from dcron_cli.profiles import Profile, Profiles
from dcron_common.errors import ConfigError

LAB = Profile("lab", "https://dcron.lab", None, "ann", "dcron_secret", None, by_password=True)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "config" / "dcron"


def test_what_is_saved_is_loaded(folder: Path) -> None:
    home = Profile("home", "http://127.0.0.1:30000", user='a "quoted" ā \\ name')
    saved = Profiles().having(home).having(LAB)
    profiles.save(folder, saved)
    assert profiles.load(folder) == saved
    assert profiles.load(folder).current == "lab"


def test_file_and_folder_are_their_users_own_whatever_the_umask(folder: Path) -> None:
    before = os.umask(0)
    try:
        profiles.save(folder, Profiles().having(LAB))
    finally:
        os.umask(before)
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert stat.S_IMODE((folder / profiles.FILE).stat().st_mode) == 0o600


@pytest.mark.parametrize(("what", "remedy"), [("config.toml", "chmod 600"), ("", "chmod 700")])
def test_what_others_can_read_is_refused_with_the_remedy(
    folder: Path, what: str, remedy: str
) -> None:
    profiles.save(folder, Profiles().having(LAB))
    path = folder / what
    path.chmod(path.stat().st_mode | 0o040)
    with pytest.raises(ConfigError, match=f"{remedy} {path}") as refused:
        profiles.load(folder)
    assert "dcron_secret" not in str(refused.value)


def test_a_folder_that_others_can_read_gets_no_token(folder: Path) -> None:
    folder.mkdir(parents=True)
    folder.chmod(0o755)
    with pytest.raises(ConfigError, match="chmod 700"):
        profiles.save(folder, Profiles().having(LAB))
    assert list(folder.iterdir()) == []


def test_a_file_that_is_a_link_is_replaced_and_what_it_names_is_not(
    folder: Path, tmp_path: Path
) -> None:
    other = tmp_path / "other"
    other.write_text("")
    other.chmod(0o600)
    profiles.save(folder, Profiles())
    (folder / profiles.FILE).unlink()
    (folder / profiles.FILE).symlink_to(other)
    profiles.save(folder, Profiles().having(LAB))
    assert other.read_text() == ""
    assert not (folder / profiles.FILE).is_symlink()


def test_nothing_but_the_file_is_left_where_it_is_written(folder: Path) -> None:
    profiles.save(folder, Profiles().having(LAB))
    profiles.save(folder, Profiles().having(LAB))
    assert [one.name for one in folder.iterdir()] == [profiles.FILE]


@pytest.mark.parametrize(
    "text",
    [
        "profiles = 3",
        '[profiles.lab]\nuser = "ann"',
        '[profiles.lab]\nurl = "https://x"\ntokn = "y"',
        '[profiles."a b"]\nurl = "https://x"',
        '[profiles.lab]\nurl = "https://x"\nby_password = "yes"',
        "not toml",
    ],
)
def test_a_file_that_is_wrong_is_named(folder: Path, text: str) -> None:
    profiles.save(folder, Profiles())
    (folder / profiles.FILE).write_text(text)
    with pytest.raises(ConfigError):
        profiles.load(folder)


def test_a_token_does_not_show_in_a_profile() -> None:
    assert "dcron_secret" not in repr(LAB) + repr(LAB.target()) + repr(Profiles().having(LAB))


def test_a_profile_that_is_current_and_goes_leaves_none_current() -> None:
    left = Profiles().having(LAB).without("lab")
    assert left == Profiles()
    with pytest.raises(ConfigError, match="there is no profile 'lab'"):
        left.get("lab")
