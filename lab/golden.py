"""The system that hosts share, read-only, under their own disks: made once, kept, reused.

Two kinds: `bare` is a minimal Debian with sshd, as a new production machine; `golden` has the
packages of the cluster installed besides. A base stands under the hash of what it is made of and
appears by a rename, so a base that is there is whole.

A build that is interrupted, be it by SIGKILL, ends with all its processes and mounts. Its files
stay until the next `up` or `down`; who holds the lock `base` knows that no builder lives.
"""

import hashlib
import json
import os
import platform
import shutil
from pathlib import Path

from lab import machine, mounts, names, state
from lab.shell import run, say, step, stream

BARE = (
    "systemd",
    "systemd-sysv",
    "dbus",
    "openssh-server",
    "python3-minimal",
    "python3-apt",
    "iproute2",
    "sudo",
    "ca-certificates",
)
# What a Debian host runs by itself; whatever else a package enabled is switched off again.
KEPT_UNITS = (
    "cron.service",
    "getty@.service",
    "remote-fs.target",
    "ssh.service",
    "systemd-networkd.service",
    "systemd-networkd.socket",
    "systemd-pstore.service",
    "systemd-timesyncd.service",
)
MASKED_UNITS = (
    "apt-daily.timer",
    "apt-daily-upgrade.timer",
    "systemd-networkd-wait-online.service",
)
_KEEP_BASES = 4
_UNFINISHED = ".building-*"

# In front of a command: it ends with the process that started it, and with it every process and
# mount that it made, since these are in namespaces of its own. The first process there is a shell
# that waits for the orphans of the others.
CONTAINED = (
    *("setpriv", "--pdeathsig", "KILL"),
    *("unshare", "--mount", "--pid", "--fork", "--kill-child=KILL", "--mount-proc"),
    *("/bin/sh", "-c", '"$@"; exit $?', "build"),
)


def packages(kind: str) -> list[str]:
    """The packages of a base of this kind."""
    if kind == "bare":
        return list(BARE)
    lines = (Path(__file__).parent / "packages.txt").read_text().splitlines()
    return [*BARE, *(line for line in lines if line and not line.startswith("#"))]


def digest(kind: str, recipe: str) -> str:
    """The name of a base: a hash over its kind, packages, suite, machine and recipe."""
    made_of = [kind, machine.SUITE, platform.machine(), recipe, *packages(kind)]
    return hashlib.sha256("\0".join(made_of).encode()).hexdigest()[:16]


def path(kind: str) -> Path:
    """Where the base of this kind stands, or will stand."""
    return names.CACHE / digest(kind, Path(__file__).read_text())


def ensure(kind: str) -> Path:
    """Return the base of this kind, made first where it is not there yet."""
    base = path(kind)
    if not base.is_dir():
        with state.lock("base"):
            if not base.is_dir():
                _build(kind, base)
    os.utime(base)
    return base


def _build(kind: str, base: Path) -> None:
    names.CACHE.mkdir(parents=True, exist_ok=True)
    _prune()
    building = names.CACHE / f".building-{base.name}"
    root = building / "root"
    building.mkdir()
    sources = building / "sources.list"
    sources.write_text(machine.apt_sources())
    log = names.CACHE / f"{kind}.log"
    command = [
        *CONTAINED,
        "mmdebstrap",
        "--variant=apt",
        "--dpkgopt=force-unsafe-io",
        f"--include={','.join(packages(kind))}",
        machine.SUITE,
        str(root),
        str(sources),
    ]
    with step(f"build the {kind} base {base} (log: {log})"):
        stream(command, log, lambda line: line.startswith(("I: ", "E: ")))
        _settle(root)
        about = {"kind": kind, "packages": packages(kind)}
        (building / "about.json").write_text(json.dumps(about, indent=1) + "\n")
        building.rename(base)


def clean() -> None:
    """Remove what interrupted builds left; a build that goes on is left alone."""
    if not any(names.CACHE.glob(_UNFINISHED)):
        return
    with state.lock("base", wait=False) as alone:
        if alone:
            _remove_unfinished()


def _remove_unfinished() -> None:
    """Only for the holder of the lock `base`."""
    for leftover in names.CACHE.glob(_UNFINISHED):
        say(f"          remove what an interrupted build left: {leftover}")
        mounts.unmount_below(leftover)
        shutil.rmtree(leftover)


def _settle(root: Path) -> None:
    """Make a fresh base one that starts nothing of its own accord and has no identity."""
    for key in (root / "etc/ssh").glob("ssh_host_*"):
        key.unlink()
    # Each host gets the machine's apt sources when it is made (see disk).
    for listed_at_build in (root / "etc/apt/sources.list.d").glob("*"):
        listed_at_build.unlink()
    (root / "etc/machine-id").write_text("")
    (root / "etc/hostname").unlink(missing_ok=True)
    run("chroot", str(root), "systemctl", "mask", "--quiet", *MASKED_UNITS)
    run("chroot", str(root), "systemctl", "enable", "--quiet", "systemd-networkd.service")
    listed = run(
        "chroot",
        str(root),
        *("systemctl", "list-unit-files", "--state=enabled", "--no-legend", "--plain"),
    )
    for unit in units_to_disable(listed):
        run("chroot", str(root), "systemctl", "disable", "--quiet", unit)


def units_to_disable(listed: str) -> list[str]:
    """Which of the enabled units (`systemctl list-unit-files`) a base must not start."""
    units = [line.split()[0] for line in listed.splitlines() if line.strip()]
    kinds = (".service", ".socket", ".timer", ".path")
    keep = (*KEPT_UNITS, "e2scrub_all.timer", "e2scrub_reap.service", "fstrim.timer")
    return [unit for unit in units if unit.endswith(kinds) and unit not in keep]


def _prune() -> None:
    """Remove interrupted builds, and the bases that were not used for longest."""
    _remove_unfinished()
    used = {lab.base for lab in state.every().values()}
    bases = sorted(names.CACHE.glob("[0-9a-f]*"), key=lambda each: each.stat().st_mtime)
    bases = [base for base in bases if base.is_dir()]
    for base in bases[: max(0, len(bases) - _KEEP_BASES + 1)]:
        if str(base) not in used:
            say(f"          remove the old base {base}")
            mounts.unmount_below(base)
            shutil.rmtree(base)
