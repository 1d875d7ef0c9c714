"""The protocol's periods, in seconds, and how they depend on each other (P4).

A worker's lease ends before anybody else may take over what it runs: the leader acts LEASE +
KILL after a registration is gone. LEASE is longer than a ZooKeeper leader change (6.4 s
measured), so that one does not end healthy runs.
"""

SESSION = 12.0  # after this long without a word ZooKeeper drops a session
LEASE = 9.0  # a worker may run from the sending of its last committed beat
KILL = 2.0  # the longest time from the end of a lease to the end of its processes
BEAT = 1.0  # between two beats
SCAN = 3.0  # between two looks at what watches may have missed
COMPARE = 30.0  # between two comparisons of the database with ZooKeeper
CLOCK_OFFSET = 2.0  # a clock that is off by more is alarmed, and a leader that has it is careful
TICK_SILENCE = 90.0  # crond is ill when no tick line came for this long
RESTART_AGAIN = 300.0  # between two restarts of a crond that stays ill
