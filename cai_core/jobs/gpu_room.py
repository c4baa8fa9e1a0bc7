"""The GPU's memory for a training run: managed vLLMs are put away before it and brought back."""

from __future__ import annotations

import json
import logging
from pathlib import Path

from cai_core.errors import CaiError, ServerUnavailableError
from cai_core.inference.endpoints import EndpointConfig
from cai_core.inference.vllm_plan import KeeperTimes
from cai_core.inference.vllm_preflight import find_gpus
from cai_core.inference.vllm_server import list_vllm, start_vllm, stop_vllm
from cai_core.workspace.endpoints import load_book
from cai_core.workspace.files import replace_file
from cai_core.workspace.journal import FORMAT

log = logging.getLogger(__name__)

FILE = "put_away.json"
_HOLD_MEMORY = ("starting", "ready", "restarting")


def has_gpu() -> bool:
    """Whether this machine has an NVIDIA GPU that may be used."""
    try:
        return bool(find_gpus())
    except ServerUnavailableError:
        return False


class GpuRoom:
    """Puts managed vLLMs away and brings them back; what is away is remembered in a file.

    Args:
        times: for the keepers that are started again; None keeps the defaults.
    """

    def __init__(self, workspace: Path, *, times: KeeperTimes | None = None) -> None:
        self._workspace, self._times = workspace, times
        self._path = workspace / "servers" / FILE

    def make(self) -> None:
        """Stop the workspace's vLLMs; takes until they are gone.

        One that stands in no endpoints file was started by hand, could not be brought back, and
        is left alone.

        Raises:
            CaiError: one cannot be stopped, or it cannot be written down.
        """
        endpoints = load_book(self._workspace).endpoints
        for state in list_vllm(self._workspace):
            config = endpoints.get(state.name)
            if state.state not in _HOLD_MEMORY:
                continue
            if config is None or config.kind != "vllm":
                log.warning("vLLM %s is no endpoint of the workspace and stays", state.name)
                continue
            # Written down first: a dispatcher that is killed here leaves one to start, not lost.
            self._save([*self._load(), state.name])
            log.info("vLLM %s is put away for a training run", state.name)
            stop_vllm(config, self._workspace)

    def give_back(self) -> None:
        """Start what was put away; does not wait until it answers."""
        away = self._load()
        if not away:
            return
        try:
            endpoints = load_book(self._workspace).endpoints
        except CaiError as error:
            log.warning("what was put away waits: %s", error)
            return
        for name in away:
            if (config := endpoints.get(name)) is not None:
                self._start(config)
        self._save([])

    def _start(self, config: EndpointConfig) -> None:
        try:
            start_vllm(config, self._workspace, times=self._times)
            log.info("vLLM %s is brought back", config.name)
        except CaiError as error:
            # Whoever needs it starts it, and is told then.
            log.warning("vLLM %s is not brought back: %s", config.name, error)

    def _load(self) -> list[str]:
        try:
            return list(json.loads(self._path.read_text("utf-8"))["names"])
        except (OSError, ValueError, KeyError, TypeError):
            return []

    def _save(self, names: list[str]) -> None:
        document = {"format": FORMAT, "names": list(dict.fromkeys(names))}
        replace_file(self._path, [json.dumps(document).encode()])


def make_gpu_room(workspace: Path) -> GpuRoom | None:
    """One where there is a GPU to make room on."""
    return GpuRoom(workspace) if has_gpu() else None
