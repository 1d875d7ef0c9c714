"""How hypothesis draws: a gate is passed or failed by the change, not by chance, nor by how busy
the machine is.

`fixed` draws the same examples each time. `unshrunk` does too, for where it only counts that there
is a failure: the smallest one is not looked for. `random` (`make explore`) draws others, and ten
times as many where a test leaves the number to the profile; what it finds becomes a test of its
own.
"""

from __future__ import annotations

from hypothesis import Phase, settings

settings.register_profile("fixed", derandomize=True, database=None, max_examples=40, deadline=None)
settings.register_profile("random", max_examples=400, print_blob=True, deadline=None)
settings.register_profile(
    "unshrunk", settings.get_profile("fixed"), phases=[Phase.explicit, Phase.generate]
)
settings.load_profile("fixed")
