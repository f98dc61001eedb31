"""One tree of errors. Each carries what an HTTP problem (RFC 9457) needs: status, title, field, remedy.

RealtimeError
├── InvalidRequest (400)          the request cannot be read at all
├── NotAuthenticated (401)        nobody is known to be asking
├── NotAllowed (403)              somebody is, and may not
├── NotFound (404)
├── Conflict (409)                the same id with other content
│   ├── ChannelFull               its numbers have come to their end
│   └── TooManyChannels           the tenant has as many as it may have
├── TooLarge (413)
├── UnsupportedMedia (415)
├── InvalidEvent (422)            readable, but not an event this house can route or store
├── RateLimited (429)
└── Unavailable (503)             a part of the house is away; `retryable`
    ├── NotSignedOut
    ├── DatabaseUnavailable
    │   └── NotMigrated           its tables are not those of this release
    ├── ProviderUnavailable       away, slow, or counting us out for now
    └── ProviderRefused           the key, its rights or its account are not accepted; not `retryable`
"""

from realtime_ui.core.logs import REQUEST_ID


class RealtimeError(Exception):
    """Root of the tree.

    Args:
        detail: what was wrong, one sentence.
        field: the field at fault, as a path such as `payload.projectId`, or None.
        remedy: what to do about it, one sentence, or None.
    """

    status: int = 500
    title: str = "Something failed on our side"
    retryable: bool = False

    def __init__(self, detail: str, *, field: str | None = None, remedy: str | None = None) -> None:
        super().__init__(detail)
        self.detail = detail
        self.field = field
        self.remedy = remedy

    def problem(self) -> dict[str, str | int | bool]:
        """The error as RFC 9457 problem details, with our extension members.

        `field`, `remedy`, `retryable`, and the `request_id` of the HTTP request that it answers.
        """
        members: dict[str, str | int | bool | None] = {
            "type": "about:blank",
            "title": self.title,
            "status": self.status,
            "detail": self.detail,
            "field": self.field,
            "remedy": self.remedy,
            "retryable": self.retryable,
            "request_id": REQUEST_ID.get(),
        }
        return {name: _sendable(value) for name, value in members.items() if value is not None}


def _sendable(value: str | int | bool) -> str | int | bool:
    """A member as UTF-8 can carry it: a field's name may be a caller's, with half of a surrogate pair in it."""
    return value.encode("utf-8", "backslashreplace").decode() if isinstance(value, str) else value


class InvalidRequest(RealtimeError):
    """The request cannot be read: broken JSON, a wrong type where a list was needed."""

    status = 400
    title = "The request cannot be read"


class NotAuthenticated(RealtimeError):
    """No valid key or sign-in session came with the request."""

    status = 401
    title = "Sign in or send an API key"


class NotAllowed(RealtimeError):
    """The caller is known but may not do this."""

    status = 403
    title = "Not allowed"


class NotFound(RealtimeError):
    """No such thing, or none that the caller may know of."""

    status = 404
    title = "Not found"


class Conflict(RealtimeError):
    """The same event id was used before with other content."""

    status = 409
    title = "The id is taken"


class ChannelFull(Conflict):
    """The channel has given out its last number."""

    title = "The channel is full"


class TooManyChannels(Conflict):
    """The tenant has as many channels as it may have.

    Args:
        channel: the one that is new.
        most: how many there may be.
    """

    title = "A limit is reached"

    def __init__(self, channel: object, most: int | None) -> None:
        super().__init__(
            f"{channel} would be a new channel, and your organization has {most or 0:,}, as many as it may have.",
            field="channel",
            remedy="Use a channel that exists, or have CHANNELS_PER_TENANT raised.",
        )


class TooLarge(RealtimeError):
    """A body, list or payload passes its bound."""

    status = 413
    title = "Too large"


class UnsupportedMedia(RealtimeError):
    """The body is not JSON."""

    status = 415
    title = "Send JSON"


class InvalidEvent(RealtimeError):
    """The event can be read but not routed or stored."""

    status = 422
    title = "The event is not valid"


class RateLimited(RealtimeError):
    """Too many requests.

    Args:
        detail: what was limited.
        retry_after_s: seconds until another try can succeed.
    """

    status = 429
    title = "Too many requests"
    retryable = True

    def __init__(self, detail: str, *, retry_after_s: float) -> None:
        super().__init__(detail, remedy=f"Wait {retry_after_s:.0f} s and try again.")
        self.retry_after_s = retry_after_s


class TooManyConnections(RealtimeError):
    """The caller has as many connections as it may have."""

    status = 429
    title = "Too many connections"


class Unavailable(RealtimeError):
    """A part of the house is away; the same request may succeed later."""

    status = 503
    title = "Unavailable for now"
    retryable = True
    retry_after_s: float = 1.0


class DatabaseUnavailable(Unavailable):
    """PostgreSQL cannot be reached, gave up on the connection, or does not accept writes."""


class NotMigrated(DatabaseUnavailable):
    """The database's tables are missing, or older than this release."""

    def __init__(self) -> None:
        super().__init__("The database is not migrated.", remedy="Run `alembic upgrade head` with its DATABASE_URL.")


class NotSignedOut(Unavailable):
    """The browser forgot its session, which could not be ended on the server."""


class ProviderUnavailable(Unavailable):
    """The provider's service cannot be reached."""


class ProviderRefused(Unavailable):
    """The provider's service does not accept our key, token or what we ask for; somebody has to change a setting."""

    title = "The provider refuses"
    retryable = False
