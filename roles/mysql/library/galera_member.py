#!/usr/bin/python
"""Look at a member of a Galera cluster, start or restart it, or form the cluster from it.

`systemctl start` proves little: this module waits until the server itself says that it is ready
and, with Galera, Primary and Synced. It never bootstraps but in state `bootstrapped`.
"""

from __future__ import annotations

import re
import time
from pathlib import Path
from typing import Any

from ansible.module_utils.basic import AnsibleModule

DOCUMENTATION = """
module: galera_member
short_description: Look at, start, restart or bootstrap a member of a Galera cluster
options:
  state:
    description: What to do.
    required: true
    type: str
    choices: [probed, halted, started, restarted, bootstrapped]
  timeout: {description: Seconds to wait for the server to be ready, default: 60, type: int}
"""

DATA = Path("/var/lib/mysql")
NEVER = "00000000-0000-0000-0000-000000000000"
SYSTEM = {"mysql", "sys", "performance_schema", "information_schema", "lost+found"}
ASK = (
    "SHOW GLOBAL STATUS WHERE Variable_name IN"
    " ('wsrep_ready','wsrep_cluster_status','wsrep_local_state_comment',"
    "'wsrep_cluster_state_uuid');"
    "SHOW GLOBAL VARIABLES WHERE Variable_name = 'wsrep_on'"
)


def unit_state(module: AnsibleModule) -> str:
    return str(
        module.run_command(["systemctl", "show", "-P", "ActiveState", "mariadb.service"])[1]
    ).strip()


def ask(module: AnsibleModule) -> dict[str, str]:
    """Status of the running server by name; {} where none answers within 5 s."""
    command = ["timeout", "5", "mariadb", "--connect-timeout=3", "-NBe", ASK]
    code, out, _ = module.run_command(command) if module.get_bin_path("mariadb") else (1, "", "")
    return (
        dict(line.split("\t", 1) for line in out.splitlines() if "\t" in line) if code == 0 else {}
    )


def is_ready(status: dict[str, str]) -> bool:
    if status.get("wsrep_on") != "ON":
        return bool(status)
    return (
        status.get("wsrep_ready") == "ON"
        and status.get("wsrep_cluster_status") == "Primary"
        and status.get("wsrep_local_state_comment") == "Synced"
    )


def saved_position(module: AnsibleModule) -> dict[str, Any]:
    """What the stopped member knows of its last place in the history."""
    try:
        text = (DATA / "grastate.dat").read_text()
    except FileNotFoundError:
        return {"uuid": NEVER, "seqno": -1, "safe_to_bootstrap": False}
    pairs = dict(re.findall(r"^(\w+):\s*(\S+)", text, re.MULTILINE))
    uuid, seqno = pairs.get("uuid", NEVER), int(pairs.get("seqno", -1))
    if seqno < 0 and uuid != NEVER:
        # After a crash only InnoDB knows the position.
        out = module.run_command(["runuser", "-u", "mysql", "--", "galera_recovery"])[1]
        if found := re.search(r"wsrep_start_position=([0-9a-f-]{36}):(-?\d+)", out):
            uuid, seqno = found.group(1), int(found.group(2))
    return {
        "uuid": uuid,
        "seqno": seqno,
        "safe_to_bootstrap": pairs.get("safe_to_bootstrap") == "1",
    }


def probe(module: AnsibleModule, timeout: int) -> dict[str, Any]:
    """One look; a member without a majority, or starting, gets `timeout` seconds to find one."""
    deadline = time.monotonic() + timeout
    unit, status = unit_state(module), ask(module)
    while time.monotonic() < deadline and (
        unit == "activating"
        or (status.get("wsrep_on") == "ON" and status.get("wsrep_cluster_status") != "Primary")
    ):
        time.sleep(1)  # it joins or gives up; the deadline ends this loop
        unit, status = unit_state(module), ask(module)
    galera_runs = status.get("wsrep_on") == "ON"
    primary = status.get("wsrep_cluster_status") == "Primary" and status.get("wsrep_ready") == "ON"
    stopped = unit in ("inactive", "failed")
    position = (
        saved_position(module)
        if stopped
        else {
            "uuid": status.get("wsrep_cluster_state_uuid", NEVER),
            "seqno": -1,
            "safe_to_bootstrap": False,
        }
    )
    databases = sorted(
        path.name
        for path in DATA.glob("*/")
        if path.name not in SYSTEM and path.name[0] not in ".#"
    )
    return {
        "unit": unit,
        "runs": bool(status),
        "galera_runs": galera_runs,
        "primary": primary,
        "stuck": (galera_runs and not primary) or (unit == "active" and not status),
        "waiting": not stopped and unit != "active" and not status,
        "joined": position["uuid"] not in ("", NEVER),
        "databases": databases,
        **position,
    }


def wait_ready(module: AnsibleModule, timeout: int) -> None:
    deadline = time.monotonic() + timeout
    status: dict[str, str] = {}
    while time.monotonic() < deadline:
        status = ask(module)
        if is_ready(status):
            return
        if unit_state(module) == "failed":
            break
        time.sleep(0.3)  # a join takes seconds; the deadline ends this loop
    log = module.run_command(
        ["journalctl", "-u", "mariadb", "-n", "20", "--no-pager", "-o", "cat"]
    )[1]
    module.fail_json(
        msg=f"MariaDB is not ready after {timeout} s; unit {unit_state(module)}, status {status}. "
        "Look at: journalctl -u mariadb, here and on the member that gives the data.",
        log=log.splitlines(),
    )


def halt(module: AnsibleModule) -> None:
    """Stop a member without a majority: it does not stop when asked; InnoDB survives a kill."""
    # Fails where nothing runs, which is as well.
    module.run_command(["systemctl", "kill", "-s", "KILL", "mariadb"])
    module.run_command(["systemctl", "stop", "mariadb"], check_rc=True)
    module.run_command(["systemctl", "reset-failed", "mariadb"], check_rc=True)
    (DATA / "gvwstate.dat").unlink(missing_ok=True)


def bootstrap(module: AnsibleModule) -> None:
    module.run_command(["systemctl", "stop", "mariadb"], check_rc=True)
    # A saved view of the old component would make the new one wait for its members.
    (DATA / "gvwstate.dat").unlink(missing_ok=True)
    state = DATA / "grastate.dat"
    if state.exists():
        text = state.read_text()
        state.write_text(
            re.sub(r"^safe_to_bootstrap:.*$", "safe_to_bootstrap: 1", text, flags=re.MULTILINE)
        )
    module.run_command(["galera_new_cluster"], check_rc=True)


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "state": {
                "type": "str",
                "required": True,
                "choices": ["probed", "halted", "started", "restarted", "bootstrapped"],
            },
            "timeout": {"type": "int", "default": 60},
        },
        supports_check_mode=True,
    )
    state, timeout = module.params["state"], module.params["timeout"]
    if state == "probed":
        module.exit_json(changed=False, **probe(module, timeout))
    if module.check_mode:
        module.exit_json(changed=state != "started" or unit_state(module) != "active")
    changed = True
    if state == "halted":
        halt(module)
        module.exit_json(changed=True)
    if state == "bootstrapped":
        bootstrap(module)
    elif state == "restarted":
        # Its exit code does not matter: systemd tries again, the server's own answer decides.
        module.run_command(["systemctl", "restart", "mariadb"])
    else:
        changed = unit_state(module) != "active"
        module.run_command(["systemctl", "start", "--no-block", "mariadb"], check_rc=True)
    wait_ready(module, timeout)
    module.exit_json(changed=changed)


if __name__ == "__main__":
    main()
