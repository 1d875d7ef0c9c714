"""Running programs, and telling a person what goes on: one line a step, with its seconds."""

import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from lab.errors import LabError


def run(*command: str, text: str | None = None) -> str:
    """Run a program, its input being `text`; return its output, or raise LabError with it."""
    done = subprocess.run(
        command, input=text if text is not None else "", capture_output=True, text=True
    )
    if done.returncode:
        said = (done.stderr.strip() or done.stdout.strip())[-2000:]
        raise LabError(f"{' '.join(command)}: exit code {done.returncode}\n{said}")
    return done.stdout


def succeeds(*command: str) -> bool:
    """Whether a program that only asks a question ends with exit code 0."""
    done = subprocess.run(
        command,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    return done.returncode == 0


def stream(command: Sequence[str], log: Path, wanted: Callable[[str], bool]) -> None:
    """Run a long program with its output in the file `log`; show the lines that are `wanted`."""
    process = subprocess.Popen(
        command,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
    )
    with log.open("w") as file:
        for line in process.stdout or ():
            file.write(line)
            if wanted(line):
                say(f"          {line.rstrip()}")
    if process.wait():
        tail = "\n".join(log.read_text().splitlines()[-15:])
        raise LabError(f"{command[0]}: exit code {process.returncode}; the end of {log}:\n{tail}")


def say(text: str) -> None:
    """Tell the person something; standard output is kept for answers."""
    print(text, file=sys.stderr, flush=True)


@contextmanager
def step(what: str) -> Iterator[None]:
    """Announce a step, and say how long it took."""
    say(f"     ...  {what}")
    begin = time.monotonic()
    yield
    say(f"{time.monotonic() - begin:6.1f} s  {what}")


def wait_until(condition: Callable[[], bool], seconds: float, what: str) -> None:
    """Wait until `condition` holds; raise LabError about `what` when `seconds` have passed."""
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            raise LabError(f"{what}: not within {seconds:.0f} s")
        time.sleep(0.05)
