"""Starting, reaping and guarding of runs, in a small process that outlives the worker daemon.

model      what is asked for and what is told: Launch, Started, Ended
client     the daemon's side: Runner
launcher   the event loop; living: the runs that it guards; run: one run's life
starter    a small process of its own that forks; process: from fork to exec; starting: the
           launcher's side of it (docs/adr/0011)
tree, limits: a run's processes and their bounds
journal, lines, lease, output, wire: the files and the sockets between the parts

Standard library only, Linux only.
"""
