"""Run one model server until it is stopped or nobody asks any more."""

from __future__ import annotations

import asyncio
import logging
import os
import socket

import torch
import transformers
import uvicorn

import cai_core
from cai_core.inference.local_server.app import ModelServer
from cai_core.inference.local_server.classifier import load_classifier
from cai_core.inference.local_server.classifier_app import ClassifierServer
from cai_core.inference.local_server.loading import load_model
from cai_core.inference.local_server.server_base import Activity, BaseServer, Served
from cai_core.inference.model_folder import compute_weights_hash, fetch_model, is_classifier

logger = logging.getLogger(__name__)


def run_server(
    model: str, listener: socket.socket, *, idle_seconds: float, api_key: str | None
) -> None:
    """Load the model and answer on the listening socket.

    Args:
        idle_seconds: leave after that long without a request; 0 stays for ever.

    Raises:
        UnknownModelError: no such model.
        ModelError: the model cannot be served here.
    """
    torch.set_num_threads(choose_threads())
    folder = fetch_model(model)
    served = Served(
        model_id=model,
        weights_hash=compute_weights_hash(folder),
        version=(
            f"{cai_core.__version__}+torch{torch.__version__}"
            f".transformers{transformers.__version__}"
        ),
    )
    server: BaseServer
    if is_classifier(folder):
        classifier = load_classifier(folder)
        repeatability = classifier.repeatability
        server = ClassifierServer(classifier, served, api_key=api_key)
    else:
        loaded = load_model(folder)
        repeatability = loaded.repeatability
        server = ModelServer(loaded, served, api_key=api_key)
    config = uvicorn.Config(
        server.build_app(),
        log_level="warning",
        # Browsers and clients keep connections; vLLM's 5 s made reused ones fail.
        timeout_keep_alive=75,
        timeout_graceful_shutdown=5,
    )
    host, port = listener.getsockname()[:2]
    logger.warning("%s answers on http://%s:%s (%s)", model, host, port, repeatability)
    asyncio.run(_serve(uvicorn.Server(config), server.activity, listener, idle_seconds))


def choose_threads() -> int:
    """CAI_SERVER_THREADS, else OMP_NUM_THREADS, else half the cores.

    Half, because a second thread gains 25 % on an idle machine and loses badly on one that
    trains at the same time (measured with a 4 M parameter model on two cores).
    """
    for name in ("CAI_SERVER_THREADS", "OMP_NUM_THREADS"):
        value = os.environ.get(name, "")
        if value.isdigit() and int(value) > 0:
            return int(value)
    return max(1, (os.cpu_count() or 1) // 2)


async def _serve(
    server: uvicorn.Server, activity: Activity, listener: socket.socket, idle_seconds: float
) -> None:
    watcher = asyncio.create_task(_leave_when_idle(server, activity, idle_seconds))
    await server.serve(sockets=[listener])
    watcher.cancel()


async def _leave_when_idle(server: uvicorn.Server, activity: Activity, idle_seconds: float) -> None:
    if idle_seconds <= 0:
        return
    while (left := idle_seconds - activity.idle_seconds) > 0:
        await asyncio.sleep(max(left, 0.05))
    logger.warning("nobody asked for %s seconds: leaving", idle_seconds)
    server.should_exit = True
