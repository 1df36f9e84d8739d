"""A file server on 127.0.0.1 that understands Range and misbehaves on request."""

from __future__ import annotations

import socket
import struct
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Literal

Fault = Literal["short", "reset", "stall", "ignores range", "range elsewhere", "gzip", "404", "503"]


@dataclass
class FileServer:
    """What is served, how, and what was asked for.

    faults     one per coming request, used up in order; "" = behave
    always     the fault of every request after those
    cut_after  bytes that are sent before a short, reset or stalling answer ends
    requests   (file name, Range header or "") of every request so far
    """

    files: dict[str, bytes]
    address: str = ""
    faults: list[Fault | Literal[""]] = field(default_factory=list)
    always: Fault | Literal[""] = ""
    cut_after: int = 200_000
    requests: list[tuple[str, str]] = field(default_factory=list)
    stopped: threading.Event = field(default_factory=threading.Event)

    def url(self, name: str) -> str:
        return f"{self.address}/{name}"


@contextmanager
def serve_files(files: dict[str, bytes]) -> Iterator[FileServer]:
    state = FileServer(files)

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            name, asked = self.path.lstrip("/"), self.headers.get("Range", "")
            state.requests.append((name, asked))
            answer(self, state, name, asked, state.faults.pop(0) if state.faults else state.always)

        def log_message(self, *args: object) -> None:
            pass

    class Server(ThreadingHTTPServer):
        daemon_threads = False  # so that closing waits for the handlers

        def handle_error(self, request: object, client_address: object) -> None:
            if not isinstance(sys.exception(), OSError):  # the other side went away: wanted here
                super().handle_error(request, client_address)

    with Server(("127.0.0.1", 0), Handler) as server:
        state.address = f"http://127.0.0.1:{server.server_port}"
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield state
        finally:
            state.stopped.set()
            server.shutdown()
            thread.join()


def answer(handler: BaseHTTPRequestHandler, state: FileServer, name: str, asked: str, fault: str) -> None:
    if fault in ("404", "503") or name not in state.files:
        handler.send_error(int(fault or 404))
        return
    content = state.files[name]
    start = 0 if fault == "ignores range" or not asked else int(asked.removeprefix("bytes=").rstrip("-"))
    if start and start >= len(content):
        handler.send_response(416)
        handler.send_header("Content-Range", f"bytes */{len(content)}")
        handler.send_header("Content-Length", "0")
        handler.end_headers()
        return
    if fault == "range elsewhere":
        start = max(0, start - 10)
    handler.send_response(206 if start else 200)
    if start:
        handler.send_header("Content-Range", f"bytes {start}-{len(content) - 1}/{len(content)}")
    if fault == "gzip":
        handler.send_header("Content-Encoding", "gzip")
    body = content[start:]
    handler.send_header("Content-Length", str(len(body)))
    handler.end_headers()
    if fault in ("short", "reset", "stall"):
        handler.wfile.write(body[: state.cut_after])
        handler.wfile.flush()
        if fault == "stall":
            state.stopped.wait(20)
        if fault == "reset":
            time.sleep(0.1)  # the bytes shall be read before the connection breaks
            handler.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            handler.wfile.close()
            handler.rfile.close()
            handler.connection.close()
        return
    handler.wfile.write(body)
