"""One question to one ZooKeeper server, without a session: is it part of a quorum?"""

from __future__ import annotations

import re
import socket

from dcron_common.coordinator.zookeeper_tls import Tls
from dcron_common.errors import ConnectionLost

_MODE = re.compile(r"^Mode: (\w+)$", re.MULTILINE)
_LONGEST = 1 << 16


def server_mode(host: str, port: int, tls: Tls, timeout: float) -> str:
    """ "leader", "follower" or "standalone". ConnectionLost says why it serves nobody; `timeout`
    seconds bound each step."""
    try:
        with (
            socket.create_connection((host, port), timeout=timeout) as plain,
            tls.context().wrap_socket(plain, server_hostname=host) as secure,
        ):
            secure.sendall(b"srvr")
            answer = b""
            while len(answer) < _LONGEST and (chunk := secure.recv(4096)):
                answer += chunk
    except OSError as error:
        raise ConnectionLost(str(error)) from error
    found = _MODE.search(answer.decode(errors="replace"))
    if found is None:
        raise ConnectionLost("answers, but is not part of a quorum")
    return found[1]
