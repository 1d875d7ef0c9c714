"""What makes a clone of the base one host: its name, keys, address, and its way to the mirror."""

import uuid
from pathlib import Path

from lab import machine, mounts, names, ssh, state
from lab.shell import run

_READY = "ready"


def is_ready(lab: state.Lab, host: str) -> bool:
    """Whether the host's disk was finished (an interrupted `up` may have left half of one)."""
    return (names.disk_dir(lab.name) / host / _READY).exists()


def root(lab: str, host: str) -> Path:
    """Where the host's file system is mounted on the machine."""
    return names.disk_dir(lab) / host / "root"


def prepare(lab: state.Lab, host: str) -> None:
    """Make the host's disk and give it its identity."""
    folder = names.disk_dir(lab.name) / host
    top = mounts.mount_overlay(Path(lab.base), folder)
    for name, text in files(lab, host).items():
        _write(top / name, text)
    certificates = machine.ca_certificates()
    if certificates:
        _write(top / "etc/ssl/certs/ca-certificates.crt", certificates)
    _host_key(lab, host, top)
    authorized = top / "root/.ssh/authorized_keys"
    authorized.parent.mkdir(mode=0o700, exist_ok=True)
    authorized.write_text(ssh.key(lab).with_suffix(".pub").read_text())
    authorized.chmod(0o600)
    (folder / _READY).write_text("")


def files(lab: state.Lab, host: str) -> dict[str, str]:
    """The files of a new host, by their path without the first slash."""
    return {
        "etc/hostname": f"{host}\n",
        "etc/machine-id": f"{uuid.uuid4().hex}\n",
        "etc/hosts": "127.0.0.1 localhost\n::1 localhost\n" + hosts_lines(lab),
        "etc/resolv.conf": machine.resolv_conf(),
        "etc/apt/sources.list": machine.apt_sources(),
        "etc/apt/apt.conf.d/90machine": machine.apt_options(run("apt-config", "dump")),
        "etc/systemd/network/10-host0.network": (
            "[Match]\nName=host0\n\n[Network]\n"
            f"Address={lab.address(host)}/24\nGateway={names.gateway(lab.index)}\n"
            "LinkLocalAddressing=no\nIPv6AcceptRA=no\n"
        ),
        # Ansible and the tests talk to a host on many connections and sessions at once.
        "etc/ssh/sshd_config.d/lab.conf": "UseDNS no\nMaxStartups 100\nMaxSessions 100\n",
    }


def hosts_lines(lab: state.Lab) -> str:
    """The lines of /etc/hosts for all hosts of the lab."""
    return "".join(f"{lab.address(host)} {host}\n" for host in sorted(lab.hosts))


def introduce(lab: state.Lab, host: str) -> None:
    """Add hosts that came to the lab later to a host's /etc/hosts."""
    file = root(lab.name, host) / "etc/hosts"
    text = file.read_text()
    missing = [line for line in hosts_lines(lab).splitlines() if line not in text.splitlines()]
    if missing:
        file.write_text(text + "".join(f"{line}\n" for line in missing))


def _host_key(lab: state.Lab, host: str, top: Path) -> None:
    key = top / "etc/ssh/ssh_host_ed25519_key"
    if not key.exists():
        ssh.make_key(key, host)
    public = " ".join(key.with_suffix(".pub").read_text().split()[:2])
    known = ssh.known_hosts(lab)
    old = known.read_text().splitlines() if known.exists() else []
    names_of = f"{host},{lab.address(host)}"
    kept = [line for line in old if not line.startswith(f"{names_of} ")]
    known.write_text("".join(f"{line}\n" for line in [*kept, f"{names_of} {public}"]))


def _write(file: Path, text: str) -> None:
    if file.is_symlink():
        file.unlink()
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(text)
    file.chmod(0o644)
