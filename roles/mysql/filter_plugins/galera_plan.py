"""Who may form the Galera cluster: a pure function of what was seen on the members.

state of the members                         | action
---------------------------------------------|------------------------------------------------------
one member only                              | single: no Galera, start it
some member runs in a Primary component      | join: nobody bootstraps, stopped members start
a member of the group was not looked at      | refuse: it might hold newer data, or run
databases that are not ours                  | refuse: this server belongs to somebody else
some wait in vain for others to be Primary   | halt: stop them, read their positions, decide again
some run, none is Primary (two halves)       | refuse; halt where recovery was asked for
none runs, nobody ever was in a cluster      | bootstrap the one with our database, else the first
none runs, exactly one says it left last     | bootstrap it
none runs, all with data know their position | bootstrap the highest position of one history
anything else                                | refuse
"""

from __future__ import annotations

from typing import Any

Member = dict[str, Any]

_BY_HAND = (
    " Look at each member (journalctl -u mariadb; galera_recovery prints its position), set "
    "safe_to_bootstrap: 1 in /var/lib/mysql/grastate.dat of the one whose data you want, 0 in all "
    "others, and run this again."
)
_RECOVER = (
    " Once you know that no client writes to any of them: ansible-playbook -i INVENTORY "
    "playbooks/recover.yml stops all members and forms the cluster again from the newest."
)


def galera_plan(
    seen: dict[str, Member], members: list[str], database: str, recover: bool = False
) -> dict[str, str]:
    """{"action": single | join | bootstrap | halt | refuse, "node": host or "", "reason": text}.

    `seen` maps hosts to answers of module galera_member; `members` are all hosts of the group.
    `recover` allows to halt members that run.
    """
    for host, member in seen.items():
        foreign = sorted(set(member["databases"]) - {database})
        if foreign and not member["joined"] and not member["primary"]:
            return _refuse(
                f"{host} already holds databases that are not dcron's ({', '.join(foreign)}). "
                "dcron's MariaDB needs a host of its own: move them away, or use another host."
            )
    if len(members) == 1:
        return _answer("single", members[0], "one member, no Galera")
    running = sorted(host for host, member in seen.items() if member["primary"])
    if running:
        return _answer("join", "", f"{', '.join(running)} runs in a Primary component")
    unseen = sorted(set(members) - set(seen))
    if unseen:
        return _refuse(
            f"The cluster does not run, and {', '.join(unseen)} was not looked at: it might hold "
            "newer data. Run without --limit, with all members reachable."
        )
    return _form(seen, members, database, recover)


def _form(
    seen: dict[str, Member], members: list[str], database: str, recover: bool
) -> dict[str, str]:
    """All members were seen, none is Primary."""
    stuck = sorted(host for host, member in seen.items() if member["stuck"])
    if stuck and not recover:
        return _refuse(
            f"{', '.join(stuck)} runs without a majority and did not find the others in time."
            + _RECOVER
        )
    waiting = sorted(host for host, member in seen.items() if member["waiting"])
    if stuck or waiting:
        return _answer(
            "halt", "", f"{', '.join(stuck + waiting)} cannot form a cluster without help"
        )
    joined = [host for host in members if seen[host]["joined"]]
    if not joined:
        ours = [host for host in members if database in seen[host]["databases"]]
        if len(ours) > 1:
            return _refuse(
                f"{', '.join(ours)} each hold a database {database} of their own." + _BY_HAND
            )
        return _answer("bootstrap", (ours or members)[0], "a fresh cluster")
    last = [host for host in joined if seen[host]["safe_to_bootstrap"]]
    if len(last) == 1:
        return _answer("bootstrap", last[0], "it left the cluster last")
    histories = {seen[host]["uuid"] for host in joined}
    if last or len(histories) > 1 or any(seen[host]["seqno"] < 0 for host in joined):
        positions = ", ".join(
            f"{host} {seen[host]['uuid']}:{seen[host]['seqno']}" for host in joined
        )
        return _refuse(
            f"No member runs, and their positions do not tell which is the newest: {positions}."
            + _BY_HAND
        )
    newest = max(joined, key=lambda host: int(seen[host]["seqno"]))
    return _answer("bootstrap", newest, f"highest position, {seen[newest]['seqno']}")


def _answer(action: str, node: str, reason: str) -> dict[str, str]:
    return {"action": action, "node": node, "reason": reason}


def _refuse(reason: str) -> dict[str, str]:
    return _answer("refuse", "", reason)


class FilterModule:
    """What Ansible loads."""

    def filters(self) -> dict[str, Any]:
        return {"galera_plan": galera_plan}
