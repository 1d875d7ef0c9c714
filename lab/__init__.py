"""The lab: real Debian hosts without a hypervisor, for development and tests.

Each host is a systemd-nspawn machine that boots its own systemd, sshd and crond and has its own
address. ``bin/lab`` is the door; docs/lab.md is the manual. Standard library only.
"""
