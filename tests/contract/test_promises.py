"""What the bundled server promises beyond vLLM: exact repeatability, and no field ignored."""

from __future__ import annotations

import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import pytest

from cai_core.inference.engine import Endpoint
from cai_core.inference.model_folder import compute_weights_hash

PROMPT = "Mix flour, water and salt, then wait."
TARGET = {"prompt": PROMPT, "seed": 7, "max_tokens": 48, "logprobs": 3, "ignore_eos": True}


def ask(http: httpx.Client, endpoint: Endpoint, fields: dict[str, Any]) -> dict[str, Any]:
    response = http.post("/v1/completions", json={"model": endpoint.model_id, **fields})
    assert response.status_code == 200, response.text
    return response.json()["choices"][0]


def ask_among(
    http: httpx.Client, endpoint: Endpoint, neighbours: int, fields: dict[str, Any], delay: float
) -> dict[str, Any]:
    """Ask while others, of other lengths, run, join and leave; `delay` sets who comes first."""

    def neighbour(index: int) -> None:
        prompt = "The quick brown fox jumps. " * (1 + index % 5)
        length = 10 + 11 * (index % 7)
        ask(http, endpoint, {"prompt": prompt, "seed": index, "max_tokens": length})

    with ThreadPoolExecutor(neighbours + 1) as pool:
        others = [pool.submit(neighbour, index) for index in range(neighbours)]
        time.sleep(delay)
        answer = pool.submit(ask, http, endpoint, fields).result()
        for other in others:
            other.result()
    return answer


@pytest.mark.parametrize("temperature", [0.0, 1.0])
def test_an_answer_does_not_depend_on_its_neighbours(
    http: httpx.Client, bundled: Endpoint, temperature: float
) -> None:
    fields = {**TARGET, "temperature": temperature}
    alone = ask(http, bundled, fields)
    for neighbours in (1, 7, 15):
        for delay in (0.0, 0.03):
            among = ask_among(http, bundled, neighbours, fields, delay)
            # Log-probabilities too, to the last bit: no text is the same by luck.
            assert among == alone, f"{neighbours} neighbours, delay {delay}"


def test_a_choice_does_not_depend_on_n(http: httpx.Client, bundled: Endpoint) -> None:
    body = {"model": bundled.model_id, **TARGET, "max_tokens": 24}
    five = http.post("/v1/completions", json={**body, "n": 5}).json()["choices"]
    two = http.post("/v1/completions", json={**body, "n": 2}).json()["choices"]
    one = http.post("/v1/completions", json=body).json()["choices"]
    assert [c["text"] for c in five[:2]] == [c["text"] for c in two]
    assert [c["text"] for c in two[:1]] == [c["text"] for c in one]


def test_greedy_equals_transformers_generate(
    http: httpx.Client, bundled: Endpoint, reference: tuple[Any, Any]
) -> None:
    model, tokenizer = reference
    for prompt in ("How do I", PROMPT, PROMPT * 6):
        ids = tokenizer(prompt, return_tensors="pt")["input_ids"]
        made = model.generate(ids, max_new_tokens=40, do_sample=False, pad_token_id=0)
        expected = tokenizer.decode(made[0, ids.shape[1] :], skip_special_tokens=True)
        answer = ask(http, bundled, {"prompt": prompt, "max_tokens": 40, "temperature": 0})
        assert answer["text"] == expected.rstrip("\N{REPLACEMENT CHARACTER}")


def test_models_tells_weights_and_repeatability(
    http: httpx.Client, bundled: Endpoint, model_folder: Path
) -> None:
    card = http.get("/v1/models").json()["data"][0]
    assert card["weights_hash"] == compute_weights_hash(model_folder)
    assert card["repeatability"] == "exact"


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"temprature": 0.5}, "temprature"),
        ({"guided_choice": ["a"]}, "guided_choice"),
        ({"top_k": 5}, "top_k"),
        ({"echo": True}, "echo"),
        ({"presence_penalty": 0.5}, "presence_penalty"),
        ({"structured_outputs": {"choice": ["A"], "other": 1}}, "structured_outputs.other"),
        ({"structured_outputs": {"regex": "a"}}, "structured_outputs.regex"),
        ({"structured_outputs": {"json": {}}}, "structured_outputs.json"),
        ({"structured_outputs": {"grammar": "a"}}, "structured_outputs.grammar"),
        ({"structured_outputs": {"choice": [1]}}, "structured_outputs.choice"),
        ({"structured_outputs": {"choice": ["a" * 9000]}}, "structured_outputs.choice"),
        ({"logprobs": 1, "logprob_token_ids": [1.5]}, "logprob_token_ids"),
        ({"stream_options": {"include_usage": True}}, "stream_options"),
        ({"stream": True, "stream_options": {"other": 1}}, "stream_options.other"),
        ({"temperature": "hot"}, "temperature"),
        ({"n": True}, "n"),
        ({"n": 65}, "n"),
        ({"prompt": [[1, 99999]]}, "prompt"),
        ({"prompt": []}, "prompt"),
    ],
)
def test_no_field_is_ignored(
    http: httpx.Client, bundled: Endpoint, fields: dict[str, Any], param: str
) -> None:
    body = {"model": bundled.model_id, "prompt": "a", **fields}
    response = http.post("/v1/completions", json=body)
    assert response.status_code == 400, response.text
    assert response.json()["error"]["param"] == param
    assert param.split(".")[0] in response.json()["error"]["message"]


def test_neutral_values_pass(http: httpx.Client, bundled: Endpoint) -> None:
    neutral = {"top_k": -1, "min_p": 0.0, "repetition_penalty": 1.0, "echo": False, "stop": None}
    fields = {"prompt": "How", "temperature": 0}
    assert ask(http, bundled, {**fields, **neutral}) == ask(http, bundled, fields)


def test_the_chat_template_may_refuse(http: httpx.Client, bundled: Endpoint) -> None:
    late = [{"role": "user", "content": "a"}, {"role": "system", "content": "b"}]
    body = {"model": bundled.model_id, "messages": late}
    response = http.post("/v1/chat/completions", json=body)
    assert response.status_code == 400
    assert "the system turn comes first" in response.json()["error"]["message"]


def running(http: httpx.Client) -> int:
    state = http.get("/health").json()
    return int(state["running"] + state["waiting"])


def wait_until(condition: Any, seconds: float) -> bool:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if condition():
            return True
        time.sleep(0.02)
    return False


@pytest.mark.parametrize("stream", [True, False])
def test_hanging_up_frees_the_rows(http: httpx.Client, bundled: Endpoint, stream: bool) -> None:
    # 64 choices of 500 tokens: many seconds of work if it were not cancelled.
    body = {"model": bundled.model_id, "prompt": "How", "n": 64, "max_tokens": 500}
    body |= {"ignore_eos": True, "stream": stream, "seed": 1}
    leave = threading.Event()

    def hang_up_when_told() -> None:
        with httpx.Client(headers=http.headers, trust_env=False, timeout=60) as other:
            request = other.build_request("POST", f"{bundled.base_url}/v1/completions", json=body)
            if stream:
                response = other.send(request, stream=True)
                # Named, or it is collected at once, which closes the response too early.
                lines = response.iter_lines()
                next(lines)
                leave.wait(timeout=30)
                response.close()
                return
            with pytest.raises(httpx.ReadTimeout):
                other.post(request.url, json=body, timeout=0.5)

    caller = threading.Thread(target=hang_up_when_told, daemon=True)
    caller.start()
    ran = wait_until(lambda: running(http) == 64, 20)
    leave.set()
    caller.join(timeout=10)
    assert ran, "the request never ran"
    assert wait_until(lambda: running(http) == 0, 3), "the rows are still busy"


HALF_A_CHARACTER = r'{"prompt": "a", "structured_outputs": {"choice": ["\ud800"]}}'


@pytest.mark.parametrize(
    "body", ["[" * 100_000, '{"temperature": 1' + "0" * 400 + "}", HALF_A_CHARACTER]
)
def test_a_body_that_no_parser_takes_is_refused(
    http: httpx.Client, bundled: Endpoint, body: str
) -> None:
    assert http.post("/v1/completions", content=body).status_code == 400
