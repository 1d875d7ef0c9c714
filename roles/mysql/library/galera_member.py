#!/usr/bin/python
"""Look at a member of a Galera cluster, start or restart it, or form the cluster from it.

`systemctl start` proves little: this module waits until the server itself says that it is ready
and, with Galera, Primary and Synced. It never bootstraps but in state `bootstrapped`, and parts
with the member's data only in state `rebuilt`: the files are moved aside, and the member gets a
whole copy from the others.

A member that is not ready in time is not yet one that does not start: a copy of all data takes as
long as it takes. The failure says which it is. `lame`: its unit failed, or systemd started it again
and again. `joining`: it goes on. Neither: it runs, and does not find the others or does not answer.
"""

from __future__ import annotations

import re
import shutil
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
    choices: [probed, halted, started, restarted, bootstrapped, rebuilt]
  timeout: {description: Seconds to wait for the server to be ready, default: 60, type: int}
"""

DATA = Path("/var/lib/mysql")
NEVER = "00000000-0000-0000-0000-000000000000"
SYSTEM = {"mysql", "sys", "performance_schema", "information_schema", "lost+found"}
ASK = (
    "SHOW GLOBAL STATUS WHERE Variable_name IN"
    " ('wsrep_ready','wsrep_cluster_status','wsrep_local_state_comment',"
    "'wsrep_cluster_state_uuid','wsrep_cluster_size','wsrep_last_committed');"
    "SHOW GLOBAL VARIABLES WHERE Variable_name = 'wsrep_on'"
)


STATES = ["probed", "halted", "started", "restarted", "bootstrapped", "rebuilt"]
GIVE_UP = 3  # restarts by systemd while we wait: it does not start at all
PRIMARY = "Primary"


def unit(module: AnsibleModule, name: str) -> str:
    return str(module.run_command(["systemctl", "show", "-P", name, "mariadb.service"])[1]).strip()


def unit_state(module: AnsibleModule) -> str:
    return unit(module, "ActiveState")


def restarts(module: AnsibleModule) -> int:
    return int(unit(module, "NRestarts") or 0)


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
        and status.get("wsrep_cluster_status") == PRIMARY
        and status.get("wsrep_local_state_comment") == "Synced"
    )


def is_joining(state: str, status: dict[str, str]) -> bool:
    """Whether it may still become ready by itself: it starts, or is one of those that serve."""
    return state == "activating" or status.get("wsrep_cluster_status") == PRIMARY


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


def databases() -> list[str]:
    names = (path.name for path in DATA.glob("*/"))
    return sorted(name for name in names if name not in SYSTEM and name[0] not in ".#")


def probe(module: AnsibleModule, timeout: int) -> dict[str, Any]:
    """One look; a member without a majority, or starting, gets `timeout` seconds to find one."""
    deadline = time.monotonic() + timeout
    state, status = unit_state(module), ask(module)
    while time.monotonic() < deadline and (
        state == "activating"
        or (status.get("wsrep_on") == "ON" and status.get("wsrep_cluster_status") != PRIMARY)
    ):
        time.sleep(1)  # it joins or gives up; the deadline ends this loop
        state, status = unit_state(module), ask(module)
    galera_runs = status.get("wsrep_on") == "ON"
    component = galera_runs and status.get("wsrep_cluster_status") == PRIMARY
    primary = component and status.get("wsrep_ready") == "ON"
    stopped = state in ("inactive", "failed")
    position = (
        saved_position(module)
        if stopped
        else {
            "uuid": status.get("wsrep_cluster_state_uuid", NEVER),
            "seqno": -1,
            "safe_to_bootstrap": False,
        }
    )
    return {
        "unit": state,
        "runs": bool(status),
        "galera_runs": galera_runs,
        "primary": primary,
        "joining": component and not primary,
        "stuck": (galera_runs and not component) or (state == "active" and not status),
        "waiting": not stopped and state != "active" and not status,
        "size": int(status.get("wsrep_cluster_size", 0)),
        "committed": int(status.get("wsrep_last_committed", -1)),
        "joined": position["uuid"] not in ("", NEVER),
        "databases": databases(),
        **position,
    }


def wait_ready(module: AnsibleModule, timeout: int) -> None:
    begin, before = time.monotonic(), restarts(module)
    while True:
        state, status = unit_state(module), ask(module)
        if is_ready(status):
            return
        lame = state == "failed" or restarts(module) - before >= GIVE_UP
        if lame or time.monotonic() - begin >= timeout:
            break
        time.sleep(0.3)  # a join takes seconds; the deadline ends this loop
    log = module.run_command(
        ["journalctl", "-u", "mariadb", "-n", "20", "--no-pager", "-o", "cat"]
    )[1]
    joining = not lame and is_joining(state, status)
    module.fail_json(
        msg=f"MariaDB {'still joins' if joining else 'is not ready'} after "
        f"{time.monotonic() - begin:.0f} s; unit {state}, status {status}. "
        "Look at: journalctl -u mariadb, here and on the member that gives the data.",
        lame=lame,
        joining=joining,
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


def rebuild(module: AnsibleModule) -> Path:
    """Move the data aside, and start with none; where the old files are now."""
    halt(module)
    kept = DATA.with_name(f"{DATA.name}.kept-{time.strftime('%Y%m%dT%H%M%S')}")
    needed = sum(path.lstat().st_size for path in DATA.rglob("*"))
    free = shutil.disk_usage(DATA.parent).free
    if needed > free:
        module.fail_json(
            msg=f"{kept} would need {needed} bytes, {free} are free. "
            f"Move what is in {DATA} to another disk by hand and run this again."
        )
    kept.mkdir(mode=0o700)
    # mv, since the folder may be a file system of its own: it copies then, owners included.
    if files := [str(path) for path in DATA.iterdir()]:
        module.run_command(["mv", "-t", str(kept), "--", *files], check_rc=True)
    module.run_command(["systemctl", "start", "--no-block", "mariadb"], check_rc=True)
    return kept


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "state": {"type": "str", "required": True, "choices": STATES},
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
    found: dict[str, Any] = {}
    if state == "halted":
        halt(module)
        module.exit_json(changed=True)
    if state == "bootstrapped":
        bootstrap(module)
    elif state == "rebuilt":
        found["kept"] = str(rebuild(module))
    elif state == "restarted":
        # Not `restart`: that would wait for the start, however long it takes. Nor does it matter
        # how the stop went: the server's own answer decides.
        module.run_command(["systemctl", "stop", "mariadb"])
        module.run_command(["systemctl", "start", "--no-block", "mariadb"], check_rc=True)
    else:
        changed = unit_state(module) != "active"
        module.run_command(["systemctl", "start", "--no-block", "mariadb"], check_rc=True)
    wait_ready(module, timeout)
    module.exit_json(changed=changed, **found)


if __name__ == "__main__":
    main()
