"""OpenTelemetry: spans reach a collector where its variables say so, and nothing is loaded where not."""

import asyncio
import gzip
import os
import subprocess
import sys
import threading
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.trace.v1.trace_pb2 import Span

from tests.app import ROOT, App
from tests.tab import open_tab


@dataclass
class Collector:
    """An OTLP/HTTP receiver on this machine, and the spans that it was sent."""

    spans: list[Span] = field(default_factory=list)
    services: set[str] = field(default_factory=set)
    url: str = ""

    @classmethod
    @contextmanager
    def listening(cls) -> Iterator["Collector"]:
        """One that runs until the block's end."""
        collector = cls()

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                """Take an export."""
                body = self.rfile.read(int(self.headers["Content-Length"]))
                if self.headers.get("Content-Encoding") == "gzip":
                    body = gzip.decompress(body)
                collector.take(ExportTraceServiceRequest.FromString(body))
                self.send_response(200)
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, *_: object) -> None:
                """Say nothing."""

        with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
            thread = threading.Thread(target=server.serve_forever)
            thread.start()
            collector.url = f"http://127.0.0.1:{server.server_port}"
            try:
                yield collector
            finally:
                server.shutdown()
                thread.join()

    def take(self, request: ExportTraceServiceRequest) -> None:
        """Remember what came."""
        for resource in request.resource_spans:
            for attribute in resource.resource.attributes:
                if attribute.key == "service.name":
                    self.services.add(attribute.value.string_value)
            for scope in resource.scope_spans:
                self.spans += scope.spans

    async def has(self, name: str) -> Span:
        """The first span whose name holds this, waited for."""
        async with asyncio.timeout(60):
            while True:
                for span in self.spans:
                    if name in span.name:
                        return span
                await asyncio.sleep(0.1)


async def test_requests_and_events_arrive_as_spans_and_sockets_work(app: App, own_port: int) -> None:
    """No session's token among them."""
    with Collector.listening() as collector:
        variables = {
            "OTEL_TRACES_EXPORTER": "otlp",
            "OTEL_EXPORTER_OTLP_ENDPOINT": collector.url,
            "OTEL_BSP_SCHEDULE_DELAY": "200",
        }
        with App.start(app.database_url, port=own_port, **variables) as traced:
            project = uuid.uuid4().hex[:12]
            cookie = traced.cookie("max@northwind.test")
            async with open_tab(traced.url, cookie) as tab:
                assert (await tab.sub(f"project:{project}"))["ok"]
                update: tuple[str, dict[str, object]] = ("project.updated", {"projectId": project})
                for _ in range(3):
                    await asyncio.to_thread(traced.emit, update)
                await tab.until(lambda: tab.seqs(f"project:{project}") == [1, 2, 3])
                await tab.event("reflex___state____state.realtime_ui___states___session____session_state.load")
                handled = await collector.has("session_state.load")
                emitted = await collector.has("POST /api/events")
            assert handled.kind == Span.SPAN_KIND_CONSUMER
            assert emitted.kind == Span.SPAN_KIND_SERVER
            status = {a.key: a.value.int_value for a in emitted.attributes}
            assert status["http.response.status_code"] == 202
            assert collector.services == {"realtime-ui"}
            secrets = (cookie.partition("=")[2], tab.token, traced.key)
            assert not any(secret in str(span) for span in collector.spans for secret in secrets)


def test_nothing_of_it_is_loaded_without_its_variables() -> None:
    """A tab is to cost what it cost; nor is its socket wrapped.

    But for the SDK's metrics module, which Reflex's Redis client takes wherever it is installed.
    """
    script = (
        "import sys; from realtime_ui.realtime_ui import app; from reflex_base import otel;"
        "print(otel.enabled, otel.asgi_middleware, [m for m in sys.modules if m.startswith(('opentelemetry.sdk.trace',"
        " 'opentelemetry.exporter', 'opentelemetry.instrumentation', 'reflex_otel'))])"
    )
    environment = {name: value for name, value in os.environ.items() if not name.startswith("OTEL_")}
    environment |= {"DATABASE_URL": "postgresql://nobody@127.0.0.1:1/none", "SECRET_KEY": "a secret for tests"}
    done = subprocess.run(
        [sys.executable, "-c", script], cwd=ROOT, env=environment, capture_output=True, text=True, check=False
    )
    assert done.stdout.splitlines()[-1:] == ["False None []"], done.stderr
