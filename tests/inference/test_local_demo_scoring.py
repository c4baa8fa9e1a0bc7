"""Options' log-probabilities of the demo model: the bundled server beside transformers itself."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import httpx
import pytest
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

from cai_core.inference.launcher import ensure_server, stop_server
from cai_core.inference.model_folder import DEMO, DEMO_FOLDER

ASKED = [{"role": "user", "content": "Which response is better, A or B? Answer A, B or tie."}]
OPTIONS = ("A", "B", "tie")
GO_ON = {"add_generation_prompt": False, "continue_final_message": True}


@pytest.fixture(scope="module")
def http(tmp_path_factory: pytest.TempPathFactory) -> Iterator[httpx.Client]:
    workspace = tmp_path_factory.mktemp("workspace")
    endpoint = ensure_server(DEMO, workspace)
    headers = {"Authorization": f"Bearer {endpoint.api_key}"}
    with httpx.Client(base_url=endpoint.base_url, headers=headers, trust_env=False) as client:
        yield client
    stop_server(DEMO, workspace)


@pytest.fixture(scope="module")
def reference() -> tuple[Any, Any]:
    model = AutoModelForCausalLM.from_pretrained(DEMO_FOLDER, dtype=torch.float32).eval()
    return model, AutoTokenizer.from_pretrained(DEMO_FOLDER)


@torch.inference_mode()
def compute_table(model: Any, prompt: list[int]) -> torch.Tensor:
    table: torch.Tensor = torch.log_softmax(model(torch.tensor([prompt])).logits[0, -1], dim=-1)
    return table


def ask_named(http: httpx.Client, messages: list[dict[str, str]], named: list[int]) -> list[float]:
    body = {"model": DEMO, "messages": messages, "max_tokens": 1, "logprobs": True}
    body |= {"logprob_token_ids": named, "return_tokens_as_token_ids": True, "seed": 1}
    body |= GO_ON if messages[-1]["role"] == "assistant" else {}
    answer = http.post("/v1/chat/completions", json=body).raise_for_status().json()
    top = answer["choices"][0]["logprobs"]["content"][0]["top_logprobs"]
    told = {entry["token"]: entry["logprob"] for entry in top}
    return [told[f"token_id:{token}"] for token in named]


def test_named_tokens_equal_log_softmax(http: httpx.Client, reference: tuple[Any, Any]) -> None:
    model, tokenizer = reference
    rendered = tokenizer.apply_chat_template(ASKED, tokenize=False, add_generation_prompt=True)
    table = compute_table(model, tokenizer(rendered, add_special_tokens=False)["input_ids"])
    ranked = table.argsort(descending=True).tolist()
    options = [tokenizer(text, add_special_tokens=False)["input_ids"][0] for text in OPTIONS]
    # The best, some that no list of 20 would hold, and the very last.
    named = list(dict.fromkeys([*ranked[:5], *ranked[20:2000:40], *ranked[-5:], *options]))
    assert sum(ranked.index(token) >= 20 for token in named) > 50
    expected = table[torch.tensor(named)].tolist()
    assert ask_named(http, ASKED, named) == pytest.approx(expected, abs=1e-4)


def test_whole_options_equal_the_sum_of_their_tokens(
    http: httpx.Client, reference: tuple[Any, Any]
) -> None:
    model, tokenizer = reference
    rendered = tokenizer.apply_chat_template(ASKED, tokenize=False, add_generation_prompt=True)
    for option in ("I can help with that.", "No, that would hurt somebody"):
        prompt = tokenizer(rendered, add_special_tokens=False)["input_ids"]
        tokens = tokenizer(option, add_special_tokens=False)["input_ids"]
        asked, told, expected = "", 0.0, 0.0
        for token in tokens:
            turn = [*ASKED, {"role": "assistant", "content": asked}] if asked else ASKED
            told += ask_named(http, turn, [token])[0]
            expected += float(compute_table(model, prompt)[token])
            prompt.append(token)
            asked += tokenizer.decode([token])
        assert asked == option
        assert told == pytest.approx(expected, abs=1e-4)


def test_choices_are_their_share_of_the_options(
    http: httpx.Client, reference: tuple[Any, Any]
) -> None:
    model, tokenizer = reference
    rendered = tokenizer.apply_chat_template(ASKED, tokenize=False, add_generation_prompt=True)
    table = compute_table(model, tokenizer(rendered, add_special_tokens=False)["input_ids"])
    ids = [tokenizer(text, add_special_tokens=False)["input_ids"][0] for text in ("A", "B")]
    share = torch.log_softmax(table[torch.tensor(ids)], dim=-1).tolist()
    body = {"model": DEMO, "messages": ASKED, "max_tokens": 3, "logprobs": True, "top_logprobs": 2}
    body |= {"structured_outputs": {"choice": ["A", "B"]}, "return_tokens_as_token_ids": True}
    answer = http.post("/v1/chat/completions", json=body).raise_for_status().json()["choices"][0]
    assert answer["message"]["content"] in ("A", "B")
    top = answer["logprobs"]["content"][0]["top_logprobs"]
    told = {entry["token"]: entry["logprob"] for entry in top}
    assert [told[f"token_id:{token}"] for token in ids] == pytest.approx(share, abs=1e-4)
