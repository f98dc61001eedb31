"""Settings."""

from typing import Any

import pytest
import sqlalchemy as sa
from pydantic import ValidationError

from realtime_ui.core.channels import ChannelType
from realtime_ui.settings import Settings


def settings(**values: Any) -> Settings:
    """Settings that do not depend on a .env file."""
    return Settings(_env_file=None, **values)


@pytest.mark.parametrize("given", ["postgresql://u:p@h/d", "postgres://u:p@h/d", "postgresql+psycopg://u:p@h/d"])
def test_the_plain_form_of_a_database_address_is_taken(given: str) -> None:
    """Hosting services hand out the plain one."""
    assert settings(database_url=given).database_url == "postgresql+psycopg://u:p@h/d"


@pytest.mark.parametrize(
    ("given", "hosts", "ports"),
    [
        ("postgresql://u:p%40@a:5433,b:5434/d?target_session_attrs=read-write", "a,b", "5433,5434"),
        ("postgres://u:p%40@a,b/d", "a,b", "5432,5432"),
        ("postgresql://u:p%40@[::1]:5433,[::2]/d", "::1,::2", "5433,5432"),
    ],
)
def test_a_database_address_may_name_several_hosts(given: str, hosts: str, ports: str) -> None:
    """As libpq has it; the driver is given all of them."""
    url = sa.make_url(settings(database_url=given).database_url)
    _, connect = url.get_dialect()().create_connect_args(url)
    assert {name: connect[name] for name in ("user", "password", "host", "port", "dbname")} == {
        "user": "u",
        "password": "p@",
        "host": hosts,
        "port": ports,
        "dbname": "d",
    }


def test_a_list_of_hosts_with_a_wrong_one_is_refused() -> None:
    """Naming the setting."""
    with pytest.raises(ValidationError, match="one of them is not HOST or HOST:PORT"):
        settings(database_url="postgresql://a:x,b/d")


def test_another_database_is_refused() -> None:
    """PostgreSQL is the only one."""
    with pytest.raises(ValidationError, match="DATABASE_URL"):
        settings(database_url="sqlite:///x.db")


def test_the_public_address_follows_the_port_unless_told() -> None:
    """And has no trailing slash."""
    assert settings(port=4000).url == "http://localhost:4000"
    assert settings(public_url="https://app.example.org/").url == "https://app.example.org"
    assert settings(public_url="https://app.example.org/").secure_cookies
    assert not settings().secure_cookies


def test_origins_are_separated_by_commas(monkeypatch: pytest.MonkeyPatch) -> None:
    """As an environment variable has it."""
    monkeypatch.setenv("ALLOWED_ORIGINS", "https://a.example, https://b.example")
    assert settings().allowed_origins == ("https://a.example", "https://b.example")


def test_a_short_secret_key_is_refused() -> None:
    """Whoever knows it can sign messages."""
    assert settings(secret_key="x" * 16).secret_key == "x" * 16
    with pytest.raises(ValidationError, match="it is too short; give it at least 16 characters"):
        settings(secret_key="x" * 15)


@pytest.mark.parametrize("wrong", [{"port": 0}, {"frame_window_ms": -1}, {"sweep_interval_s": 0}])
def test_what_is_out_of_bounds_is_refused(wrong: dict[str, Any]) -> None:
    """At the start, not at midnight."""
    with pytest.raises(ValidationError):
        settings(**wrong)


@pytest.mark.parametrize(
    ("given", "project", "system", "user"),
    [
        ("30", 30, 30, 30),
        ("0", None, None, None),
        ("30,system=7,project=0", None, 7, 30),
        (" system = 0.5 , 14 ", 14, 0.5, 14),
        ("system=7", 30, 7, 30),
        ("", 30, 30, 30),
    ],
)
def test_how_long_the_log_is_kept_is_said_for_all_types_and_for_single_ones(
    given: str, project: float | None, system: float | None, user: float | None
) -> None:
    """In days; 0 is for ever."""
    kept = settings(retention_days=given).retention
    found = (kept[ChannelType.PROJECT], kept[ChannelType.SYSTEM], kept[ChannelType.USER])
    assert found == (project, system, user)
    assert set(kept) == set(ChannelType)


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ("planet=3", "'planet' is not a channel type; there are project"),
        ("30,=3", "'' is not a channel type"),
        ("a month", "'a month' is not a number of days"),
        ("system=", "'' is not a number of days"),
        ("-1", "'-1' is not a number of days"),
        ("nan", "'nan' is not a number of days"),
        ("inf", "from 0 \\(for ever\\) to 36,500"),
        ("30,7", "twice how long all types"),
        ("system=1,system=2", "twice how long system"),
    ],
)
def test_a_wrong_retention_is_refused(wrong: str, words: str) -> None:
    """By what is wrong about it."""
    with pytest.raises(ValidationError, match=words):
        settings(retention_days=wrong)
