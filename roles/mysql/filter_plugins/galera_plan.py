"""Who may form the Galera cluster: a pure function of what was seen on the members.

state of the members                         | action
---------------------------------------------|------------------------------------------------------
one member only                              | single: no Galera, start it
some member is in a Primary component        | join: nobody bootstraps, stopped members start
a member of the group was not looked at      | refuse: it might hold newer data, or run
databases that are not ours                  | refuse: this server belongs to somebody else
some wait in vain for others to be Primary   | halt: stop them, read their positions, decide again
some run, none is Primary (two halves)       | refuse; halt where recovery was asked for
none runs, nobody ever was in a cluster      | bootstrap the one with our database, else the first
none runs, their histories differ            | refuse
none runs, exactly one says it left last     | bootstrap it, unless another one got further
none runs, all with data know their position | bootstrap the highest position
anything else                                | refuse

A member whose data the operator gives up (`without`) has no say in any of it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

Member = dict[str, Any]

_RECOVER = (
    " Once you know that no client writes to any of them: ansible-playbook -i INVENTORY "
    "playbooks/recover.yml stops all members and forms the cluster again from the newest."
)
_WITHOUT = (
    " Mend it, or say whose data is given up: ansible-playbook -i INVENTORY playbooks/recover.yml "
    "-e recover_without={hosts}. What only such a member holds is then lost to the cluster; its "
    "files are kept on its host."
)


def galera_plan(
    seen: dict[str, Member],
    members: list[str],
    database: str,
    recover: bool = False,
    without: Sequence[str] = (),
) -> dict[str, str]:
    """{"action": single | join | bootstrap | halt | refuse, "node": host or "", "reason": text}.

    `seen` maps hosts to answers of module galera_member; `members` are all hosts of the group.
    `recover` allows to halt members that run; `without` names those whose data is given up.
    """
    for host, member in seen.items():
        foreign = sorted(set(member["databases"]) - {database})
        if foreign and not member["joined"] and not member["primary"]:
            return _refuse(
                f"{host} already holds databases that are not dcron's ({', '.join(foreign)}). "
                "dcron's MariaDB needs a host of its own: move them away, or use another host."
            )
    if problem := _wrongly_given_up(seen, members, without):
        return _refuse(problem)
    if len(members) == 1 and members[0] in seen:
        return _answer("single", members[0], "one member, no Galera")
    running = sorted(
        host for host, member in seen.items() if member["primary"] or member["joining"]
    )
    if running:
        return _answer("join", "", f"{', '.join(running)} runs in a Primary component")
    asked = [host for host in members if host not in without]
    unseen = sorted(set(asked) - set(seen))
    if unseen:
        return _refuse(
            f"The cluster does not run, and {', '.join(unseen)} was not looked at: it might hold "
            "newer data. Run without --limit, with all members reachable."
            + (_WITHOUT.format(hosts=",".join(unseen)) if recover else "")
        )
    return _form({host: seen[host] for host in asked}, asked, database, recover)


def galera_losable(seen: dict[str, Member], without: Sequence[str] = ()) -> list[str]:
    """Hosts that hold nothing that the running component lacks: they may be made anew from it.

    Those are the members that are given up, and those of the same history that are not ahead of
    it. A position that could not be read (-1) proves nothing.
    """
    primary = [member for member in seen.values() if member["primary"]]
    if not primary:
        return []
    uuid = primary[0]["uuid"]
    committed = max(int(member["committed"]) for member in primary)
    return sorted(
        host
        for host, member in seen.items()
        if not member["primary"]
        and (
            host in without
            or (member["uuid"] == uuid and 0 <= int(member["seqno"]) <= committed)
            or not (member["joined"] or member["databases"])
        )
    )


def _wrongly_given_up(
    seen: dict[str, Member], members: list[str], without: Sequence[str]
) -> str | None:
    strangers = sorted(set(without) - set(members))
    if strangers:
        return f"recover_without names {', '.join(strangers)}: members are {', '.join(members)}."
    if set(members) <= set(without):
        return "recover_without names every member: one has to keep its data."
    serving = sorted(host for host in without if host in seen and seen[host]["primary"])
    if serving:
        return f"{', '.join(serving)} runs in a Primary component: leave it out of recover_without."
    return None


def _form(
    seen: dict[str, Member], members: list[str], database: str, recover: bool
) -> dict[str, str]:
    """All of `members` were seen, none is Primary."""
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
        return _fresh(seen, members, database)
    return _newest(seen, joined)


def _fresh(seen: dict[str, Member], members: list[str], database: str) -> dict[str, str]:
    """Nobody ever was in a cluster."""
    ours = [host for host in members if database in seen[host]["databases"]]
    if len(ours) > 1:
        return _refuse(
            f"{', '.join(ours)} each hold a database {database} of their own."
            + _WITHOUT.format(hosts="HOST,...")
        )
    return _answer("bootstrap", (ours or members)[0], "a fresh cluster")


def _newest(seen: dict[str, Member], joined: list[str]) -> dict[str, str]:
    positions = ", ".join(f"{host} {seen[host]['uuid']}:{seen[host]['seqno']}" for host in joined)
    # Whoever joins a cluster of another history loses its own, whatever it says of itself.
    if len({seen[host]["uuid"] for host in joined}) > 1:
        return _refuse(
            f"No member runs, and their data is of different histories: {positions}."
            + _WITHOUT.format(hosts="HOST,...")
        )
    last = [host for host in joined if seen[host]["safe_to_bootstrap"]]
    furthest = max(joined, key=lambda host: (int(seen[host]["seqno"]), host in last))
    if len(last) == 1 and furthest == last[0]:
        return _answer("bootstrap", furthest, "it left the cluster last")
    unread = [host for host in joined if seen[host]["seqno"] < 0]
    if last or unread:
        return _refuse(
            f"No member runs, and their positions do not tell which is the newest: {positions}."
            + _WITHOUT.format(hosts=",".join(unread) or "HOST,...")
        )
    return _answer("bootstrap", furthest, f"highest position, {seen[furthest]['seqno']}")


def _answer(action: str, node: str, reason: str) -> dict[str, str]:
    return {"action": action, "node": node, "reason": reason}


def _refuse(reason: str) -> dict[str, str]:
    return _answer("refuse", "", reason)


class FilterModule:
    """What Ansible loads."""

    def filters(self) -> dict[str, Any]:
        return {"galera_plan": galera_plan, "galera_losable": galera_losable}
