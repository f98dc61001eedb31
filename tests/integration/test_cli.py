"""The command line against the running app."""

import json
import os
import signal
import subprocess
import sys
import uuid

import pytest

from tests.app import ROOT, App, command


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


def test_a_key_is_for_one_organization(app: App) -> None:
    """With several, it must be named."""
    environment = {**os.environ, "DATABASE_URL": app.database_url}
    arguments = [sys.executable, "-m", "realtime_ui", "keys", "add", "ci"]
    done = subprocess.run(arguments, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert "--tenant" in done.stderr


def test_new_epochs_says_for_how_many_channels(database_url: str) -> None:
    """None, while nothing was ever emitted."""
    assert command(database_url, "log", "new-epochs") == "0 channels have a new epoch."
