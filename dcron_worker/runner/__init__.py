"""Starting, reaping and guarding of runs, in a small process that outlives the worker daemon.

model      what is asked for and what is told: Launch, Started, Ended
client     the daemon's side: Runner
launcher   the event loop; living: the runs that it guards; run: one run's life
starter/   a small program in C that forks (docs/adr/0011, 0012); starters: the launcher's side
           of it; order: what it is told
tree, limits: a run's processes and their bounds
journal, lines, lease, output, wire: the files and the sockets between the parts

The standard library and that program only, Linux only.
"""
