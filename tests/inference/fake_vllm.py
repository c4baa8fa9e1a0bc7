"""A `vllm serve` that fails on cue, for what the real one cannot be made to do.

`install` makes an environment whose python finds it under vLLM's name. What each life does is
told beforehand; a question or option that it does not expect ends it.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

CANARY = {"prompt": "Hi", "max_tokens": 1, "temperature": 0}
METRICS = """\
vllm:num_requests_running{{engine="0"}} {running}.0
vllm:num_requests_waiting{{engine="0"}} 0.0
vllm:prompt_tokens_total{{engine="0"}} {tokens}.0
vllm:request_success_total{{engine="0",finished_reason="stop"}} {others}.0
vllm:request_success_total{{engine="0",finished_reason="length"}} {canaries}.0
"""


def install(folder: Path, lives: list[dict[str, Any]], *, version: str = "0.32.0+cpu") -> Path:
    """Make the environment; its python.

    Args:
        lives: what one life after another does, the last one again and again. Keys: `say` (into
            the log), `exit` (status, at once), `linger` (seconds without listening), `mute`
            (never healthy), `die_after` (seconds after an answer), `canary` (an HTTP status),
            `slow_after` (so many answered canaries), `running` (requests), `counting` (tokens
            go on), `deaf` (ignores SIGTERM, with a child that does so too).
    """
    package = folder / "site" / "vllm" / "entrypoints" / "cli"
    package.mkdir(parents=True)
    for part in (package, package.parent, package.parents[1]):
        (part / "__init__.py").touch()
    (package / "main.py").write_text(Path(__file__).read_text("utf-8"), "utf-8")
    metadata = folder / "site" / f"vllm-{version}.dist-info"
    metadata.mkdir()
    (metadata / "METADATA").write_text(f"Metadata-Version: 2.1\nName: vllm\nVersion: {version}\n")
    (folder / "lives.json").write_text(json.dumps(lives))
    python = folder / "python"
    python.write_text(
        f"#!/bin/sh\nFAKE_VLLM='{folder}' PYTHONPATH='{folder}/site' exec {sys.executable} \"$@\"\n"
    )
    python.chmod(0o755)
    return python


def count_lives(python: Path) -> int:
    """How often it was started."""
    return len(list(python.parent.glob("life-*")))


class Server(ThreadingHTTPServer):
    """One life."""

    daemon_threads = True

    def __init__(self, port: int, model: str, life: dict[str, Any]) -> None:
        super().__init__(("127.0.0.1", port), Handler)
        self.model = model
        self.life = life
        self.canaries = 0
        self.others = 0


class Handler(BaseHTTPRequestHandler):
    """Answers what a keeper asks."""

    server: Server

    def do_GET(self) -> None:
        life = self.server.life
        if self.path == "/health":
            self._answer(503 if life.get("mute") else 200, "")
        elif self.path == "/metrics":
            tokens = int(time.monotonic() * 1000) if life.get("counting") else 7
            counted = {"canaries": self.server.canaries, "others": self.server.others}
            running = life.get("running", 0)
            self._answer(200, METRICS.format(running=running, tokens=tokens, **counted))
        else:
            print(f"unexpected {self.path}", flush=True)
            os._exit(9)

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        if self.headers["Authorization"] != f"Bearer {os.environ['VLLM_API_KEY']}":
            return self._answer(401, '{"error": "Unauthorized"}')
        if self.path != "/v1/completions" or body.pop("model") != self.server.model:
            print(f"unexpected {self.path} {body}", flush=True)
            os._exit(9)
        life = self.server.life
        if body != CANARY:
            self.server.others += 1
        elif "canary" in life:
            return self._answer(life["canary"], '{"error": {"message": "no completions here"}}')
        elif self.server.canaries == life.get("slow_after"):
            time.sleep(60)
        else:
            self.server.canaries += 1
            if "die_after" in life:
                threading.Timer(life["die_after"], lambda: os._exit(1)).start()
        return self._answer(200, '{"choices": [{"text": "!"}]}')

    def _answer(self, status: int, text: str) -> None:
        self.send_response(status)
        self.end_headers()
        self.wfile.write(text.encode())

    def log_message(self, *_: object) -> None:
        """Nothing."""


def main() -> None:
    """One life: `main.py serve SOURCE … --host 127.0.0.1 --port N --served-model-name M`."""
    folder = Path(os.environ["FAKE_VLLM"])
    past = len(list(folder.glob("life-*")))
    (folder / f"life-{past}").write_text(json.dumps({"argv": sys.argv, "env": dict(os.environ)}))
    lives = json.loads((folder / "lives.json").read_text())
    life = lives[min(past, len(lives) - 1)]
    print(life.get("say", "fake vLLM"), flush=True)
    if "exit" in life:
        sys.exit(life["exit"])
    time.sleep(life.get("linger", 0))
    if life.get("deaf"):
        subprocess.Popen(["sh", "-c", "trap '' TERM; while :; do sleep 1; done"])
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
    assert sys.argv[1] == "serve"
    assert sys.argv[-6:-5] + sys.argv[-4:-3] + sys.argv[-2:-1] == [
        "--host",
        "--port",
        "--served-model-name",
    ]
    Server(int(sys.argv[-3]), sys.argv[-1], life).serve_forever()


if __name__ == "__main__":
    main()
