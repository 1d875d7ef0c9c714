"""The daemon on every node: membership, crontab, claims, runs and their reports."""
