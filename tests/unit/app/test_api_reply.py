"""The bytes of an answer."""

from __future__ import annotations

import json

import pytest

from dcron_app.api.reply import encoded


@pytest.mark.parametrize(
    "text", ["\x9b2J", "\x7f", "\u202e", "\u2028", "\ufeff", "\U000e0041", "\ud800"]
)
def test_what_would_steer_a_terminal_is_escaped_and_means_the_same(text: str) -> None:
    sent = encoded({"output_tail": f"é{text}漢"})
    assert json.loads(sent) == {"output_tail": f"é{text}漢"}
    assert text.encode("utf-8", "surrogatepass") not in sent
    assert "é".encode() in sent
