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
from cai_core.inference.endpoints import EndpointConfig
from cai_core.inference.engine import Endpoint
from cai_core.inference.pool import PoolLoad
from cai_core.pipeline.connect import Launched
from tests.pipeline.engines import HashEngine


def install(settings: dict[str, Any]) -> None:
    """Put the engine in the model's place.

    Args:
        settings: HashEngine's arguments; `launch` is a message that launching fails with.
    """

    class LoggedEngine(HashEngine):
        load = PoolLoad(limit=8, in_flight=0, waiting=0, down=())

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

    class LaunchedEngine(Launched):
        def open(self, concurrency: int | None = None, **_: Any) -> Any:
            return LoggedEngine(self.endpoints[0].model_id, **settings)

    def launch(model: str, workspace: Path) -> Launched:
        if model == "unknown":
            raise UnknownModelError("No model 'unknown'. Possible are: demo.")
        if message is not None:
            raise ServerUnavailableError(message)
        url = "http://127.0.0.1:9"
        config = EndpointConfig(name="scripted", kind="url", urls=(url,), concurrency=8)
        endpoint = Endpoint(base_url=url, model_id=model)
        return LaunchedEngine(config=config, endpoints=(endpoint,), workspace=workspace)

    revise.launch = launch


if __name__ == "__main__":
    install(json.loads(sys.argv[1]))
    sys.exit(cli.main(sys.argv[2:]))
