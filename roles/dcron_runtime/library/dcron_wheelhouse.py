"""Build dcron's wheelhouse: its own wheel and all pinned dependencies, for one kind of host."""

from __future__ import annotations

import fcntl
import hashlib
import os
import shutil
import subprocess
import sys
import tarfile
import tempfile
from pathlib import Path
from typing import Any

from ansible.module_utils.basic import AnsibleModule

DOCUMENTATION = r"""
module: dcron_wheelhouse
short_description: Build dcron's wheelhouse
description:
  - Downloads the wheels that a lock file names, for the hosts' Python and machine, and builds dcron's own.
  - A wheelhouse is kept under the hash of what it is made of; one that is there is not made again.
author: The dcron authors
options:
  source: {type: path, required: true, description: "The checkout."}
  lock: {type: path, required: true, description: "Lock file with hashes."}
  cache: {type: path, required: true, description: "Folder of wheelhouses."}
  python: {type: str, required: true, description: "Python of the hosts, such as 3.11."}
  machine: {type: str, required: true, description: "Machine of the hosts, such as x86_64."}
"""

PACKAGES = ("dcron_common", "dcron_app", "dcron_worker", "dcron_cli")
PROJECT = ("setup.py", "pyproject.toml", "README.md", "LICENSE")
# glibc of Debian 12 is 2.36; a wheel for an older one runs there.
GLIBC = (17, 28, 31, 34, 35, 36)


class BuildError(Exception):
    """The wheelhouse could not be built; the text says why."""


def sources(source: Path) -> list[Path]:
    """The files that dcron's wheel is made of, sorted."""
    found = [source / name for name in PROJECT if (source / name).is_file()]
    for package in PACKAGES:
        found += [
            path
            for path in (source / package).rglob("*")
            if path.is_file() and "__pycache__" not in path.parts
        ]
    return sorted(found)


def release_of(source: Path, lock: Path, python: str, machine: str) -> str:
    """A name for these sources, dependencies and kind of host."""
    digest = hashlib.sha256(f"1 {python} {machine}\n".encode())
    for path in [*sources(source), lock]:
        content = hashlib.sha256(path.read_bytes()).hexdigest()
        name = path.relative_to(source) if path.is_relative_to(source) else path.name
        digest.update(f"{content} {name}\n".encode())
    return digest.hexdigest()[:16]


def pip(*arguments: str) -> None:
    """Run pip of the control machine, with its own settings and environment."""
    done = subprocess.run(
        [sys.executable, "-m", "pip", "--quiet", "--no-input", *arguments],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        raise BuildError(f"pip {arguments[0]}: {done.stderr.strip() or done.stdout.strip()}")


def download(lock: Path, folder: Path, python: str, machine: str) -> None:
    """The wheels of the lock file; a dependency without one for that kind of host is an error."""
    version = python.replace(".", "")
    platforms = [f"manylinux_2_{minor}_{machine}" for minor in GLIBC] + [f"manylinux2014_{machine}"]
    abis = (f"cp{version}", "abi3", "none")
    pip(
        "download",
        "--dest",
        str(folder),
        "--no-deps",
        "--require-hashes",
        "--only-binary=:all:",
        "--implementation=cp",
        f"--python-version={python}",
        *(f"--platform={platform}" for platform in platforms),
        *(f"--abi={abi}" for abi in abis),
        "--requirement",
        str(lock),
    )


def build_own(source: Path, folder: Path) -> None:
    """dcron's wheel, built from a copy: a build leaves folders behind where it works."""
    with tempfile.TemporaryDirectory(prefix="dcron-build-") as name:
        copy = Path(name)
        for path in sources(source):
            target = copy / path.relative_to(source)
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(path, target)
        pip("wheel", "--no-deps", "--wheel-dir", str(folder), str(copy))
    (wheel,) = folder.glob("dcron-*.whl")
    digest = hashlib.sha256(wheel.read_bytes()).hexdigest()
    version = wheel.name.split("-")[1]
    (folder / "dcron.txt").write_text(f"dcron=={version} --hash=sha256:{digest}\n")


def build(options: dict[str, Any]) -> dict[str, Any]:
    """The release, its archive, and whether it was made now."""
    source, lock, cache = (Path(options[key]) for key in ("source", "lock", "cache"))
    if not lock.is_file():
        raise BuildError(f"{lock} is missing: it pins what is installed")
    cache.mkdir(parents=True, exist_ok=True)
    release = release_of(source, lock, options["python"], options["machine"])
    archive = cache / f"{release}.tar"
    # Several hosts ask at the same time.
    with (cache / "lock").open("w") as guard:
        fcntl.flock(guard, fcntl.LOCK_EX)
        made = not archive.exists()
        if made:
            make_archive(source, lock, archive, options)
            prune(cache, keep=4)
        os.utime(archive)
    return {"changed": made, "release": release, "archive": str(archive)}


def make_archive(source: Path, lock: Path, archive: Path, options: dict[str, Any]) -> None:
    """Appears by a rename: an archive that is there is whole."""
    with tempfile.TemporaryDirectory(prefix="wheelhouse-", dir=archive.parent) as name:
        folder = Path(name) / "wheelhouse"
        folder.mkdir()
        download(lock, folder, options["python"], options["machine"])
        build_own(source, folder)
        shutil.copyfile(lock, folder / "requirements.txt")
        part = Path(name) / "part.tar"
        with tarfile.open(part, "w") as tar:
            tar.add(folder, arcname="wheelhouse")
        part.replace(archive)


def prune(cache: Path, keep: int) -> None:
    """Forget all but the archives used last."""
    archives = sorted(cache.glob("*.tar"), key=lambda path: path.stat().st_mtime, reverse=True)
    for old in archives[keep:]:
        old.unlink()


def main() -> None:
    text = {"type": "str", "required": True}
    path = {"type": "path", "required": True}
    module = AnsibleModule(
        argument_spec={"source": path, "lock": path, "cache": path, "python": text, "machine": text}
    )
    try:
        module.exit_json(**build(module.params))
    except (BuildError, OSError) as error:
        module.fail_json(msg=f"The wheelhouse cannot be built: {error}")


if __name__ == "__main__":
    main()
