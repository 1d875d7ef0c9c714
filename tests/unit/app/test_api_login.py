"""/login, /logout, /me, /me/password."""

from __future__ import annotations

import json
import logging
from typing import Any

import pytest
from argon2 import PasswordHasher
from pydantic import TypeAdapter

from dcron_app.api.accounts import MeShape, SessionShape
from dcron_app.api.logins import PER_PEER, PER_USER, PER_USER_AND_PEER, network_of
from dcron_app.api.outage import HOLD
from dcron_app.passwords import Passwords
from dcron_common.db import logins, tokens, users
from dcron_common.db.login_limits import WINDOW
from dcron_common.db.models import LoginBucket
from dcron_common.errors import DatabaseUnavailable
from tests.unit.app.api_client import NOW, QUICK, Answer, Api

PASSWORD = "correct horse battery"
OTHER = "staple of the horse"


@pytest.fixture(autouse=True)
def password(api: Api) -> None:
    """The operator has one."""
    give_password(api, "operator")


def give_password(api: Api, name: str) -> None:
    hashed = Passwords(QUICK).hash(PASSWORD)
    logins.set_password(api.services.database, name, hashed, NOW, "test")


def log_in(
    api: Api, name: str = "operator", password: str = PASSWORD, *, peer: str = "192.0.2.1"
) -> Answer:
    headers = {"HTTP_X_FORWARDED_FOR": peer}
    return api.post("/login", {"name": name, "password": password}, user=None, headers=headers)


def test_a_login_gives_a_token_for_twelve_hours(api: Api) -> None:
    answer = log_in(api)
    TypeAdapter(SessionShape).validate_python(answer.json)
    assert (answer.status, answer.json["expires_at"]) == (200, "2027-01-15T20:00:30Z")
    session = answer.json["token"]
    assert api.get("/jobs", user=session).status == 200
    api.time[0] += 12 * 3600
    assert api.get("/jobs", user=session).status == 401


def test_the_session_may_do_what_its_user_may(api: Api) -> None:
    session = log_in(api).json["token"]
    job = {"executable": "id", "schedule": "@daily", "type": "command"}
    assert api.post("/jobs", job, user=session).json["owner"] == "operator"
    assert api.post("/workers/w/drain", user=session).status == 403


def test_a_refusal_does_not_tell_who_there_is(api: Api) -> None:
    give_password(api, "viewer")
    users.change_user(api.services.database, "viewer", NOW, "test", disabled=True)
    answers = [
        log_in(api, "operator", "wrong"),
        log_in(api, "nobody"),
        log_in(api, "viewer"),  # disabled
        log_in(api, "admin"),  # has no password
    ]
    assert {answer.status for answer in answers} == {401}
    assert len({answer.body for answer in answers}) == 1


def test_for_a_name_that_nobody_has_the_same_work_is_done(
    api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    done = []
    verify = PasswordHasher.verify

    def counted(self: PasswordHasher, stored: str | bytes, password: str | bytes) -> bool:
        done.append(password)
        return verify(self, stored, password)

    monkeypatch.setattr(PasswordHasher, "verify", counted)
    for name in ("operator", "nobody", "admin"):
        log_in(api, name, "wrong")
    assert done == ["wrong"] * 3


def test_a_hash_by_older_parameters_is_renewed(api: Api) -> None:
    old = PasswordHasher(time_cost=2, memory_cost=16, parallelism=1).hash(PASSWORD)
    logins.set_password(api.services.database, "operator", old, NOW, "test")
    assert log_in(api).status == 200
    stored = logins.password_of(api.services.database, "operator")
    assert stored is not None and "m=8,t=1,p=1" in stored
    assert log_in(api).status == 200


def guess(api: Api, name: str, *, beside: str = "192.0.2.") -> list[int]:
    """So often wrongly, from as many addresses, that the name's count is full; the answers."""
    answers = []
    for number in range(PER_USER + 1):
        answers.append(log_in(api, name, "wrong", peer=f"{beside}{number}").status)
    return answers


def test_a_name_has_only_so_many_wrong_passwords(api: Api) -> None:
    assert guess(api, "operator") == [401] * PER_USER + [429]
    refused = log_in(api, peer="198.51.100.1")  # the right one, now
    assert refused.status == 429
    assert refused.headers["Retry-After"] == str(int(WINDOW / PER_USER))
    api.time[0] += float(refused.headers["Retry-After"])
    assert log_in(api, peer="198.51.100.1").status == 200


def test_a_name_from_an_address_has_fewer(api: Api) -> None:
    answers = [log_in(api, password="wrong").status for _ in range(PER_USER_AND_PEER + 1)]
    assert answers == [401] * PER_USER_AND_PEER + [429]
    assert log_in(api).status == 429
    assert log_in(api, peer="192.0.2.2").status == 200


def test_a_name_that_nobody_has_is_bounded_the_same(api: Api) -> None:
    assert guess(api, "nobody") == [401] * PER_USER + [429]
    answers = [log_in(api, "noone").status for _ in range(PER_USER_AND_PEER + 1)]
    assert answers == [401] * PER_USER_AND_PEER + [429]


def test_strangers_shut_nobody_out_from_where_they_have_logged_in(api: Api) -> None:
    home = "2001:db8:1:2::7"
    assert log_in(api, peer=home).status == 200
    api.time[0] += 80 * 86_400
    for _ in range(3):
        guess(api, "operator")
        assert log_in(api, peer="198.51.100.1").status == 429
        assert log_in(api, peer=home).status == 200
        assert log_in(api, peer="2001:db8:1:2::9").status == 200  # the same network
    give_password(api, "viewer")
    guess(api, "viewer", beside="203.0.113.")
    assert log_in(api, "viewer", peer=home).status == 429  # not this user's


def test_what_others_get_wrong_at_ones_own_address_closes_it_for_nobody_else(api: Api) -> None:
    assert log_in(api).status == 200
    for number in range(PER_PEER + 1):
        last = log_in(api, f"user{number}")
    assert last.status == 429
    assert log_in(api).status == 200


def test_also_where_one_is_known_only_so_many_may_be_wrong(api: Api) -> None:
    assert log_in(api).status == 200
    answers = [log_in(api, password="wrong").status for _ in range(PER_USER_AND_PEER + 1)]
    assert answers == [401] * PER_USER_AND_PEER + [429]
    assert log_in(api).status == 429


def test_an_address_has_only_so_many_wrong_passwords(api: Api) -> None:
    for number in range(PER_PEER):
        assert log_in(api, f"user{number}").status == 401
    assert log_in(api).status == 429
    assert log_in(api, peer="192.0.2.2").status == 200


def test_right_passwords_do_not_count(api: Api) -> None:
    for peer in ("192.0.2.1", "192.0.2.2"):
        answers = {log_in(api, peer=peer).status for _ in range(PER_USER_AND_PEER + 2)}
        assert answers == {200}


def test_what_is_full_costs_neither_a_hash_nor_a_row(api: Api, monkeypatch: Any) -> None:
    for _ in range(PER_USER_AND_PEER):
        log_in(api, password="wrong")
    monkeypatch.setattr(PasswordHasher, "verify", None)
    rows = api.services.database.read(lambda: LoginBucket.select().count())
    for _ in range(10):
        assert log_in(api, password="wrong").status == 429
    assert api.services.database.read(lambda: LoginBucket.select().count()) == rows


@pytest.mark.parametrize(
    ("peer", "network"),
    [
        ("192.0.2.7", "192.0.2.7"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
        ("::1", "::/64"),
        ("unknown", "unknown"),
    ],
)
def test_an_address_of_ipv6_counts_as_its_network(peer: str, network: str) -> None:
    assert network_of(peer) == network


@pytest.mark.parametrize(
    ("body", "status", "field"),
    [
        (None, 411, "Content-Length"),
        (b"x" * 1025, 413, "body"),
        (b"{", 400, "body"),
        (b"[]", 422, "body"),
        (b'{"name": "operator"}', 422, "password"),
        (b'{"name": "operator", "password": 1}', 422, "password"),
        (b'{"name": "operator", "password": "%s"}' % (b"x" * 257), 422, "password"),
        (b'{"name": "", "password": "x"}', 422, "name"),
        (b'{"name": "operator", "password": "x", "scope": "admin"}', 422, "scope"),
    ],
)
def test_the_open_route_takes_small_and_strict_bodies(
    api: Api, body: bytes | None, status: int, field: str
) -> None:
    answer = api.call("POST", "/login", body, user=None)
    assert (answer.status, answer.fields) == (status, [field])
    assert api.services.database.read(lambda: LoginBucket.select().count()) == 0


def test_the_longest_name_and_password_fit_the_bound(api: Api) -> None:
    for char in ("x", "ä", "語", "🔑", "\t", '"', "\\"):
        body = {"name": "n" * 64, "password": char * (256 // len(char.encode()))}
        assert api.post("/login", body, user=None).status == 401, char


def test_passwords_are_in_no_log_and_no_answer(api: Api, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG, "dcron_app")
    caplog.set_level(logging.DEBUG, "dcron_common")
    told = [log_in(api, password=OTHER), log_in(api, name=OTHER, password=OTHER)]
    told += [log_in(api), api.post("/login", {"name": OTHER, "password": OTHER + "\n"}, user=None)]
    assert OTHER not in caplog.text
    assert PASSWORD not in caplog.text
    assert told[2].json["token"] not in caplog.text
    assert not any(OTHER.encode() in answer.body for answer in told)
    assert "login refused user=operator peer=192.0.2.1" in caplog.text
    assert "login refused user=- peer=192.0.2.1" in caplog.text


def test_refusals_for_being_too_many_are_logged(api: Api, caplog: pytest.LogCaptureFixture) -> None:
    for _ in range(PER_USER_AND_PEER + 1):
        log_in(api, "nobody")
    assert "refused status=429 peer=192.0.2.1" in caplog.text


def test_a_logout_ends_this_session_only(api: Api) -> None:
    first, second = (log_in(api).json["token"] for _ in range(2))
    assert api.post("/logout", {}, user=first).status == 204
    assert api.get("/me", user=first).status == 401
    assert api.get("/me", user=second).status == 200


def test_a_token_of_a_program_is_not_ended_by_a_logout(api: Api) -> None:
    answer = api.post("/logout", {}, user="operator")
    assert answer.status == 409
    assert "DELETE /tokens/2" in answer.json["detail"]
    assert api.get("/me", user="operator").status == 200


def test_me_says_who_asks_and_by_what(api: Api) -> None:
    session = log_in(api).json["token"]
    shown = api.get("/me", user=session).json
    TypeAdapter(MeShape).validate_python(shown)
    assert shown == {
        "name": "operator",
        "role": "operator",
        "teams": [],
        "os_users": ["dcron-job"],
        "scope": "admin",
        "token_id": "4",
        "token_kind": "login",
        "expires_at": "2027-01-15T20:00:30Z",
    }


def test_me_shows_the_users_role_and_the_tokens_scope(api: Api) -> None:
    made = tokens.add_token(
        api.services.database, "admin", "t", None, NOW, "test", scope=users.Scope.READ
    )
    shown = api.get("/me", user=made.text).json
    assert (shown["role"], shown["scope"], shown["token_kind"]) == ("admin", "read", "token")


def change(api: Api, old: str, new: str, user: str = "operator") -> Answer:
    return api.put("/me/password", {"old": old, "new": new}, user=user)


def test_ones_own_password_is_changed_by_the_old_one_and_ends_the_logins(api: Api) -> None:
    session = log_in(api).json["token"]
    assert change(api, PASSWORD, OTHER, session).status == 204
    assert api.get("/me", user=session).status == 401
    assert api.get("/me", user="operator").status == 200
    assert log_in(api).status == 401
    assert log_in(api, password=OTHER).status == 200


@pytest.mark.parametrize("by", ["the user", "an admin"])
def test_a_new_password_ends_all_tokens_if_asked_to(api: Api, by: str) -> None:
    if by == "the user":
        path, body, user = "/me/password", {"old": PASSWORD, "new": OTHER}, "operator"
    else:
        path, body, user = "/users/operator/password", {"password": OTHER}, "admin"
    assert api.put(path, {**body, "end_tokens": True}, user=user).status == 204
    assert api.get("/me", user="operator").status == 401
    assert api.get("/me", user="viewer").status == 200
    assert log_in(api, password=OTHER).status == 200


def test_without_the_old_password_there_is_no_new_one(api: Api) -> None:
    refused = change(api, OTHER, OTHER)
    assert (refused.status, refused.fields) == (403, ["old"])
    assert log_in(api).status == 200


def test_a_stolen_token_guesses_a_few_times_and_locks_nobody_out(api: Api) -> None:
    answers = [change(api, OTHER, OTHER).status for _ in range(7)]
    assert answers == [403] * 5 + [429] * 2
    session = log_in(api)
    assert session.status == 200
    assert change(api, PASSWORD, OTHER, session.json["token"]).status == 204


def test_a_stolen_login_guesses_a_few_times_and_other_logins_stand(api: Api) -> None:
    stolen, mine = (log_in(api).json["token"] for _ in range(2))
    answers = [change(api, OTHER, OTHER, stolen).status for _ in range(7)]
    assert answers == [403] * 5 + [429] * 2
    assert change(api, PASSWORD, OTHER, mine).status == 204


def test_a_first_password_is_an_admins_to_set(api: Api) -> None:
    assert change(api, OTHER, OTHER, "viewer").status == 409


def test_a_new_password_has_a_least_length(api: Api) -> None:
    refused = change(api, PASSWORD, "short")
    assert (refused.status, refused.fields) == (422, ["new"])


def test_with_the_database_away_a_login_is_503(api: Api, monkeypatch: Any) -> None:
    def away(*_: Any) -> None:
        raise DatabaseUnavailable("away")

    monkeypatch.setattr("dcron_app.api.attempts.login_limits.take", away)
    answer = log_in(api)
    assert answer.status == 503
    assert "Retry-After" in answer.headers
    monkeypatch.setattr("dcron_app.api.attempts.login_limits.take", pytest.fail)
    assert log_in(api).status == 503  # at once: others know


@pytest.mark.parametrize("step", ["password_of", "begin_session"])
def test_what_the_database_fails_in_is_no_wrong_password(
    api: Api, monkeypatch: Any, step: str
) -> None:
    """Before the password is looked at, and where it was right; a wrong one counts as ever."""

    def away(*_: Any, **__: Any) -> None:
        raise DatabaseUnavailable("away")

    for _ in range(PER_USER_AND_PEER + 2):
        with monkeypatch.context() as ill:
            ill.setattr(logins, step, away)
            assert log_in(api).status == 503
        api.time[0] += HOLD
    answers = [log_in(api, password="wrong").status for _ in range(PER_USER_AND_PEER)]
    assert answers == [401] * PER_USER_AND_PEER
    assert log_in(api).status == 429


def test_a_login_is_audited_without_its_token(api: Api) -> None:
    token = log_in(api).json["token"]
    row = api.get("/audit?limit=1").json[0]
    assert (row["user"], row["action"], row["object_id"]) == ("operator", "login", "operator")
    assert token not in json.dumps(api.get("/audit").json)
