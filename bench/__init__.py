"""Benchmarks: scripts that print ratios against a named reference, measured in the same run."""
