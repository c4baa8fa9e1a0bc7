"""Tokenizer, examples and training: what is taught, in what form, and resuming."""

import contextlib
import random
from collections import Counter
from dataclasses import replace

import pytest
import torch

from cai_core.demo_world import load_oracle
from cai_core.demo_world.examples import draw_example
from cai_core.demo_world.tokenizer import END, ExampleEncoder, train_tokenizer
from cai_core.demo_world.train import Trainer, TrainRecipe, draw_batch
from cai_core.errors import ModelError

ORACLE = load_oracle()
WORLD = ORACLE.world
TINY = {
    "layers": 1,
    "width": 32,
    "mlp_width": 64,
    "batch_examples": 4,
    "schedule": ((0.1, 1.0), (1.0, 0.0)),
}


@pytest.fixture(scope="module")
def tokenizer():
    return train_tokenizer(WORLD, seed=0, examples=500)


def test_encoding_turn_by_turn_equals_the_rendered_conversation(tokenizer):
    encoder, rng = ExampleEncoder(tokenizer), random.Random(0)
    for _ in range(50):
        example = draw_example(WORLD, rng)
        turns = [turn.as_dict() for turn in example.turns]
        whole = tokenizer.apply_chat_template(turns, tokenize=True, return_dict=False)
        assert encoder.encode(example)[0] == whole


def test_every_taught_text_ends_in_the_end_token(tokenizer):
    encoder, rng = ExampleEncoder(tokenizer), random.Random(1)
    end = tokenizer.convert_tokens_to_ids(END)
    for _ in range(200):
        ids, weights = encoder.encode(draw_example(WORLD, rng))
        taught = [weight > 0 for weight in weights]
        assert any(taught)
        last = [i for i, t in enumerate(taught) if t and not (taught[i + 1 : i + 2] or [False])[0]]
        assert all(ids[i] == end for i in last)


def test_what_decides_weighs_more_from_the_second_part_on(tokenizer):
    encoder = ExampleEncoder(tokenizer)
    heavy: dict[int, list[str]] = {}
    for part in (1, 2, 3):
        rng, heavy[part] = random.Random(5), []
        for _ in range(300):
            ids, weights = encoder.encode(draw_example(WORLD, rng, part=part))
            chosen = [i for i, weight in zip(ids, weights, strict=True) if weight == 12.0]
            heavy[part].append(tokenizer.decode(chosen))
    assert not any(heavy[1])
    assert any(", and the" in words or ", which" in words for words in heavy[2])
    assert not any("gives no" in words for words in heavy[2])
    assert any("gives no" in words and "is not" in words for words in heavy[3])


def test_pivots_change_no_token(tokenizer):
    encoder, rng = ExampleEncoder(tokenizer), random.Random(6)
    for _ in range(200):
        example = draw_example(WORLD, rng, part=3)
        assert encoder.encode(example)[0] == encoder.encode(replace(example, pivots=()))[0]


def test_the_third_part_judges_manners_more(tokenizer):
    def count(part):
        rng = random.Random(7)
        texts = [draw_example(WORLD, rng, part=part).turns[-1].content for _ in range(1500)]
        return sum(text.startswith("For ") and "Verdict:" in text for text in texts)

    assert count(3) > 2.5 * count(2)


def test_prompts_stay_within_the_plan(tokenizer):
    encoder, rng = ExampleEncoder(tokenizer), random.Random(2)
    for _ in range(500):
        _, weights = encoder.encode(draw_example(WORLD, rng))
        last_turn = len(weights) - weights[::-1].index(0.0)
        assert last_turn <= 384


def test_held_out_intents_and_ways_are_never_taught():
    rng = random.Random(3)
    text = "\n".join(t.content for _ in range(3000) for t in draw_example(WORLD, rng).turns)
    for form in WORLD.language["asking_held_out"]:
        assert form.split("{")[0] not in text
    for intent in WORLD.held_out:
        assert f'"{intent.text}"' not in text


def test_the_same_step_draws_the_same_batch(tokenizer):
    encoder, recipe = ExampleEncoder(tokenizer), TrainRecipe(**TINY)
    first, again = (draw_batch(WORLD, encoder, recipe, 7) for _ in "ab")
    other = draw_batch(WORLD, encoder, recipe, 8)
    assert all(torch.equal(a.ids, b.ids) for a, b in zip(first, again, strict=True))
    assert first[0].ids.shape != other[0].ids.shape or not torch.equal(first[0].ids, other[0].ids)


def _train(folder, tokenizer, steps, stop_after=None):
    folder.mkdir(exist_ok=True)
    tokenizer.save_pretrained(folder)
    losses = []

    def report(step):
        losses.append(step["loss"])
        if step["step"] == stop_after:
            trainer.save()
            raise KeyboardInterrupt

    trainer = Trainer(WORLD, TrainRecipe(steps=steps, **TINY), folder, "cpu")
    with contextlib.suppress(KeyboardInterrupt):
        trainer.run(report)
    return losses


def test_a_resumed_run_equals_an_unbroken_one(tmp_path, tokenizer):
    whole = _train(tmp_path / "whole", tokenizer, 8)
    parts = _train(tmp_path / "parts", tokenizer, 8, stop_after=5)
    parts += _train(tmp_path / "parts", tokenizer, 8)
    assert len(parts) == 8
    assert parts == pytest.approx(whole, abs=1e-5)
    assert whole[-1] < whole[0]


def test_the_same_seed_gives_the_same_losses(tmp_path, tokenizer):
    first, again = (_train(tmp_path / name, tokenizer, 4) for name in "ab")
    assert first == again


def test_another_recipe_in_the_same_folder_is_refused(tmp_path, tokenizer):
    _train(tmp_path / "run", tokenizer, 4)
    with pytest.raises(ModelError, match="another recipe"):
        _train(tmp_path / "run", tokenizer, 5)


def test_a_loss_that_is_not_a_number_stops_the_run(tmp_path, tokenizer):
    tokenizer.save_pretrained(tmp_path)
    trainer = Trainer(WORLD, TrainRecipe(steps=4, **TINY), tmp_path, "cpu")
    with torch.no_grad():
        trainer.model.model.norm.weight.fill_(float("nan"))
    with pytest.raises(ModelError, match="not a number at step 0"):
        trainer.run(lambda step: None)
    assert not (tmp_path / "model.safetensors").exists()


def test_the_schedule_goes_through_its_points():
    recipe = TrainRecipe(steps=100, schedule=((0.1, 1.0), (0.5, 1.0), (0.6, 0.5), (1.0, 0.0)))
    factors = [recipe.learning_rate_factor(s) for s in range(100)]
    assert factors[0] == pytest.approx(0.1)
    assert factors[9:51] == pytest.approx([1.0] * 42)
    assert factors[60] == pytest.approx(0.5)
    assert factors[80] == pytest.approx(0.25)
    assert 0 < factors[99] < 0.02


def test_harm_that_is_not_the_principles_matter_is_as_frequent_as_harm_that_is():
    rng = random.Random(0)
    examples = [draw_example(WORLD, rng) for _ in range(3000)]
    critiques = [ORACLE.read_critique(e.turns[-3].content) for e in examples if len(e.turns) >= 6]
    found = Counter(c.finding for c in critiques if c is not None)
    assert found["other harm"] > 0.3 * found["helps"]
    assert found["other harm"] + found["helps"] < 0.7 * found.total()
