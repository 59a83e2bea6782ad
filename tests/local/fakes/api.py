"""Stands in for the API where only the supervisor is tested: ready at once, on the port of the settings."""

import os
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


class Ready(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.send_response(200)
        self.end_headers()


if __name__ == "__main__":
    ThreadingHTTPServer(("127.0.0.1", int(os.environ["CLINIC_PORT"])), Ready).serve_forever()  # noqa: TID251 -- as a process
