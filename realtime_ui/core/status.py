"""The states a provider connection and its channels can be in; one vocabulary for all providers."""

from enum import StrEnum


class ConnectionStatus(StrEnum):
    """How the connection to a provider stands; `disconnected` means it is being retried."""

    INITIALIZED = "initialized"
    CONNECTING = "connecting"
    CONNECTED = "connected"
    DISCONNECTED = "disconnected"
    SUSPENDED = "suspended"
    CLOSING = "closing"
    CLOSED = "closed"
    FAILED = "failed"
