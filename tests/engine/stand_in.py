"""Stands where vLLM's server would, for tests of what starts and stops it: `python stand_in.py ... --port N`.

It says that it serves the model it was given, and answers every other request with its process's number, `slow`
seconds later where the request says so; one with `ends` ends it. SIGTERM ends it in an orderly way, which it writes
down.
"""

import json
import os
import signal
import sys
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


def option(name: str) -> str:
    return sys.argv[sys.argv.index(name) + 1]


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        card = {"id": option("--served-model-name"), "root": option("--model"), "max_model_len": 64}
        self.say({"data": [card]} if self.path == "/v1/models" else {})

    def do_POST(self) -> None:
        asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        time.sleep(asked.get("slow", 0))
        if "ends" in asked:
            os._exit(9)
        self.say({"pid": os.getpid()})

    def say(self, told: dict) -> None:
        body = json.dumps(told).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        pass


def stop(*_: object) -> None:
    print("stopped in order", flush=True)
    os._exit(0)


if __name__ == "__main__":
    if "--no-such-argument" in sys.argv:
        sys.exit("error: unrecognized arguments: --no-such-argument")
    signal.signal(signal.SIGTERM, stop)
    ThreadingHTTPServer(("127.0.0.1", int(option("--port"))), Handler).serve_forever()
