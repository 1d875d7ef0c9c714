"""Coordination: one contract (`contract.py`), honoured by ZooKeeper and by an in-process tree."""
