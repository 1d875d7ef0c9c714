"""The command `dcron doctor`."""

from __future__ import annotations

import json
import logging
import os
import sys
from pathlib import Path

from dcron_cli.doctor.collect import collect
from dcron_cli.doctor.facts import Facts
from dcron_cli.doctor.finding import Finding, is_well
from dcron_cli.doctor.judge import judge

WELL, ILL, NO_NODE, NOT_ALLOWED = 0, 1, 2, 3


def run(folder: Path, *, as_json: bool) -> int:
    """Look, judge, tell. 0: nothing is ill; 1: something is; 2: no node; 3: not root."""
    if os.geteuid() != 0:
        print("dcron doctor: run it as root: sudo dcron doctor", file=sys.stderr)
        return NOT_ALLOWED
    # What the parts log of their own troubles is in the findings.
    logging.getLogger().addHandler(logging.NullHandler())
    facts = collect(folder)
    if facts is None:
        print(
            f"dcron doctor: {folder} has no worker.toml and no app.toml, so this is no node of a "
            "cluster. An embedded dcron (dcron standalone) answers GET /health/ready itself.",
            file=sys.stderr,
        )
        return NO_NODE
    findings = judge(facts)
    tell(facts, findings, as_json=as_json)
    return WELL if is_well(findings) else ILL


def tell(facts: Facts, findings: list[Finding], *, as_json: bool) -> None:
    """Print the findings."""
    if as_json:
        told = {
            "host": facts.host,
            "version": facts.version,
            "well": is_well(findings),
            "findings": [finding.json() for finding in findings],
        }
        print(json.dumps(told, indent=2, ensure_ascii=False))
        return
    for finding in findings:
        print(finding.line())
