"""Starting, reaping and guarding of runs, in a small process that outlives the worker daemon.

model      what is asked for and what is told: Launch, Started, Ended
client     the daemon's side: Runner
launcher   the event loop; run, recovery: one run's life, and finding runs again
process    fork and exec; tree, cgroups, limits: a run's processes and their bounds
journal, lease, output, wire: the files and the socket between the parts

Standard library only, Linux only: the launcher forks once for each run, so it stays small.
"""
