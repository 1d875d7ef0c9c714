"""Which tokens end with which. Whoever steals a token makes a second one by it: a revocation that
left that one would shut nobody out.

A token's `parent` is the one that it was made with: a revocation ends a token, what was made with
it, what was made with that, and so on, of other users too. A login is a parent as any other token,
but only its revocation (DELETE) ends what was made in it: it is over by itself after some hours, by
a logout, or since another password was set, and then a token that was made to last stands. It
stands until something above that login is revoked: a revocation goes on through what is over.

A rotation puts a new token in the old one's place, for programs that have to change it now and
then; whoever does that wants all else to go on. So what hangs on the old one hangs on the new one
from then on, and so does the old one itself: in its grace it opens doors, and shall not outlast a
revocation of what replaced it. The new one's text is known to whoever asked: with the old token or
with one that hangs on that, it keeps the old one's parent; with any other, it hangs on that one. No
token ever hangs on itself. The revocation of the old one leaves the new one: a program that has
changed it ends the old one's grace so. After a theft, then, it is no rotation that helps, which
what the thief made lives through, but the revocation of the token that is in force.

All is to be called inside a transaction. To hang a token on another is to write both rows, and a
revocation writes each row before it looks for what hangs on it: at the same moment one of the two
waits for the other, or is undone and repeated, also on two members of a Galera cluster.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from peewee import fn

from dcron_common.db.models import Token
from dcron_common.errors import Conflict

_BATCH = 500  # ids of one statement


def hold(token_id: int, now: float) -> None:
    """A token is about to be hung on this one. Conflict where this one is over."""
    holds = Token.expires_at.is_null() | (Token.expires_at > now)
    raised = Token.update(made=Token.made + 1)
    if not raised.where(Token.id == token_id, Token.revoked_at.is_null(), holds).execute():
        raise Conflict("the token that this was asked with is over: log in again, or take another")


def replace(old: int, new: int) -> None:
    """Hang a rotated token, and what hangs on it, on its successor; what is over as well, since on
    that something may hang that is not."""
    Token.update(parent=new).where(Token.parent == old).execute()
    Token.update(replaced_by=new, parent=new).where(Token.id == old).execute()


def parent_after(old: int, present: int | None) -> int | None:
    """On which token the successor of `old` hangs, if `present` asks for it (None: no token)."""
    if present is not None and not _is_below(present, old):
        return present
    parent = _parent(old)
    if parent is not None:
        _touch([parent])
    return parent


def end_below(root: int, now: float) -> list[int]:
    """Revoke all that hangs on this token, directly or not; the ids of what was not revoked before.
    What was is written and descended through, too: a login that is over hides nothing made in it.
    It costs two statements for each generation (of each 500), which read no other rows."""
    ended: list[int] = []
    seen = {root}
    level = [root]
    _touch(level)
    while level:
        below = [row for few in _batches(level) for row in _children(few) if row[0] not in seen]
        level = [token_id for token_id, _ in below]
        seen.update(level)
        for few in _batches(level):
            ends = {"made": Token.made + 1, "revoked_at": fn.COALESCE(Token.revoked_at, now)}
            Token.update(ends).where(Token.id.in_(few)).execute()
        ended += [token_id for token_id, revoked_at in below if revoked_at is None]
    return ended


def _children(parents: Sequence[int]) -> list[tuple[int, float | None]]:
    """Ids, and since when they are revoked, if they are: what the index over `parent` holds."""
    found: Any = Token.select(Token.id, Token.revoked_at).where(Token.parent.in_(parents))
    return list(found.order_by(Token.id).tuples())


def _is_below(token_id: int, above: int) -> bool:
    """Whether it is that token or hangs on it, directly or not."""
    seen: set[int] = set()
    at: int | None = token_id
    while at is not None and at not in seen:
        if at == above:
            return True
        seen.add(at)
        at = _parent(at)
    return False


def _parent(token_id: int) -> int | None:
    row: Any = Token.select(Token.parent).where(Token.id == token_id).tuples().first()
    return None if row is None else row[0]


def _touch(ids: Sequence[int]) -> None:
    Token.update(made=Token.made + 1).where(Token.id.in_(ids)).execute()


def _batches(ids: Sequence[int]) -> list[Sequence[int]]:
    return [ids[start : start + _BATCH] for start in range(0, len(ids), _BATCH)]
