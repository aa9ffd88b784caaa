"""A listener in front of a store: hands every request on as it is, and keeps what was asked, by operation."""

import http.client
import json
import re
import threading
import urllib.parse
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

BOUNDARY = "/_operation/"
# What a request means, beside method, path, query and body. Signatures and dates differ every time.
HEADERS = ("accept", "accept-datetime", "content-type", "if-match", "if-none-match")
# Of the connection to one side, not of the message.
HOP = ("connection", "transfer-encoding", "keep-alive")


class Capture:
    """Listens on loopback and forwards to `host:port` of a store."""

    def __init__(self, store):
        self.operations = {}
        capture = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def answer(self):
                body = self.rfile.read(int(self.headers.get("content-length") or 0))
                if self.path.startswith(BOUNDARY):
                    capture.begin(urllib.parse.unquote(self.path.removeprefix(BOUNDARY)))
                    self.reply(204, [], b"")
                    return
                capture.keep(self.command, self.path, self.headers, body)
                upstream = http.client.HTTPConnection(store, timeout=20)
                upstream.putrequest(self.command, self.path, skip_host=True, skip_accept_encoding=True)
                for name, value in self.headers.items():
                    if name.lower() not in HOP:
                        upstream.putheader(name, value)
                upstream.endheaders(body)
                answer = upstream.getresponse()
                self.reply(answer.status, answer.getheaders(), answer.read())
                upstream.close()

            do_GET = do_HEAD = do_PUT = do_PATCH = do_DELETE = do_POST = answer

            def reply(self, status, headers, body):
                self.send_response_only(status)
                for name, value in headers:
                    if name.lower() not in (*HOP, "content-length"):
                        self.send_header(name, value)
                if status not in (204, 304):
                    self.send_header("content-length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_):
                """Says nothing: the capture is what matters."""

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.address = f"127.0.0.1:{self.server.server_port}"
        self.thread = threading.Thread(target=self.server.serve_forever, daemon=True)

    def __enter__(self):
        self.thread.start()
        return self

    def __exit__(self, *_):
        self.server.shutdown()
        self.server.server_close()

    def begin(self, operation):
        """From now on requests belong to this operation."""
        assert operation not in self.operations, operation
        self.operations[operation] = []

    def keep(self, method, target, headers, body):
        """Keeps what a request means."""
        *_, current = self.operations.values()
        path, _, query = target.partition("?")
        meaning = {name: headers[name] for name in HEADERS if name in headers}
        current.append(
            {
                "method": method,
                "path": urllib.parse.unquote(path),
                "query": sorted(urllib.parse.parse_qsl(query, keep_blank_values=True)),
                "headers": meaning,
                "body": json.loads(body) if body else None,
                "signed": re.sub("(Credential|Signature)=[^&]*", r"\1", headers["authorization"]),
                "sync": "sync-token" in headers,
            }
        )
