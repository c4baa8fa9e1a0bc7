"""The bundled demo model through the launcher and the client, as a page uses them."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from cai_core.inference.client import ModelClient
from cai_core.inference.launcher import ensure_server, stop_server
from cai_core.inference.model_folder import DEMO, DEMO_FOLDER, compute_weights_hash
from cai_core.records import Message, SamplingParams


@pytest.mark.skipif(not DEMO_FOLDER.is_dir(), reason="the demo model is not in this checkout")
def test_the_demo_model_answers_and_stops(tmp_path: Path) -> None:
    async def check() -> None:
        async with ModelClient(ensure_server(DEMO, tmp_path)) as client:
            info = await client.info()
            assert (info.engine, info.repeatability) == ("cai-local", "exact")
            assert info.weights_hash == compute_weights_hash(DEMO_FOLDER)
            prompt = (Message("user", "How do I bake bread?"),)
            params = SamplingParams(temperature=0.0, max_tokens=120)
            pieces: list[str] = []
            told = await client.generate(prompt, params, seed=1, on_text=pieces.append)
            whole = await client.generate(prompt, params, seed=1)
            assert "".join(pieces) == told.text == whole.text != ""
            assert told.finish_reason == "stop"
            assert told.completion_tokens == whole.completion_tokens > 1

    try:
        asyncio.run(check())
    finally:
        stop_server(DEMO, tmp_path)
