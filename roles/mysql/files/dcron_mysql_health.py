#!/usr/bin/python3
"""Answer a load balancer's HTTP checks: 200 only where this MariaDB may be written to.

A TCP check passes on a member that lost its majority. Here the server itself is asked, over its
socket, by an account without rights; with Galera it must be ready, Primary and Synced, else 503.
systemd hands over the listening socket. Every question opens a connection of its own with short
time limits: a server that hangs or takes nobody in is not healthy, and no state can go stale.
"""

import os
import socket
import sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pymysql

SOCKET = "/run/mysqld/mysqld.sock"
QUESTIONS = (
    "SHOW GLOBAL STATUS WHERE Variable_name IN"
    " ('wsrep_ready', 'wsrep_cluster_status', 'wsrep_local_state_comment', 'wsrep_cluster_size')",
    "SHOW GLOBAL VARIABLES WHERE Variable_name IN ('wsrep_on', 'read_only')",
)
WRITABLE = {
    "wsrep_ready": "ON",
    "wsrep_cluster_status": "Primary",
    "wsrep_local_state_comment": "Synced",
}


def judge(state: dict[str, str]) -> tuple[bool, str]:
    """(may be written to, one line that says why)."""
    told = " ".join(f"{name}={value}" for name, value in sorted(state.items()))
    if not state or state.get("read_only") != "OFF":
        return False, told
    if state.get("wsrep_on") != "ON":
        return True, told
    return all(state.get(name) == value for name, value in WRITABLE.items()), told


def ask() -> dict[str, str]:
    """The server's state by name. pymysql.Error or OSError where it does not answer within 2 s."""
    connection = pymysql.connect(
        unix_socket=SOCKET, user="dcron-health", connect_timeout=2, read_timeout=2, write_timeout=2
    )
    with connection, connection.cursor() as cursor:
        state: dict[str, str] = {}
        for question in QUESTIONS:
            cursor.execute(question)
            state.update(cursor.fetchall())
        return state


class Handler(BaseHTTPRequestHandler):
    """GET and HEAD, and OPTIONS as HAProxy asks by default; any path."""

    timeout = 3
    server_version = "dcron-mysql-health"
    sys_version = ""

    def answer(self) -> None:
        try:
            healthy, told = judge(ask())
        except (pymysql.Error, OSError) as error:
            healthy, told = False, f"MariaDB does not answer: {error}"
        body = f"{'writable' if healthy else 'not writable'}: {told}\n".encode()
        self.send_response(200 if healthy else 503)
        self.send_header("Content-Type", "text/plain; charset=utf-8")
        self.send_header("Content-Length", str(len(body)))
        self.send_header("Connection", "close")
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    do_GET = do_HEAD = do_OPTIONS = answer  # noqa: N815 (the names that http.server calls)

    def log_message(self, format: str, *args: object) -> None:
        """Three load balancers ask every second: nothing to write down."""


class Server(ThreadingHTTPServer):
    """On the socket that systemd listens on; strangers are hung up on."""

    daemon_threads = True

    def __init__(self, listener: socket.socket, clients: frozenset[str]) -> None:
        super().__init__(listener.getsockname(), Handler, bind_and_activate=False)
        self.socket.close()
        self.socket = listener
        self.clients = clients

    def verify_request(self, request: object, client_address: tuple[str, int]) -> bool:
        return not self.clients or client_address[0] in self.clients

    def handle_error(self, request: object, client_address: tuple[str, int]) -> None:
        """A load balancer that hung up, for it was tired of waiting, is no error of ours."""
        if not isinstance(sys.exc_info()[1], ConnectionError):
            super().handle_error(request, client_address)


def main() -> None:
    if os.environ.get("LISTEN_FDS") != "1":
        sys.exit("dcron-mysql-health: started without a socket; start dcron-mysql-health.socket")
    clients = os.environ.get("DCRON_HEALTH_CLIENTS", "")
    Server(socket.socket(fileno=3), frozenset(filter(None, clients.split(",")))).serve_forever()


if __name__ == "__main__":
    main()
