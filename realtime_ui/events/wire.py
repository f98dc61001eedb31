"""How a message travels over a provider: the bare payload, with its number and a signature beside it.

A message without a valid signature is a foreign one: somebody else published it on the channel. One that is larger
than the provider takes, or whose payload is unreadable, goes as a notice: its number alone, by which hubs find it in
the log.
"""

import hashlib
import hmac
import json
import uuid
from dataclasses import dataclass, replace

from realtime_ui.core.channels import ChannelName
from realtime_ui.core.emitters import UNKNOWN
from realtime_ui.core.messages import Ephemeral, Message
from realtime_ui.core.payloads import Json, compact, is_too_deep
from realtime_ui.providers.base import WireMessage

SEQ, EPOCH, NOTICE, SIGNATURE = "seq", "epoch", "notice", "signature"
BY, BY_SIGNATURE = "by", "by_signature"


@dataclass(frozen=True, slots=True)
class Notice:
    """Word that the log has a message, whose payload could not go over the wire."""

    tenant: uuid.UUID
    channel: ChannelName
    seq: int
    epoch: str


def wire_channel(tenant: uuid.UUID, channel: ChannelName) -> str:
    """A tenant's channel as providers know it."""
    return f"{tenant}:{channel}"


def parse_wire_channel(name: str) -> tuple[uuid.UUID, ChannelName]:
    """The reverse of `wire_channel`.

    Raises:
        ValueError: not a name made by it.
    """
    tenant, _, channel = name.partition(":")
    return uuid.UUID(tenant), ChannelName.stored(channel)


class Signer:
    """Marks messages as this system's own, with HMAC-SHA256 (RFC 2104) under the server's secret.

    Args:
        secret: the same in every worker.
    """

    def __init__(self, secret: str) -> None:
        self._secret = secret.encode()

    def to_wire(self, message: Message | Ephemeral, client_id: str, max_bytes: int | None = None) -> WireMessage:
        """A message ready to publish; an ephemeral one goes without a number.

        Args:
            message: what was committed, or is to be shown now.
            client_id: this worker.
            max_bytes: a committed one whose payload is larger goes as a notice; so does an unreadable one.
        """
        headers = {SEQ: str(message.seq), EPOCH: message.epoch} if isinstance(message, Message) else {}
        data = message.data
        if isinstance(message, Message) and (
            message.unreadable or (max_bytes is not None and len(compact(data).encode()) > max_bytes)
        ):
            headers[NOTICE], data = "1", {}
        bare = WireMessage(message.id, message.type, data, message.timestamp, client_id, headers)
        sealed = self.seal(wire_channel(message.tenant, message.channel), bare)
        if not message.emitted_by:
            return sealed
        # Signed by itself, so that workers of before release 0211 still know the message as their own.
        by = {BY: message.emitted_by, BY_SIGNATURE: self._sign_emitter(sealed.headers[SIGNATURE], message.emitted_by)}
        return replace(sealed, headers={**sealed.headers, **by})

    def from_wire(self, channel: str, wire: WireMessage) -> Message | Ephemeral | Notice | None:
        """The message that was sent, word of one that is in the log, or None for a foreign one.

        A payload that is nested too deeply, as a worker of an earlier release may send it, counts as one that could
        not go over the wire; an ephemeral one is empty then, since the log does not have it.
        """
        text = self._verified(channel, wire)
        if text is None:
            return None
        tenant, name = parse_wire_channel(channel)
        by, readable = self._emitter(wire), not is_too_deep(text)
        if SEQ not in wire.headers:
            data = wire.data if readable else {}
            return Ephemeral(tenant, name, wire.id, wire.name, data, wire.timestamp, by)
        seq, epoch = int(wire.headers[SEQ]), wire.headers[EPOCH]
        if NOTICE in wire.headers or not readable:
            return Notice(tenant, name, seq, epoch)
        return Message(tenant, name, seq, epoch, wire.id, wire.name, wire.data, wire.timestamp, emitted_by=by)

    def seal(self, channel: str, wire: WireMessage) -> WireMessage:
        """A message with its signature, for a channel of the provider."""
        return replace(wire, headers={**wire.headers, SIGNATURE: self._sign(channel, wire, _signed_text(wire.data))})

    def is_own(self, channel: str, wire: WireMessage) -> bool:
        """Whether a message that came over the channel was sealed by this system, and for that channel."""
        return self._verified(channel, wire) is not None

    def _verified(self, channel: str, wire: WireMessage) -> str | None:
        """The payload's text as it was signed; None where the signature is missing or wrong."""
        signature = wire.headers.get(SIGNATURE)
        if not signature:
            return None
        try:
            text = _signed_text(wire.data)
        except RecursionError:  # deeper than whatever we signed
            return None
        return text if hmac.compare_digest(_bytes(signature), _bytes(self._sign(channel, wire, text))) else None

    def _emitter(self, wire: WireMessage) -> str:
        """Who emitted an own message; unknown where that is not said, or not signed."""
        by = wire.headers.get(BY, UNKNOWN)
        signed = self._sign_emitter(wire.headers.get(SIGNATURE, ""), by)
        return by if hmac.compare_digest(_bytes(wire.headers.get(BY_SIGNATURE, "")), _bytes(signed)) else UNKNOWN

    def _sign_emitter(self, signature: str, by: str) -> str:
        return hmac.new(self._secret, _bytes(f"{BY} {signature} {by}"), hashlib.sha256).hexdigest()

    def _sign(self, channel: str, wire: WireMessage, text: str) -> str:
        signed = [wire.headers.get(name, "") for name in (SEQ, EPOCH, NOTICE)]
        parts = [channel, wire.id, wire.name, *signed, wire.timestamp, hashlib.sha256(_bytes(text)).hexdigest()]
        return hmac.new(self._secret, json.dumps(parts).encode(), hashlib.sha256).hexdigest()


def _signed_text(data: Json) -> str:
    """A payload as it is signed: with sorted keys, since a provider may hand it back in another order."""
    return json.dumps(data, sort_keys=True, ensure_ascii=False, separators=(",", ":"))


def _bytes(text: str) -> bytes:
    """UTF-8 of anything that JSON can hold: a foreign message may have half of a surrogate pair in it."""
    return text.encode("utf-8", "surrogatepass")
