#!/usr/bin/python
"""Wait until a ZooKeeper member serves clients, by asking the server itself over TLS.

A running process proves nothing: a member without a quorum answers, but serves nobody. `srvr`
names a mode (leader, follower, standalone) only where requests are served.
"""

from __future__ import annotations

import re
import socket
import ssl
import time

from ansible.module_utils.basic import AnsibleModule

DOCUMENTATION = """
module: zookeeper_ready
short_description: Wait until a ZooKeeper member serves clients
options:
  host: {description: Name in the member's certificate, required: true, type: str}
  port: {description: TLS client port, required: true, type: int}
  certificate: {description: PEM file with certificate and key, required: true, type: path}
  ca: {description: PEM file of the authority, required: true, type: path}
  timeout: {description: Seconds to wait, default: 60, type: int}
  required:
    description: Fail when it does not serve by then. Else answer an empty mode.
    default: true
    type: bool
"""

MODE = re.compile(r"^Mode: (\w+)$", re.MULTILINE)


def ask(host: str, port: int, context: ssl.SSLContext) -> str:
    """One `srvr` question; the server's answer. OSError (ssl.SSLError is one) on failure."""
    with (
        socket.create_connection((host, port), timeout=3) as plain,
        context.wrap_socket(plain, server_hostname=host) as secure,
    ):
        secure.sendall(b"srvr")
        answer = b""
        while chunk := secure.recv(65536):
            answer += chunk
        return answer.decode(errors="replace")


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "host": {"type": "str", "required": True},
            "port": {"type": "int", "required": True},
            "certificate": {"type": "path", "required": True},
            "ca": {"type": "path", "required": True},
            "timeout": {"type": "int", "default": 60},
            "required": {"type": "bool", "default": True},
        },
        supports_check_mode=True,
    )
    options = module.params
    if module.check_mode:
        module.exit_json(changed=False)
    context = ssl.create_default_context(cafile=options["ca"])
    context.load_cert_chain(options["certificate"])
    deadline = time.monotonic() + options["timeout"]
    last = "no answer"
    while time.monotonic() < deadline:
        try:
            last = ask(options["host"], options["port"], context)
        except OSError as error:
            last = str(error)
        if found := MODE.search(last):
            module.exit_json(changed=False, mode=found.group(1))
        time.sleep(0.3)  # a member joins within seconds; the deadline ends this loop
    if not options["required"]:
        module.exit_json(changed=False, mode="", last=last)
    module.fail_json(
        msg=f"{options['host']}:{options['port']} serves no clients after {options['timeout']} s; "
        f"last answer: {last.strip()[:300]}. Look at: journalctl -u dcron-zookeeper; "
        "two of three members must run."
    )


if __name__ == "__main__":
    main()
