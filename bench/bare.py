"""The reference of `make bench-api`: what any API on bottle and gunicorn costs at least.

It reads a JSON body and answers JSON of a job's size; it knows no token, database or check. It is
copied to the lab host and run there by itself, so it imports nothing of ours.
"""

import json

import bottle

JOB = {"id": "1", "status": "scheduled", "schedule": "0 0 1 1 *", "text": "x" * 1000}


def show(job: str) -> bottle.HTTPResponse:
    """A read."""
    return _answer({**JOB, "id": job}, 200)


def create() -> bottle.HTTPResponse:
    """A create: the body is read, and forgotten."""
    return _answer({**JOB, **json.loads(bottle.request.body.read())}, 201)


def _answer(value: object, status: int) -> bottle.HTTPResponse:
    return bottle.HTTPResponse(json.dumps(value), status, {"Content-Type": "application/json"})


application = bottle.Bottle()
application.route("/jobs/<job>", "GET", show)
application.route("/jobs", "POST", create)
