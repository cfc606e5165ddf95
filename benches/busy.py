#!/usr/bin/env python3
"""An HTTP proxy that is sometimes too busy: `busy.py PORT UPSTREAM_PORT EVERY`.

Of EVERY requests it answers one with 503 and one with 429, with no word of when to come again.
"""

import http.client
import http.server
import itertools
import sys

port, upstream, every = map(int, sys.argv[1:4])
numbers = itertools.count(1)
HOPS = {"connection", "keep-alive", "transfer-encoding"}


class Proxy(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *_):
        pass

    def body(self):
        """The request's body, piece by piece."""
        if self.headers.get("Transfer-Encoding", "").lower() == "chunked":
            while size := int(self.rfile.readline().split(b";")[0], 16):
                yield self.rfile.read(size)
                self.rfile.readline()
            self.rfile.readline()
            return
        left = int(self.headers.get("Content-Length") or 0)
        while left and (piece := self.rfile.read(min(left, 1 << 18))):
            left -= len(piece)
            yield piece

    def refuse(self, status):
        for _ in self.body():
            pass
        self.send_response(status)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def serve(self):
        busy = {every // 3: 503, 2 * every // 3: 429}.get(next(numbers) % every)
        if busy:
            return self.refuse(busy)
        hub = http.client.HTTPConnection("127.0.0.1", upstream)
        headers = {key: value for key, value in self.headers.items() if key.lower() not in HOPS}
        chunked = "Transfer-Encoding" in self.headers
        has_body = chunked or self.headers.get("Content-Length", "0") != "0"
        hub.request(self.command, self.path, self.body() if has_body else None, headers,
                    encode_chunked=chunked)
        answer = hub.getresponse()
        self.send_response(answer.status)
        for key, value in answer.getheaders():
            if key.lower() not in HOPS:
                self.send_header(key, value)
        if answer.getheader("Content-Length") is None:
            self.send_header("Connection", "close")
        self.end_headers()
        if self.command != "HEAD":
            while piece := answer.read(1 << 18):
                self.wfile.write(piece)
        hub.close()

    do_GET = do_HEAD = do_POST = do_PUT = do_PATCH = do_DELETE = serve


class Server(http.server.ThreadingHTTPServer):
    request_queue_size = 256
    daemon_threads = True


Server(("127.0.0.1", port), Proxy).serve_forever()
