"""The command line against the running app."""

import json
import os
import signal
import subprocess
import sys
import time
import uuid

import httpx
import pytest

from tests.app import ROOT, App, command, run_command, sign_in


def run(app: App, *arguments: str, key: str | None = None) -> "subprocess.CompletedProcess[str]":
    """Run a command with the app's address and key in the environment."""
    environment = {**os.environ, "REALTIME_URL": app.url, "REALTIME_API_KEY": key or app.key}
    return subprocess.run(
        [sys.executable, "-m", "realtime_ui", *arguments],
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def test_emit_prints_the_receipt(app: App) -> None:
    """As JSON, for scripts."""
    project = uuid.uuid4().hex[:12]
    done = run(app, "emit", "project.updated", json.dumps({"projectId": project}), "--id", "mine")
    assert done.returncode == 0, done.stderr
    receipt = json.loads(done.stdout)
    [place] = receipt["channels"]
    assert (receipt["id"], place["channel"], place["seq"]) == ("mine", f"project:{project}", 1)


@pytest.mark.parametrize(
    ("payload", "words"),
    [("{", "not JSON"), ("[]", "not a JSON object"), ("{}", "payload.projectId")],
)
def test_emit_says_what_is_wrong(app: App, payload: str, words: str) -> None:
    """In one sentence, with exit code 1."""
    done = run(app, "emit", "project.updated", payload)
    assert done.returncode == 1
    assert words in done.stderr
    assert "Traceback" not in done.stderr


def test_a_wrong_key_is_told(app: App) -> None:
    """Without a second try."""
    done = run(app, "emit", "project.updated", '{"projectId": "x"}', key="rk_wrong")
    assert done.returncode == 1
    assert "not valid" in done.stderr


def test_demo_names_its_channels_and_sends_until_stopped(app: App) -> None:
    """Over the HTTP API, like any other program."""
    environment = {**os.environ, "REALTIME_URL": app.url, "REALTIME_API_KEY": app.key}
    arguments = [sys.executable, "-m", "realtime_ui", "demo", "--rate", "500"]
    with subprocess.Popen(arguments, cwd=ROOT, env=environment, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        lines = [process.stdout.readline() for _ in range(2)]
        process.send_signal(signal.SIGINT)
        assert process.wait(10) == 0
    assert "Ctrl-C stops" in lines[0]
    assert "100 events sent" in lines[1]


@pytest.mark.parametrize("form", ["--json", "--pretty", "--named"])
def test_tail_prints_what_was_and_what_comes_until_stopped(app: App, form: str) -> None:
    """A line a message: JSON for programs, a sentence for people, its type first where that is asked for."""
    project = uuid.uuid4().hex[:12]
    app.emit(("project.updated", {"projectId": project, "n": 1}))
    environment = {**os.environ, "REALTIME_URL": app.url, "REALTIME_API_KEY": app.key, "PYTHONUNBUFFERED": "1"}
    arguments = [sys.executable, "-m", "realtime_ui", "tail", f"project:{project}", "--rewind", "5", form]
    with subprocess.Popen(arguments, cwd=ROOT, env=environment, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        lines = [process.stdout.readline()]
        app.emit(("project.updated", {"projectId": project, "n": 2}))
        lines.append(process.stdout.readline())
        process.send_signal(signal.SIGINT)
        assert process.wait(10) == 0
    for n, line in enumerate(lines, 1):
        if form == "--pretty":
            assert f"project:{project} {n}  project.updated  " in line
            continue
        assert line.startswith("project.updated {" if form == "--named" else "{")
        assert json.loads(line[line.index("{") :])["data"] == {"projectId": project, "n": n}


def test_tail_says_what_is_wrong(app: App) -> None:
    """In one sentence, with exit code 1."""
    done = run(app, "tail", "planet:x")
    assert done.returncode == 1
    assert "planet:x" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_key_is_for_one_organization(app: App) -> None:
    """With several, it must be named."""
    done = run_command(app.database_url, "keys", "add", "ci")
    assert done.returncode == 1
    assert "--tenant" in done.stderr


def test_new_epochs_says_for_how_many_channels(database_url: str) -> None:
    """None, while nothing was ever emitted."""
    assert command(database_url, "log", "new-epochs") == "0 channels have a new epoch."


def test_accounts_are_listed_and_changed(app: App) -> None:
    """Who and what exists, with ids; revoking takes effect on the running server."""

    def on_database(*arguments: str) -> str:
        return command(app.database_url, *arguments)

    email = f"zoe-{uuid.uuid4().hex[:8]}@northwind.test"
    assert on_database("users", "add", email, "--tenant", "Northwind") == f"{email} is a member of Northwind."
    assert on_database("users", "role", email, "admin").endswith("was a member of Northwind and is an admin now.")
    [line] = [line for line in on_database("users", "list").splitlines() if email in line]
    assert line.split()[:4] == [email, email.partition("@")[0], "admin", "Northwind"]
    [northwind] = [line for line in on_database("tenants", "list").splitlines() if line.startswith("Northwind ")]
    assert northwind.endswith("yes"), "the oldest tenant operates the server"
    sign_in(app.url, email)
    [session] = [line for line in on_database("sessions", "list", email).splitlines() if email in line]
    assert on_database("sessions", "end", session.split()[0]) == "1 session is ended."
    name = f"bot-{uuid.uuid4().hex[:8]}"
    secret = on_database("keys", "add", name, "--tenant", "Northwind")
    [key] = [line for line in on_database("keys", "list", "--tenant", "Northwind").splitlines() if name in line]
    headers = {"Authorization": f"Bearer {secret}"}
    event = {"type": "project.updated", "payload": {"projectId": "x"}}
    assert httpx.post(f"{app.url}/api/events", json=event, headers=headers).status_code == 202
    assert on_database("keys", "revoke", key.split()[0]) == f"The key {name} of Northwind is revoked."
    deadline = time.monotonic() + 60
    while httpx.post(f"{app.url}/api/events", json=event, headers=headers).status_code != 401:
        assert time.monotonic() < deadline
        time.sleep(0.1)
    on_database("users", "passwd", email)
    assert on_database("users", "remove", email) == f"{email} is removed from Northwind and signed out everywhere."
    assert email not in on_database("users", "list")


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["users", "add", "ada@northwind.test", "--tenant", "Northwind"], "users role"),
        (["users", "add", "zoe@northwind.test", "--tenant", "Nortwhind"], "tenants list"),
        (["users", "add", "zoe@northwind.test", "--new-tenant", "Northwind"], "--tenant"),
        (["users", "add", "zoe@northwind.test"], "--new-tenant"),
        (["users", "remove", "nobody@northwind.test"], "users list"),
        (["keys", "revoke", "no such key"], "keys list"),
        (["sessions", "end", "no such session"], "sessions list"),
    ],
)
def test_account_commands_say_what_is_wrong_and_change_nothing(app: App, arguments: list[str], words: str) -> None:
    """In one sentence that names the command to use."""
    before = command(app.database_url, "users", "list")
    done = run_command(app.database_url, *arguments)
    assert done.returncode == 1
    assert words in done.stderr
    assert "Traceback" not in done.stderr
    assert command(app.database_url, "users", "list") == before
