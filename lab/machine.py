"""The machine that the lab runs on: rights, packages, apt sources, resolver, CA certificates."""

import os
import re
import shutil
from pathlib import Path

from lab.errors import LabError, NotAllowed
from lab.shell import run, step

SUITE = "bookworm"
_SUITES = (SUITE, f"{SUITE}-updates", f"{SUITE}-security")

_PROGRAMS = {
    "systemd-nspawn": "systemd-container",
    "mmdebstrap": "mmdebstrap",
    "ip": "iproute2",
    "nft": "nftables",
    "ssh": "openssh-client",
    "ssh-keygen": "openssh-client",
    "nsenter": "util-linux",
    "setpriv": "util-linux",
    "unshare": "util-linux",
}

_DEFAULT_SOURCES = f"""\
deb http://deb.debian.org/debian {SUITE} main
deb http://deb.debian.org/debian {SUITE}-updates main
deb http://deb.debian.org/debian-security {SUITE}-security main
"""


def need_root() -> None:
    """Raise NotAllowed unless this is root."""
    if os.geteuid():
        raise NotAllowed(
            "the lab boots real hosts and needs root: run it with sudo, or as root.\n"
            "Without root, `make demo` shows dcron on this machine alone."
        )


def missing_packages() -> list[str]:
    """The Debian packages whose programs this machine lacks."""
    search = os.environ.get("PATH", "") + ":/usr/sbin:/sbin"
    return sorted({pkg for prog, pkg in _PROGRAMS.items() if not shutil.which(prog, path=search)})


def install_packages() -> None:
    """Install what the lab needs on this machine, where it is missing."""
    missing = missing_packages()
    if not missing:
        return
    if not shutil.which("apt-get"):
        raise LabError(f"install these first (no apt-get here): {' '.join(missing)}")
    os.environ["DEBIAN_FRONTEND"] = "noninteractive"
    with step(f"install on this machine: {' '.join(missing)}"):
        run("apt-get", "update")
        run("apt-get", "install", "-y", "--no-install-recommends", *missing)


def debian_sources(texts: list[str]) -> str:
    """Pick Debian's own suites out of the machine's apt sources, as one-line entries.

    `texts` are the contents of sources.list and *.sources files. Sources of others (and of other
    releases) are left out: hosts are plain Debian 12.
    """
    lines: list[str] = []
    for text in texts:
        for uri, suites, components in _deb822(text) + _one_line(text):
            lines += [
                f"deb {uri} {suite} {' '.join(components)}" for suite in suites if suite in _SUITES
            ]
    return "".join(f"{line}\n" for line in dict.fromkeys(lines)) or _DEFAULT_SOURCES


def _deb822(text: str) -> list[tuple[str, list[str], list[str]]]:
    found = []
    for stanza in re.split(r"\n\s*\n", text):
        fields = {
            match[1].lower(): match[2].split()
            for match in re.finditer(r"^([A-Za-z-]+):[ \t]*(.*(?:\n[ \t].*)*)$", stanza, re.M)
        }
        if "deb" in fields.get("types", []) and fields.get("enabled", ["yes"]) != ["no"]:
            suites, components = fields.get("suites", []), fields.get("components", [])
            found += [(uri, suites, components) for uri in fields.get("uris", [])]
    return found


def _one_line(text: str) -> list[tuple[str, list[str], list[str]]]:
    entries = re.finditer(r"^deb\s+(?:\[[^]]*\]\s+)?(\S+)\s+(\S+)\s+(.+)$", text, re.M)
    return [(match[1], [match[2]], match[3].split()) for match in entries]


def apt_sources() -> str:
    """Debian's suites as this machine's apt is configured for them."""
    folder = Path("/etc/apt")
    files = [folder / "sources.list", *sorted((folder / "sources.list.d").glob("*"))]
    wanted = [file for file in files if file.suffix in (".list", ".sources") and file.is_file()]
    return debian_sources([file.read_text() for file in wanted])


def apt_options(dump: str) -> str:
    """The lines of `apt-config dump` that say how to reach the mirror (proxy, dates, retries)."""
    keep = re.compile(r"Acquire::(https?::|Check-|Retries|ForceIPv)\S* \".+\";")
    return "".join(f"{line}\n" for line in dump.splitlines() if keep.fullmatch(line))


def ca_certificates() -> str:
    """The CA bundle that this machine trusts, PEM; empty where there is none."""
    named = os.environ.get("SSL_CERT_FILE", "/etc/ssl/certs/ca-certificates.crt")
    file = Path(named)
    return file.read_text() if file.is_file() else ""


def resolv_conf() -> str:
    """A resolver configuration that works from inside a host, too."""
    text = Path("/etc/resolv.conf").read_text()
    behind = Path("/run/systemd/resolve/resolv.conf")
    # systemd-resolved's stub listens on the machine's loopback, which hosts do not share.
    if re.search(r"^nameserver\s+127\.", text, re.M) and behind.is_file():
        return behind.read_text()
    return text
