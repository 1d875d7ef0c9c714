"""Which cluster is meant, and what a token may be sent to."""

from __future__ import annotations

from pathlib import Path

import pytest

from dcron_cli import config
from dcron_cli.config import checked_ca, checked_url, read_environment
from dcron_common.errors import ConfigError


@pytest.mark.parametrize(
    ("given", "taken"),
    [
        ("https://dcron.example/", "https://dcron.example"),
        ("https://dcron.example:8443", "https://dcron.example:8443"),
        ("http://127.0.0.1:30000", "http://127.0.0.1:30000"),
        ("http://[::1]:30000", "http://[::1]:30000"),
        ("http://localhost:30000", "http://localhost:30000"),
    ],
)
def test_an_address_is_taken(given: str, taken: str) -> None:
    assert checked_url(given, "--url") == taken


@pytest.mark.parametrize(
    "given",
    [
        *("", "dcron.example", "ftp://dcron.example", "https://", "https://a b", "https://x:99999"),
        *("https://user:word@dcron.example", "https://x/?token=y", "https://x\n.example"),
    ],
)
def test_what_is_no_address_is_refused(given: str) -> None:
    with pytest.raises(ConfigError, match="--url: .* is no address"):
        checked_url(given, "--url")


@pytest.mark.parametrize("host", ["dcron.example", "10.0.0.1", "localhost.evil.example"])
def test_a_token_does_not_go_over_the_network_in_the_clear(host: str) -> None:
    with pytest.raises(ConfigError, match="in the clear; write https://"):
        checked_url(f"http://{host}", "--url")


def test_the_environment_names_a_cluster() -> None:
    found = read_environment({"DCRON_URL": "https://dcron.example", "DCRON_TOKEN": "t"})
    target = found.target()
    assert target is not None
    assert (target.url, target.token, target.ca) == ("https://dcron.example", "t", None)
    assert "'t'" not in repr(target) + repr(found)


def test_a_token_without_an_address_is_refused_rather_than_sent_to_a_profiles_cluster() -> None:
    with pytest.raises(ConfigError, match="set both, or unset DCRON_TOKEN"):
        read_environment({"DCRON_TOKEN": "t"}).target()


def test_an_empty_variable_is_none() -> None:
    assert read_environment({"DCRON_URL": "", "DCRON_TOKEN": ""}).target() is None


def test_profiles_are_where_xdg_says_and_a_relative_folder_counts_for_nothing() -> None:
    assert read_environment({"XDG_CONFIG_HOME": "/x"}).folder == Path("/x/dcron")
    home = Path("~/.config/dcron").expanduser()
    assert read_environment({"XDG_CONFIG_HOME": "x"}).folder == home


def test_an_authority_that_is_no_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="DCRON_CA: there is no file"):
        checked_ca(str(tmp_path / "ca.crt"), "DCRON_CA")


def test_the_environment_is_read_in_one_module() -> None:
    root = Path(config.__file__).parent
    readers = [
        path.name
        for path in root.rglob("*.py")
        if any(word in path.read_text() for word in ("os.environ", "getenv"))
    ]
    assert readers == ["config.py"]
