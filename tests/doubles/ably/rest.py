"""The REST half: time, tokens, publish, history, presence; JSON and msgpack."""

import base64
import time
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode

from aiohttp import web

from tests.doubles.ably.access import Pass
from tests.doubles.ably.wire import MSGPACK, AblyError, Frame, pack, shown, unpack

if TYPE_CHECKING:
    from tests.doubles.ably.server import AblyServer

PAGE, LARGEST_PAGE = 100, 1000
CORS = {
    "Access-Control-Allow-Origin": "*",
    "Access-Control-Allow-Headers": "*, Authorization",
    "Access-Control-Allow-Methods": "GET, POST, OPTIONS",
    "Access-Control-Expose-Headers": "Link, X-Ably-Errorcode, X-Ably-Errormessage",
}


class Rest:
    """Routes of a server.

    Args:
        server: whose they are.
    """

    def __init__(self, server: "AblyServer") -> None:
        self._server = server

    def routes(self) -> list[web.RouteDef]:
        """All of them."""
        channel = "/channels/{name}"
        return [
            web.get("/time", self._time),
            web.post("/keys/{key}/requestToken", self._request_token),
            web.get(f"{channel}/messages", self._history),
            web.get(f"{channel}/history", self._history),
            web.post(f"{channel}/messages", self._publish),
            web.get(f"{channel}/presence", self._presence),
        ]

    async def _time(self, request: web.Request) -> web.Response:
        return answer(request, [int(time.time() * 1000)])

    async def _request_token(self, request: web.Request) -> web.Response:
        body = await _body(request)
        return answer(request, self._server.access.issue(request.match_info["key"], body), status=201)

    async def _publish(self, request: web.Request) -> web.Response:
        name, who, body = request.match_info["name"], self._who(request), await _body(request)
        who.require(name, "publish")
        self._server.check_refusing()
        messages: list[Frame] = body if isinstance(body, list) else [body]
        frame_id = f"rest{time.time_ns():x}"
        signed = [each | ({"clientId": who.client_id} if who.client_id not in (None, "*") else {}) for each in messages]
        serials = self._server.channel(name).publish(signed, frame_id, "")
        return answer(request, {"channel": name, "messageId": frame_id, "serials": serials}, status=201)

    async def _history(self, request: web.Request) -> web.Response:
        name = request.match_info["name"]
        self._who(request).require(name, "history")
        query = dict(request.query)
        limit = int(query.get("limit", PAGE))
        if not 0 < limit <= LARGEST_PAGE:
            raise AblyError(40000, "limit must be from 1 to 1000")
        found = [each for entry in self._until(name, query) for each in entry]
        found = [
            each for each in found if int(query.get("start", 0)) <= each["timestamp"] <= int(query.get("end", 2**60))
        ]
        if query.get("direction", "backwards") == "backwards":
            found.reverse()
        skip = int(query.get("cursor", 0))
        links = [("first", 0)] + ([("next", skip + limit)] if skip + limit < len(found) else [])
        binary = _binary(request)
        page = [shown(each, binary) for each in found[skip : skip + limit]]
        response = answer(request, page)
        for relation, cursor in links:
            again = urlencode({**query, "cursor": str(cursor)})
            response.headers.add("Link", f'<./messages?{again}>; rel="{relation}"')
        return response

    def _until(self, name: str, query: dict[str, str]) -> list[list[Frame]]:
        entries = self._server.channel(name).entries
        if (serial := query.get("from_serial") or query.get("fromSerial")) is not None:
            entries = [entry for entry in entries if entry.frame["channelSerial"] <= serial]
        return [entry.frame["messages"] for entry in entries]

    async def _presence(self, request: web.Request) -> web.Response:
        name = request.match_info["name"]
        self._who(request).require(name, "presence", "subscribe")
        members = [{**each, "action": 1} for each in self._server.channel(name).members.values()]
        return answer(request, [shown(each, _binary(request)) for each in members])

    def _who(self, request: web.Request) -> Pass:
        kind, _, value = request.headers.get("Authorization", "").partition(" ")
        if kind == "Basic":
            return self._server.access.by_key(base64.b64decode(value).decode())
        if kind == "Bearer":
            return self._server.access.by_token(base64.b64decode(value).decode())
        return self._server.who(request.query)


def answer(request: web.Request, value: Any, *, status: int = 200) -> web.Response:
    """A value in the format that was asked for."""
    binary = _binary(request)
    kind = MSGPACK if binary else "application/json"
    return web.Response(body=pack(value, binary), status=status, content_type=kind, headers=CORS)


def problem(request: web.Request, error: AblyError) -> web.Response:
    """An error in the format that was asked for."""
    response = answer(request, {"error": error.info}, status=error.status)
    response.headers["X-Ably-Errorcode"] = str(error.code)
    response.headers["X-Ably-Errormessage"] = str(error)
    return response


async def _body(request: web.Request) -> Any:
    return unpack(await request.read(), request.content_type == MSGPACK)


def _binary(request: web.Request) -> bool:
    wanted = request.headers.get("Accept", "")
    return request.query.get("format") == "msgpack" or wanted.startswith(MSGPACK)
