"""Who schemathesis is signed in as: somebody who is still there.

Operations end sessions, delete accounts and disable users, so each request that needs a token gets one that was good just
before. `WARREN_URL` is the API; with `WARREN_STAFF` (a name; the password is below) it is that account, else one of its own.
"""

import itertools
import os
import re
import secrets
from pathlib import Path
from urllib.parse import urlsplit

import requests
import schemathesis
from schemathesis.specs.openapi.definitions import OPENAPI_31_VALIDATOR

API = os.environ["WARREN_URL"]
STAFF = os.environ.get("WARREN_STAFF")
PASSWORD = "correct horse battery"
RUN = secrets.token_hex(4)
# They would take the staff's account away.
NEVER_AS_STAFF = {"deleteAccount", "changePassword", "updateProfile"}

# Short enough to be made longer.
KEY = re.compile(r'(?P<quote>"?)(?P<text>[!#-+\--\[\]-~]{1,200})(?P=quote)')

http = requests.Session()
numbers = itertools.count()
tokens = {}
given = set()
deleted = set()


def log_in(username):
    answer = http.post(f"{API}/api/token/", json={"username": username, "password": PASSWORD}, timeout=30)
    assert answer.status_code == 200, answer.text
    return answer.json()["access"]


def join():
    username = f"runner-{RUN}-{next(numbers)}"
    account = {"username": username, "email": f"{username}@example.com", "password": PASSWORD}
    answer = http.post(f"{API}/api/register/", json=account, timeout=30)
    assert answer.status_code == 201, answer.text
    return log_in(username)


def is_good(token):
    answer = http.get(f"{API}/api/users/me/", headers={"Authorization": f"Bearer {token}"}, timeout=30)
    return answer.status_code == 200


def needs_token(case):
    security = case.operation.definition.raw.get("security", [])
    return bool(security) and {} not in security


def good_token(case):
    as_staff = bool(STAFF) and case.operation.definition.raw["operationId"] not in NEVER_AS_STAFF
    if as_staff not in tokens or not is_good(tokens[as_staff]):
        tokens[as_staff] = log_in(STAFF) if as_staff else join()
        given.add(tokens[as_staff])
    return tokens[as_staff]


@schemathesis.hook
def before_load_schema(context, raw_schema):
    """The document is OpenAPI 3.1 by that specification's own schema."""
    faults = [f"{list(fault.instance_path)}: {fault.message}" for fault in OPENAPI_31_VALIDATOR.iter_errors(raw_schema)]
    assert raw_schema["openapi"].startswith("3.1.") and not faults, faults


@schemathesis.auth(refresh_interval=None)
class SignIn:
    def get(self, case, context):
        return good_token(case) if needs_token(case) else None

    def set(self, case, data, context):
        if data is not None:
            case.headers["Authorization"] = f"Bearer {data}"


@schemathesis.hook
def before_call(context, case, kwargs):
    """Some cases are made, token and all, before another one ends that token's session."""
    shown = (case.headers or {}).get("Authorization", "")
    if shown.removeprefix("Bearer ") in given:
        case.headers["Authorization"] = f"Bearer {good_token(case)}"
    # A key is for one creation: of the same one used again the task may be deleted by now, as TASKS.md says.
    key = KEY.fullmatch((case.headers or {}).get("Idempotency-Key", ""))
    if key:
        case.headers["Idempotency-Key"] = f"{key['quote']}{key['text']}-{next(numbers)}{key['quote']}"


@schemathesis.hook
def after_call(context, case, response):
    """Leaves a file behind once a task was read after its deletion by whoever had it: without that, `use_after_free` has
    looked at nothing."""
    path = urlsplit(response.request.url).path.rstrip("/")
    whose = (path, response.request.headers.get("Authorization"))
    if case.method == "DELETE" and response.status_code == 204 and path.startswith("/api/tasks/"):
        deleted.add(whose)
    elif case.method == "GET" and whose in deleted:
        # The token's session may have been ended meanwhile.
        assert response.status_code in (401, 404), f"{path} was deleted, and is {response.status_code}"
        if response.status_code == 404:
            Path("read-after-deletion").touch()
