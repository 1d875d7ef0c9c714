"""Which cluster a command talks to, and as whom: from the environment or from a profile.

`--profile NAME` decides if it is given; else DCRON_URL, DCRON_TOKEN and DCRON_CA, if DCRON_URL is
set; else the current profile. They are never mixed: a token goes only to the cluster it was
given for. All failures are ConfigError.
"""

from __future__ import annotations

import ipaddress
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

from dcron_common.errors import ConfigError

LOGIN = "login"  # as `where`: there is no token yet, and none is missed


@dataclass(frozen=True, slots=True)
class Target:
    """A cluster and a token for it. `ca`: the authority that its certificate is of; None: those
    that the machine trusts. `where`: what gave it, for messages."""

    url: str
    token: str | None = field(repr=False)
    ca: Path | None
    where: str


@dataclass(frozen=True, slots=True)
class Environment:
    """What the environment says. `folder`: where profiles are kept."""

    url: str | None
    token: str | None = field(repr=False)
    ca: str | None
    folder: Path

    def target(self) -> Target | None:
        """What DCRON_URL names; None if it is not set. ConfigError for half of it."""
        if self.url is None:
            if self.token is not None:
                raise ConfigError(
                    "DCRON_TOKEN is set but DCRON_URL is not: set both, or unset DCRON_TOKEN to "
                    "use the profile"
                )
            return None
        url = checked_url(self.url, "DCRON_URL")
        ca = None if self.ca is None else checked_ca(self.ca, "DCRON_CA")
        return Target(url, self.token, ca, "DCRON_URL")


def read_environment(values: Mapping[str, str] | None = None) -> Environment:
    """From the process's environment, unless another is given. Empty counts as not set."""
    found = os.environ if values is None else values
    home = found.get("XDG_CONFIG_HOME", "")
    base = Path(home) if home.startswith("/") else Path("~/.config").expanduser()
    return Environment(
        url=found.get("DCRON_URL") or None,
        token=found.get("DCRON_TOKEN") or None,
        ca=found.get("DCRON_CA") or None,
        folder=base / "dcron",
    )


def checked_url(text: str, name: str) -> str:
    """A cluster's address without a slash at its end. ConfigError unless it is https, or http to
    this very machine: a token must not go over the network in the clear."""
    try:
        parts = urlsplit(text)
        host, _ = parts.hostname, parts.port
    except ValueError:
        host, parts = None, urlsplit("")
    plain = text.isprintable() and " " not in text
    extra = parts.username or parts.password or parts.query or parts.fragment
    if parts.scheme not in ("http", "https") or not host or extra or not plain:
        raise ConfigError(
            f"{name}: {text!a} is no address; write one such as https://dcron.example"
        )
    if parts.scheme == "http" and not is_loopback(host):
        raise ConfigError(
            f"{name}: {text} would send the token in the clear; write https:// "
            "(http:// only to this machine, such as http://127.0.0.1:30000)"
        )
    return text.rstrip("/")


def is_loopback(host: str) -> bool:
    """Whether this name or address is this machine."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def checked_ca(text: str, name: str) -> Path:
    """The file of an authority's certificate, as an absolute path. ConfigError if it is none."""
    path = Path(text).expanduser().absolute()
    if not text.isprintable() or not path.is_file():
        raise ConfigError(f"{name}: there is no file {text!a}; name the cluster's ca.crt")
    return path
