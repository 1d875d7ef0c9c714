"""How the lab's hosts are reached: one key a lab, host keys known beforehand, shared connections.

The master of a shared connection is started here, with no pipe of anybody's open: one that
ansible or a test starts inside a pipe would keep that pipe open.
"""

import os
import shlex
import socket
import subprocess
from pathlib import Path

from lab import names, state
from lab.errors import LabError
from lab.shell import run, wait_until


def key(lab: state.Lab) -> Path:
    """The private key that opens every host of the lab."""
    return Path(lab.folder) / "ssh_key"


def known_hosts(lab: state.Lab) -> Path:
    """The host keys of the lab."""
    return Path(lab.folder) / "known_hosts"


def ensure_key(lab: state.Lab) -> None:
    """Make the lab's key where it is missing."""
    key(lab).parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    if not key(lab).exists():
        make_key(key(lab), f"lab-{lab.name}")


def make_key(file: Path, comment: str) -> None:
    """Make a key pair without a passphrase."""
    run("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", comment, "-f", str(file))


def options(lab: state.Lab) -> list[str]:
    """The options with which ssh reaches the hosts of the lab, the sharing of connections apart."""
    pairs = {
        "UserKnownHostsFile": known_hosts(lab),
        "GlobalKnownHostsFile": "/dev/null",
        "StrictHostKeyChecking": "yes",
        "IdentitiesOnly": "yes",
        "PreferredAuthentications": "publickey",
        "ConnectTimeout": 10,
        "ServerAliveInterval": 5,
        "ServerAliveCountMax": 3,
        # Short on purpose: a socket's path has at most 107 bytes.
        "ControlPath": names.run_dir(lab.name) / "ssh" / "%h",
        "LogLevel": "ERROR",
    }
    return [word for name, value in pairs.items() for word in ("-o", f"{name}={value}")]


def command(lab: state.Lab, host: str, *extra: str) -> list[str]:
    """The ssh command for a host, without what to run there."""
    return ["ssh", "-i", str(key(lab)), *options(lab), *extra, f"root@{lab.address(host)}"]


def answers(lab: state.Lab, host: str) -> bool:
    """Whether the host's sshd says its name."""
    try:
        with socket.create_connection((lab.address(host), 22), timeout=1) as connection:
            connection.settimeout(2)
            return connection.recv(4) == b"SSH-"
    except OSError:
        return False


def connect(lab: state.Lab, host: str) -> None:
    """Wait until the host answers, then start the master of its shared connection."""
    what = f"{host}: ssh answers (console: {names.run_dir(lab.name) / host}.log)"
    wait_until(lambda: answers(lab, host), 300, what)
    folder = names.run_dir(lab.name) / "ssh"
    folder.mkdir(mode=0o700, exist_ok=True)
    if (folder / lab.address(host)).exists():
        if _control(lab, host, "check"):
            return
        (folder / lab.address(host)).unlink(missing_ok=True)
    started = subprocess.run(
        command(lab, host, "-f", "-N", "-M", "-o", "ControlPersist=yes"),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    if started.returncode:
        raise LabError(f"{host}: ssh answers, but does not let us in with {key(lab)}")


def disconnect(lab: state.Lab, host: str) -> None:
    """End the shared connection to a host, if there is one."""
    file = names.run_dir(lab.name) / "ssh" / lab.address(host)
    if file.exists():
        _control(lab, host, "exit")
        file.unlink(missing_ok=True)


def _control(lab: state.Lab, host: str, verb: str) -> bool:
    done = subprocess.run(
        command(lab, host, "-O", verb), stdin=subprocess.DEVNULL, capture_output=True
    )
    return done.returncode == 0


def execute(lab: state.Lab, host: str, words: list[str]) -> int:
    """Run a command on a host with this process's own input and output; return its exit code.

    One word is a line for the shell there; several are passed on exactly as they are.
    """
    line = words[0] if len(words) == 1 else shlex.join(words)
    extra = ["-o", "ControlMaster=no"] + (["-t"] if os.isatty(0) and os.isatty(1) else [])
    return subprocess.run([*command(lab, host, *extra), "--", line]).returncode
