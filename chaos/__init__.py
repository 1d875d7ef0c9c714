"""The proof: a cluster under load and faults, and a checker that holds it to its promises.

    model    what was asked, what happened, what dcron says about it
    load     jobs of all kinds, made and deleted all the while
    faults   what is broken, when, for how long (drawn from a seed)
    gather   the truth from the hosts, and dcron's own records
    standing what stands in the end, in crontabs, ZooKeeper and the API
    checker  the judge: a pure function of the model
    report   the last line, and the picture

The truth comes from the jobs themselves: each appends when it started, that it lives, when it
ended, to a file on its host that dcron knows nothing of. All hosts of a lab share one clock.
"""
