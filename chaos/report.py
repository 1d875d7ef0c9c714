"""What people get of a chaos run: its last line, its violations, and a picture."""

from __future__ import annotations

from html import escape

from chaos.checker import Verdict, by_kind
from chaos.model import Fault, Record

WIDTH, LANE, MARGIN = 1200, 14, 150


def last_line(record: Record, verdict: Verdict) -> str:
    """Counts and the verdict, in one line."""
    counts = verdict.counts
    numbers = " ".join(f"{name.replace(' ', '_')}={counts[name]}" for name in sorted(counts))
    kinds = ", ".join(f"{kind} {number}" for kind, number in by_kind(record.faults).items())
    misses = counts["misses"] + sum(1 for one in verdict.violations if one.rule == "excuse")
    result = "PASSED" if verdict.passed else "FAILED"
    return (
        f"chaos seed={record.seed} misses_unexplained={misses} doubles={counts['doubles']} "
        f"violations={len(verdict.violations)} {numbers} faults_of_each_kind=({kinds}) {result}"
    )


def violations(verdict: Verdict) -> list[str]:
    """One line each, and why the run may have been too idle."""
    lines = [
        f"{one.rule}: job {one.job} minute {one.minute}: {one.what}" for one in verdict.violations
    ]
    return [*lines, *(f"too idle: {what}" for what in verdict.idle)]


def timeline(record: Record) -> str:
    """An SVG: faults above, one lane a kind; launches below, one lane a job."""
    span = max(1.0, record.end - record.begin)

    def x(moment: float) -> float:
        part = (min(moment, record.end) - record.begin) / span
        return MARGIN + max(0.0, part) * (WIDTH - MARGIN - 10)

    kinds = sorted({fault.kind for fault in record.faults})
    jobs = [job for job in record.jobs if job.id is not None]
    lanes = {f"fault {kind}": number for number, kind in enumerate(kinds)}
    first = len(kinds) + 1
    lanes |= {f"job {job.id}": first + number for number, job in enumerate(jobs)}
    height = (max(lanes.values(), default=0) + 3) * LANE
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{WIDTH}" height="{height}" '
        'font-family="sans-serif" font-size="9">',
        f'<rect width="{WIDTH}" height="{height}" fill="white"/>',
    ]
    for minute in range(int(record.begin) // 60 * 60 + 60, int(record.end), 60):
        at = x(minute)
        parts.append(f'<line x1="{at:.1f}" x2="{at:.1f}" y1="0" y2="{height}" stroke="#eee"/>')
    for kind in kinds:
        parts.append(_label(kind, lanes[f"fault {kind}"]))
    for fault in record.faults:
        parts.append(_bar(x(fault.begin), x(fault.end), lanes[f"fault {fault.kind}"], fault))
    for job in jobs:
        parts.append(_label(f"{job.id} {job.name}", lanes[f"job {job.id}"]))
    for launch in record.launches:
        lane = lanes.get(f"job {launch.job}")
        if lane is None:
            continue
        width = max(1.5, x(launch.seen) - x(launch.start))
        colour = "#2a7" if launch.end is not None else "#e80"
        parts.append(
            f'<rect x="{x(launch.start):.1f}" y="{lane * LANE + 3}" width="{width:.1f}" '
            f'height="{LANE - 5}" fill="{colour}"><title>{escape(launch.host)} attempt '
            f"{launch.attempt}</title></rect>"
        )
    return "\n".join([*parts, "</svg>", ""])


def _label(text: str, lane: int) -> str:
    return f'<text x="4" y="{lane * LANE + 11}">{escape(text[:28])}</text>'


def _bar(left: float, right: float, lane: int, fault: Fault) -> str:
    return (
        f'<rect x="{left:.1f}" y="{lane * LANE + 2}" width="{max(2.0, right - left):.1f}" '
        f'height="{LANE - 4}" fill="#c33"><title>{escape(" ".join(fault.hosts))}</title></rect>'
    )
