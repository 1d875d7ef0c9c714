"""The machine's mounts, as far as they are the lab's own."""

import re
from pathlib import Path

from lab.shell import run


def below(folder: Path, table: str) -> list[str]:
    """The mount points in `folder`, innermost first; `table` is the text of /proc/self/mounts."""
    points = [_unescape(line.split(" ")[1]) for line in table.splitlines() if line]
    inside = [p for p in points if p == str(folder) or p.startswith(f"{folder}/")]
    return list(reversed(inside))


def unmount_below(folder: Path) -> None:
    """Unmount everything in `folder`; a folder must never be removed with a mount in it."""
    for point in below(folder, Path("/proc/self/mounts").read_text()):
        run("umount", point)


def mount_overlay(base: Path, disk: Path) -> Path:
    """Mount a host's own disk over the shared base; return the root of the result.

    A root that is mounted already is left as it is.
    """
    root, upper, work = disk / "root", disk / "upper", disk / "work"
    if below(root, Path("/proc/self/mounts").read_text()):
        return root
    for folder in (root, upper, work):
        folder.mkdir(parents=True, exist_ok=True)
    # A fresh upper folder would make / of the host as strict as this process's umask.
    upper.chmod(0o755)
    options = f"lowerdir={base / 'root'},upperdir={upper},workdir={work}"
    run("mount", "-t", "overlay", "-o", options, "dcron-lab", str(root))
    return root


def _unescape(text: str) -> str:
    return re.sub(r"\\(\d{3})", lambda match: chr(int(match[1], 8)), text)
