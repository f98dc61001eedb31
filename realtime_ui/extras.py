"""Extras, the optional parts of the installation, and the error that names a missing one."""

from collections.abc import Iterator
from contextlib import contextmanager


class MissingExtra(ImportError):
    """A package of an extra that is not installed is needed now; the message says which extra to install."""


@contextmanager
def needs(extra: str, what: str) -> Iterator[None]:
    """Around imports: name the extra where a package is missing.

    Args:
        extra: the extra's name in `pyproject.toml`.
        what: what needs it, as the beginning of the message.

    Raises:
        MissingExtra: a package other than this one could not be found.
    """
    try:
        yield
    except ModuleNotFoundError as error:
        package = (error.name or "").partition(".")[0]
        if package in ("", "realtime_ui"):
            raise
        raise MissingExtra(
            f"{what} needs the package {package}, which is not installed; run: pip install 'realtime-ui[{extra}]'"
        ) from error
