"""From facts to findings: pure. The order is that in which one would look."""

from __future__ import annotations

from collections.abc import Iterator

from dcron_cli.doctor.facts import Certificate, Clock, ConfigFile, Disk, Facts, Trouble, Unit
from dcron_cli.doctor.finding import Finding, ill, ok, warn
from dcron_cli.doctor.judge_services import judge_app, judge_worker_services
from dcron_cli.doctor.judge_worker import judge_worker

OFFSET_ILL, OFFSET_WARN = 2.0, 0.5  # seconds; P7 alarms above the first
FREE_ILL, FREE_WARN = 0.02, 0.10  # of the whole
LEAST_FREE = 200 * 2**20  # bytes
RENEW = 30 * 86_400.0  # seconds before its end that a certificate is made again
MANY_RESTARTS = 5
# The launcher keeps the release that it started with until the next boot: its runs matter more.
_FOLLOWS_RELEASE = ("dcron-worker.service", "dcron-api.service", "dcron-manager.service")
_PLAYBOOK = "ansible-playbook -i INVENTORY site.yml"


def judge(facts: Facts) -> list[Finding]:
    """All findings of a node."""
    found = [*_configs(facts.configs)]
    found += _units(facts.units, facts.release)
    found += _clock(facts.clock)
    found += _disks(facts.disks)
    found += _certificates(facts.certificates, facts.now)
    found += _names(facts.unresolved)
    if facts.worker is not None:
        found += judge_worker(facts.worker, facts)
        found += judge_worker_services(facts.worker, facts)
    if facts.app is not None:
        found += judge_app(facts.app)
    return found


def _configs(files: tuple[ConfigFile, ...]) -> Iterator[Finding]:
    for file in files:
        if file.problem is not None:
            yield ill("config", file.problem, f"mend {file.path}, or {_PLAYBOOK}")
        elif file.mode & 0o007:
            yield ill("config", f"{file.path} is open to everybody", f"chmod o= {file.path}")
        else:
            yield ok("config", f"{file.path} is sound")


def _units(units: tuple[Unit, ...] | Trouble, release: str) -> Iterator[Finding]:
    if isinstance(units, Trouble):
        yield ill("services", f"systemd was not asked: {units.why}")
        return
    well = []
    for unit in units:
        if not unit.needed:
            continue
        finding = _unit(unit, release)
        if finding is None:
            well.append(unit.name.removesuffix(".service"))
        else:
            yield finding
    if well:
        yield ok("services", f"run: {', '.join(well)}")


def _unit(unit: Unit, release: str) -> Finding | None:
    short = unit.name.removesuffix(".service")
    if unit.active == "missing":
        return ill(short, "is not installed", _PLAYBOOK)
    if unit.active != "active":
        remedy = f"systemctl start {short}; journalctl -u {short}"
        if short == "mariadb":
            remedy = "ansible-playbook -i INVENTORY playbooks/recover.yml"
        return ill(short, f"is {unit.active} ({unit.sub})", remedy)
    if unit.process == "T":
        return ill(short, "stands still: somebody stopped it", f"systemctl kill -s CONT {short}")
    if unit.restarts >= MANY_RESTARTS:
        return warn(short, f"runs, after {unit.restarts} restarts", f"journalctl -u {short}")
    if unit.name in _FOLLOWS_RELEASE and unit.release and release and unit.release != release:
        return warn(
            short,
            f"runs release {unit.release}, and {release} is installed",
            f"systemctl restart {short}",
        )
    return None


def _clock(clock: Clock | Trouble) -> Iterator[Finding]:
    remedy = "systemctl restart chrony; chronyc -n sources"
    if isinstance(clock, Trouble):
        yield warn("clock", f"chrony was not asked: {clock.why}", remedy)
    elif abs(clock.offset) > OFFSET_ILL:
        yield ill("clock", f"is off by {clock.offset:+.3f} s: minutes are missed", remedy)
    elif not clock.synchronised:
        yield warn("clock", "is not synchronised", remedy)
    elif abs(clock.offset) > OFFSET_WARN:
        yield warn("clock", f"is off by {clock.offset:+.3f} s", remedy)
    else:
        yield ok("clock", f"is off by {clock.offset:+.6f} s")


def _disks(disks: tuple[Disk, ...] | Trouble) -> Iterator[Finding]:
    if isinstance(disks, Trouble):
        yield ill("disk", f"was not looked at: {disks.why}")
        return
    for disk in disks:
        told = f"{disk.path}: {disk.free_bytes // 2**20} MiB free ({disk.free_share:.0%})"
        remedy = f"du -xh --max-depth=2 {disk.path} | sort -h | tail"
        if disk.free_share < FREE_ILL or disk.free_bytes < LEAST_FREE:
            yield ill("disk", f"{told}: no run starts without space", remedy)
        elif disk.free_files_share < FREE_ILL:
            yield ill("disk", f"{disk.path}: no more files can be made", remedy)
        elif disk.free_share < FREE_WARN or disk.free_files_share < FREE_WARN:
            yield warn("disk", told, remedy)
        else:
            yield ok("disk", told)


def _certificates(certificates: tuple[Certificate, ...] | Trouble, now: float) -> Iterator[Finding]:
    if isinstance(certificates, Trouble):
        yield ill("certificates", f"were not looked at: {certificates.why}")
        return
    ends = []
    for certificate in certificates:
        if certificate.ends is None:
            yield ill("certificates", f"{certificate.path}: {certificate.problem}", _PLAYBOOK)
        elif certificate.ends <= now:
            yield ill("certificates", f"{certificate.path} is over", _PLAYBOOK)
        elif certificate.ends - now < RENEW:
            days = (certificate.ends - now) // 86_400
            yield warn("certificates", f"{certificate.path} ends in {days:.0f} days", _PLAYBOOK)
        else:
            ends.append(certificate.ends)
    if ends:
        days = (min(ends) - now) // 86_400
        yield ok("certificates", f"{len(ends)} are good for {days:.0f} days at least")


def _names(unresolved: tuple[str, ...] | Trouble) -> Iterator[Finding]:
    if isinstance(unresolved, Trouble):
        yield ill("names", f"were not looked up: {unresolved.why}")
    elif unresolved:
        yield ill(
            "names", f"no address is known for {', '.join(unresolved)}", f"/etc/hosts, {_PLAYBOOK}"
        )
    else:
        yield ok("names", "all hosts of the configuration have an address")
