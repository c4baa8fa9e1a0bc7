"""The command line with a scripted engine in the model's place, for faults on cue.

Usage: python tests/cli_with_hash_engine.py SETTINGS CLI-ARGUMENTS…
SETTINGS is JSON, as `install` takes it.
Every request is logged to $HASH_ENGINE_LOG, so that a second request for one row shows.
"""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from cai_core import cli
from cai_core.commands import revise
from cai_core.errors import ServerUnavailableError, UnknownModelError
from cai_core.inference.engine import Endpoint
from tests.pipeline.engines import HashEngine


def install(settings: dict[str, Any]) -> None:
    """Put the engine in the model's place.

    Args:
        settings: HashEngine's arguments; `launch` is a message that launching fails with.
    """

    class LoggedEngine(HashEngine):
        def __init__(self, endpoint: Endpoint) -> None:
            super().__init__(endpoint.model_id, **settings)

        async def __aenter__(self) -> HashEngine:
            return self

        async def __aexit__(self, *_: object) -> None:
            assert self.running == 0, "requests were left open"

        async def generate(self, *args: Any, seed: int, **kwargs: Any) -> Any:
            completion = await super().generate(*args, seed=seed, **kwargs)
            if log := os.environ.get("HASH_ENGINE_LOG"):
                with Path(log).open("a") as file:
                    file.write(f"{seed}\n")
            return completion

    settings = dict(settings)
    message = settings.pop("launch", None)

    def ensure_server(model: str, workspace: Path) -> Endpoint:
        if model == "unknown":
            raise UnknownModelError("No model 'unknown'. Possible are: demo.")
        if message is not None:
            raise ServerUnavailableError(message)
        return Endpoint(base_url="http://nowhere", model_id=model)

    revise.ensure_server = ensure_server
    revise.ModelClient = LoggedEngine


if __name__ == "__main__":
    install(json.loads(sys.argv[1]))
    sys.exit(cli.main(sys.argv[2:]))
