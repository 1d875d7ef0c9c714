"""Values of secrets in what a job wrote."""

from __future__ import annotations

import time

from dcron_worker.masking import mask

MOST = 8192


def masked(tail: str, *values: str, cut: bool = False) -> str:
    return mask(tail, values, cut=cut, most=MOST)


def test_a_value_is_masked_wherever_it_stands() -> None:
    assert masked("a=hunter2 b=hunter2\n", "hunter2") == "a=*** b=***\n"


def test_output_without_the_value_stays_as_it_is() -> None:
    assert masked("all is well\n", "hunter2", cut=True) == "all is well\n"


def test_the_longer_of_two_values_goes_first() -> None:
    assert masked("hunter2-and-more", "hunter2", "hunter2-and-more") == "***"


def test_lines_of_a_value_that_spans_lines_are_masked_one_by_one() -> None:
    key = "-----BEGIN KEY-----\nMIIEvQIBADANBg\nab\n-----END KEY-----\n"
    assert masked(f"key:\n{key}", key) == "key:\n***"
    assert masked("line MIIEvQIBADANBg of it\n", key) == "line *** of it\n"


def test_a_tail_that_begins_within_a_value_does_not_show_its_end() -> None:
    assert masked("nter2-long\nthen\n", "hunter2-long", cut=True) == "***\nthen\n"
    assert masked("nter2-long\nthen\n", "hunter2-long") == "nter2-long\nthen\n"


def test_what_grows_by_the_masks_is_cut_again() -> None:
    assert masked("a" * MOST, "a") == ("***" * MOST)[-MOST:]


def test_no_value_costs_more_than_a_moment() -> None:
    values = ["a" * 16_383 + chr(0x100 + number) for number in range(32)]
    begun = time.thread_time()
    assert masked("a" * MOST, *values, cut=True) == "a" * MOST
    assert time.thread_time() - begun < 2
