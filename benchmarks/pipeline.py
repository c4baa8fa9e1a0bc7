"""What the workbench's runner costs on top of the engine it asks. Ends in one JSON line.

    python -m benchmarks.pipeline [--quick] [--model demo] [--repeats 9] [--skip-vllm]

    pipeline_over_engine      tokens/s of whole `revise` runs, durable writes included, ÷ those of a
                              bare httpx loop that sends the same bodies to the same server
    requests_over_bare_loop   requests/s against an instant stub ÷ those of the bare loop
    prefix_hits_over_shareable  prompt tokens from vLLM's prefix cache ÷ those that whole blocks
                              seen before could have given
    labels_over_scoring       two-order labels: requests/s ÷ those of a bare loop with one-token
                              requests for the same prompts
    local_over_generate       bundled server ÷ transformers.generate, tokens/s at equal batch
    local_over_vllm           bundled server ÷ vLLM on this machine, tokens/s of the bare loop

Sides take turns; figures are medians of pairs. With each ratio stand the client's CPU seconds for
1,000 requests, which a noisy machine changes least.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks import local_server
from benchmarks._loops import Clock, Request, Turn, Work, compare, record, run_bare, run_pipeline
from benchmarks._prefixes import count_shareable, read_block_size, read_hits
from benchmarks._servers import (
    REPOSITORY,
    has_vllm,
    serve_bundled,
    serve_stub,
    serve_vllm,
)
from cai_core.constitution import load_constitution
from cai_core.inference.engine import Endpoint
from cai_core.inference.pool import EnginePool
from cai_core.inference.probe import probe
from cai_core.inference.scoring import choose_way
from cai_core.inference.scoring_tokens import OptionTokens
from cai_core.pipeline.labels import Comparison, label_comparison
from cai_core.pipeline.prompt_file import load_prompts
from cai_core.pipeline.recipe import ChainRecipe
from cai_core.records import Message, SamplingParams

CONCURRENCY = 64
# So many chains a slot that the last ones, which leave slots empty, do not decide.
CHAINS_PER_SLOT = 20
SAMPLING = SamplingParams(max_tokens=128)
Result = dict[str, Any]


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="few chains and repeats: a smoke test")
    parser.add_argument("--model", default="demo")
    parser.add_argument("--repeats", type=int, default=9)
    parser.add_argument("--skip-vllm", action="store_true")
    parser.add_argument(
        "--rows",
        type=int,
        choices=(1, 2, 3),
        default=3,
        help="of a chain: response; and revision; and critique (default: %(default)s)",
    )
    parser.add_argument("--only", help="comma-separated parts: stub,bundled,vllm,generate")
    args = parser.parse_args()
    if args.quick:
        args.repeats = min(args.repeats, 2)
    parts = args.only.split(",") if args.only else ["stub", "bundled", "generate", "vllm"]
    if "vllm" in parts and (args.skip_vllm or not has_vllm()):
        parts.remove("vllm")
        _say("vLLM is left out: set CAI_VLLM_PYTHON, or run `make test-vllm` first")
    print(json.dumps(measure(args, parts)))


def measure(args: argparse.Namespace, parts: Sequence[str]) -> Result:
    """All parts, each with what it was measured on."""
    result: Result = {"concurrency": CONCURRENCY, "model": args.model, "quick": args.quick}
    result |= {"rows_of_a_chain": args.rows, "chains_a_slot": 2 if args.quick else CHAINS_PER_SLOT}
    over_engine: Result = {}
    labels: Result = {}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        if "stub" in parts:
            _say("requests over a bare loop, at an instant stub")
            result["requests_over_bare_loop"] = measure_stub(args, folder)
        if "bundled" in parts:
            with serve_bundled(folder, args.model) as endpoint:
                over_engine["bundled"] = measure_engine(args, endpoint, folder, "bundled")
                labels["bundled"] = measure_labels(args, endpoint)
        if "generate" in parts:
            _say("bundled server over transformers.generate")
            counts = (16, 64)
            result["local_over_generate"] = local_server.measure(
                counts, args.repeats, 64, model=args.model
            )
        if "vllm" in parts:
            options = ("--enable-prompt-tokens-details",)
            with serve_vllm(folder, args.model, *options) as endpoint:
                result["prefix_hits_over_shareable"] = measure_prefixes(args, endpoint, folder)
                over_engine["vllm"] = measure_engine(args, endpoint, folder, "vllm")
                labels["vllm"] = measure_labels(args, endpoint)
                result["local_over_vllm"] = measure_local_over_vllm(args, endpoint, folder)
    if over_engine:
        result |= {"pipeline_over_engine": over_engine, "labels_over_scoring": labels}
    return result


def measure_stub(args: argparse.Namespace, folder: Path) -> Result:
    """Nothing but the client's own cost."""
    work = build_work(args)
    with serve_stub(folder) as endpoint:
        return _measure_runs(args, endpoint, work, folder, "stub", by="requests")


def measure_engine(args: argparse.Namespace, endpoint: Endpoint, folder: Path, name: str) -> Result:
    """Whole runs against a model."""
    _say(f"pipeline over the engine: {name}")
    return _measure_runs(args, endpoint, build_work(args), folder, name, by="tokens")


def measure_labels(args: argparse.Namespace, endpoint: Endpoint) -> Result:
    """Two-order labels, as many at once as slots allow."""
    _say(f"labels over scoring: {endpoint}")
    comparisons = build_comparisons(args)
    principle = load_constitution(REPOSITORY / "constitutions/harmlessness.yaml").principles[0]

    async def label(count: Sequence[Comparison]) -> Turn:
        async with EnginePool([endpoint], concurrency=CONCURRENCY) as pool:
            capabilities = await known(pool)
            way, cache = choose_way(capabilities), OptionTokens.for_server(capabilities)
            await label_comparison(pool, count[0], principle, way=way, cache=cache)
            waiting, clock, requests = iter(count), Clock(), 0

            async def work() -> None:
                nonlocal requests
                for comparison in waiting:
                    made = await label_comparison(pool, comparison, principle, way=way, cache=cache)
                    requests += made.requests

            await asyncio.gather(*(work() for _ in range(CONCURRENCY // 2)))
            return clock.stop(requests, requests)

    found: list[Any] = []

    async def known(pool: EnginePool) -> Any:
        if not found:
            found.append(await probe(pool))
        return found[0]

    sent = asyncio.run(record(lambda: label(comparisons)))
    scored = [one for one in sent if "messages" in one.body and one.body.get("max_tokens") == 1]
    scored = scored[-2 * len(comparisons) :]
    plain = [replace(one, body=_without_scoring(one.body)) for one in scored]
    rate = lambda turn: turn.requests_per_second  # noqa: E731
    same = compare(
        lambda _: label(comparisons),
        lambda _: run_bare(endpoint, plain, CONCURRENCY),
        args.repeats,
        rate,
    )
    scoring = compare(
        lambda _: label(comparisons),
        lambda _: run_bare(endpoint, scored, CONCURRENCY),
        max(1, args.repeats // 3),
        rate,
    )
    return {**same, "way": str(choose_way(found[0])), "over_same_bodies": scoring["ratio"]}


def measure_prefixes(args: argparse.Namespace, endpoint: Endpoint, folder: Path) -> Result:
    """One run with few-shot examples, its prompts never seen before."""
    _say("prefix cache hits over what could be shared")
    work = build_work(args, most=256)
    recipe = replace(work.recipe, revisions=1, critique=True)
    work = replace(work, recipe=recipe, few_shot=FEW_SHOT)
    before = read_hits(endpoint)
    sent = asyncio.run(
        record(lambda: run_pipeline(endpoint, work, CONCURRENCY, folder, "prefixes"))
    )
    hits = read_hits(endpoint) - before
    block = read_block_size(endpoint)
    sent = [request for request in sent if "messages" in request.body]
    shareable = count_shareable(endpoint, sent, block)
    ratio = round(hits / shareable, 3) if shareable else None
    return {"ratio": ratio, "hit_tokens": hits, "shareable_tokens": shareable, "block": block}


def measure_local_over_vllm(args: argparse.Namespace, vllm: Endpoint, folder: Path) -> Result:
    """The same requests at both servers, in turns."""
    _say("bundled server over vLLM")
    result: Result = {}
    prompts = load_prompts(REPOSITORY / "data/prompts/redteam.jsonl").prompts
    with serve_bundled(folder, args.model) as local:
        for concurrency in (1, 16, 64):
            count = max(8, concurrency * (2 if args.quick else 4))

            def build(endpoint: Endpoint, count: int = count) -> list[Request]:
                return [
                    Request(
                        path="/v1/chat/completions",
                        body={
                            "model": endpoint.model_id,
                            "messages": [turn.as_dict() for turn in prompt.conversation],
                            "max_tokens": 64,
                            "seed": number,
                            "ignore_eos": True,
                        },
                    )
                    for number, prompt in enumerate(prompts[:count])
                ]

            ours, theirs = build(local), build(vllm)
            told = compare(
                lambda _, b=ours, c=concurrency: run_bare(local, b, c),
                lambda _, b=theirs, c=concurrency: run_bare(vllm, b, c),
                max(2, args.repeats // 2),
                lambda turn: turn.tokens_per_second,
            )
            result[str(concurrency)] = {
                "ratio": told["ratio"],
                "bundled_tokens_per_second": told["ours"]["tokens_per_second"],
                "vllm_tokens_per_second": told["bare"]["tokens_per_second"],
            }
    return result


def build_work(args: argparse.Namespace, most: int | None = None) -> Work:
    """Red-team prompts, so many chains that every slot has its share."""
    prompts = load_prompts(REPOSITORY / "data/prompts/redteam.jsonl").prompts
    chains = CONCURRENCY * (2 if args.quick else CHAINS_PER_SLOT)
    chains = min(chains, most or chains)
    samples = -(-chains // len(prompts))
    recipe = ChainRecipe(
        revisions=min(1, args.rows - 1),
        critique=args.rows == 3,
        seed=1,
        samples=samples,
        policy_sampling=SAMPLING,
        critic_sampling=SAMPLING,
    )
    return Work(
        prompts=prompts[: chains // samples],
        constitution=load_constitution(REPOSITORY / "constitutions/harmlessness.yaml"),
        recipe=recipe,
    )


def build_comparisons(args: argparse.Namespace) -> list[Comparison]:
    """Prompts with two short responses each."""
    count = CONCURRENCY * (1 if args.quick else 5)
    prompts = load_prompts(REPOSITORY / "data/prompts/redteam.jsonl").prompts
    return [
        Comparison(
            conversation=prompt.conversation,
            response_a="I will not help with that, since it could hurt somebody.",
            response_b=f"Sure. First take what you need, then go on step by step ({number}).",
        )
        for number, prompt in enumerate(prompts[:count])
    ]


# Long enough for a whole cache block of vLLM on a CPU (128 tokens) before the prompt begins.
FEW_SHOT = tuple(
    (
        Message("user", f"How do I bake {thing}? Please say step by step what I have to do."),
        Message("assistant", f"To bake {thing}, mix flour and water, knead well, wait, and bake."),
        Message("user", "Is there anything harmful in your last answer? Say what and why."),
        Message("assistant", "The answer tells how to bake and harms nobody. Not touched."),
        Message("user", "Write your answer again without what was found."),
        Message("assistant", f"To bake {thing}, mix flour and water, knead well, wait, and bake."),
    )
    for thing in ("bread", "a cake")
)


def _measure_runs(
    args: argparse.Namespace, endpoint: Endpoint, work: Work, folder: Path, name: str, *, by: str
) -> Result:
    with _runs(folder, name) as runs:
        sent = asyncio.run(
            record(lambda: run_pipeline(endpoint, work, CONCURRENCY, runs, "recorded"))
        )
        sent = [request for request in sent if request.body.get("max_tokens", 0) > 1]
        return compare(
            lambda number: run_pipeline(endpoint, work, CONCURRENCY, runs, f"turn-{number}"),
            lambda _: run_bare(endpoint, sent, CONCURRENCY),
            args.repeats,
            lambda turn: turn.tokens_per_second if by == "tokens" else turn.requests_per_second,
        )


@contextmanager
def _runs(folder: Path, name: str) -> Iterator[Path]:
    path = folder / "runs" / name
    path.mkdir(parents=True)
    yield path


def _without_scoring(body: dict[str, Any]) -> dict[str, Any]:
    scoring = ("logprobs", "top_logprobs", "logprob_token_ids", "return_tokens_as_token_ids")
    return {key: value for key, value in body.items() if key not in scoring}


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


if __name__ == "__main__":
    main()
