#!/usr/bin/python
"""Hold the ACLs of ZooKeeper's built-in nodes: all rights to the owners, none to the world."""

from __future__ import annotations

from ansible.module_utils.basic import AnsibleModule
from kazoo.client import KazooClient
from kazoo.exceptions import KazooException
from kazoo.handlers.threading import KazooTimeoutError
from kazoo.security import make_acl

DOCUMENTATION = """
module: zookeeper_acl
short_description: Hold the ACLs of nodes that a fresh ensemble leaves open to the world
options:
  hosts: {description: Servers as host:port, required: true, type: str}
  certificate: {description: PEM file of a superuser with its key, required: true, type: path}
  ca: {description: PEM file of the authority, required: true, type: path}
  paths: {description: Nodes, required: true, type: list, elements: str}
  owners: {description: Common names with all rights, required: true, type: list, elements: str}
  readable: {description: Those of the nodes that any client may read, type: list, elements: str}
"""


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "hosts": {"type": "str", "required": True},
            "certificate": {"type": "path", "required": True},
            "ca": {"type": "path", "required": True},
            "paths": {"type": "list", "elements": "str", "required": True},
            "owners": {"type": "list", "elements": "str", "required": True},
            "readable": {"type": "list", "elements": "str", "default": []},
        },
        supports_check_mode=True,
    )
    options = module.params
    owned = {make_acl("x509", f"CN={name}", all=True) for name in options["owners"]}
    readers = {make_acl("world", "anyone", read=True)}
    client = KazooClient(
        hosts=options["hosts"],
        use_ssl=True,
        certfile=options["certificate"],
        keyfile=options["certificate"],
        ca=options["ca"],
        timeout=10,
    )
    changed = []
    try:
        client.start(timeout=20)
        for path in options["paths"]:
            wanted = owned | readers if path in options["readable"] else owned
            present, _ = client.get_acls(path)
            if set(present) != wanted:
                changed.append(path)
                if not module.check_mode:
                    client.set_acls(path, sorted(wanted))
    except (KazooException, KazooTimeoutError) as error:
        module.fail_json(msg=f"ZooKeeper at {options['hosts']}: {error!r}")
    finally:
        client.stop()
        client.close()
    module.exit_json(changed=bool(changed), paths=changed)


if __name__ == "__main__":
    main()
