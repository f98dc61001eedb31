"""The pages' addresses: patterns for Reflex, builders for links."""

HOME = "/"
SIGN_IN = "/sign-in"
SET_UP = "/set-up"
PROJECT = "/projects/[project_id]"
SESSION = "/sessions/[session_id]"
CONNECTIONS = "/connections"
HEALTH = "/health"
PRESENCE = "/presence"
NOT_FOUND = "404"
"""Reflex's name for the page of an address that no other page has."""

CHANNEL_PAGES = {"project": "/projects/{id}", "session": "/sessions/{id}"}
"""Which channel types have a page, and where."""
