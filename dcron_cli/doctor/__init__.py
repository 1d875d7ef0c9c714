"""`dcron doctor`: what is wrong on this node, and what to do.

Looking (`look_*`) and judging (`judge_*`) are apart: a judgement is a pure function of the facts
in `facts`, and every look has a deadline. Nothing is changed, and no secret is read into a fact.
"""
