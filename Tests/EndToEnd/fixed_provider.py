"""A provider that answers what a test tells it to, in whatever wire format: for the formats that the stand-in
in tools/upstream does not speak."""

import http.server
import json
import threading


class FixedProvider:
    """`answers` maps a path, its query included, to what is answered there: a status, and either what becomes
    JSON or the pieces of a stream. The requests are kept in `requests`: path, headers in lower case, body; the
    bodies as they came in `bodies`."""

    STREAM_TYPE = "text/event-stream"

    def __init__(self, answers):
        provider = self
        self.answers = answers
        self.requests = []
        self.bodies = []

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self):
                body = self.rfile.read(int(self.headers["content-length"]))
                headers = {name.lower(): value for name, value in self.headers.items()}
                provider.bodies.append(body)
                is_form = headers.get("content-type") == "application/x-www-form-urlencoded"
                provider.requests.append((self.path, headers, body.decode() if is_form else json.loads(body)))
                status, answer = provider.answers.get(self.path, (404, {"error": self.path}))
                if isinstance(answer, dict):
                    self._answer(status, answer)
                else:
                    self._stream(status, answer)

            def _answer(self, status, answer):
                body = json.dumps(answer).encode()
                self.send_response(status)
                self.send_header("content-type", "application/json")
                self.send_header("content-length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def _stream(self, status, pieces):
                self.send_response(status)
                self.send_header("content-type", provider.STREAM_TYPE)
                self.send_header("transfer-encoding", "chunked")
                self.end_headers()
                for piece in pieces:
                    self.wfile.write(b"%x\r\n%s\r\n" % (len(piece), piece))
                self.wfile.write(b"0\r\n\r\n")

            def log_message(self, *_):
                pass

        self._server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.base = f"http://127.0.0.1:{self._server.server_address[1]}"
        self._thread = threading.Thread(target=self._server.serve_forever, daemon=True)

    def __enter__(self):
        self._thread.start()
        return self

    def __exit__(self, *_):
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


def events(*values, named=False):
    """The values as server-sent events, named for their `type` where asked."""
    name = "event: {type}\n" if named else ""
    return [f"{name.format(**value)}data: {json.dumps(value)}\n\n".encode() for value in values]
