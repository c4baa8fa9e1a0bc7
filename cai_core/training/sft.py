"""SL-CAI: fine-tune a model on revisions, with TRL. Resumable; the loss is on answers alone."""

from __future__ import annotations

import json
import math
import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import zip_longest
from pathlib import Path
from typing import Any

import torch
from datasets import Dataset
from peft import LoraConfig, PeftModel
from transformers import (
    AutoModelForCausalLM,
    AutoTokenizer,
    PreTrainedModel,
    PreTrainedTokenizerBase,
)
from trl.trainer.sft_config import SFTConfig
from trl.trainer.sft_trainer import SFTTrainer

from cai_core.errors import CaiError, Cancelled, ModelError, RecipeError, RunMismatchError
from cai_core.inference.model_folder import compute_weights_hash, fetch_model
from cai_core.records import Message
from cai_core.training.callbacks import Sampling, StopFlag, Watching, stoppable
from cai_core.training.checkpoints import (
    clear_broken,
    find_last_good,
    list_steps,
    seal_checkpoint,
)
from cai_core.training.datasets import SftDataset, SftExample, parse_example
from cai_core.training.model_card import CardFacts, build_model_card
from cai_core.training.recipe import SftRecipe, parse_sft_recipe
from cai_core.workspace.files import check_disk, replace_file
from cai_core.workspace.journal import append_records, encode_record, read_lines
from cai_core.workspace.runs import Run
from cai_core.workspace.status import RunState
from cai_core.workspace.writer import RunWriter

KIND = "sft"
DATASET = "dataset.jsonl"
SAMPLES = "samples.jsonl"
KEPT_CHECKPOINTS = 2
# Weights and Adam's two moments.
_CHECKPOINT_COPIES = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class SftResult:
    """What a finished run made.

    Attributes:
        model: the folder that the bundled server and vLLM load.
        steps: optimizer steps in all.
        loss: of the last log line, nats a token.
        seconds: in this start's steps alone; `sample_seconds` in samples.
    """

    model: Path
    steps: int
    loss: float | None
    seconds: float
    sample_seconds: float


def run_sft(
    run: Run,
    build_dataset: Callable[[], SftDataset],
    *,
    on_log: Callable[[Mapping[str, Any]], None] | None = None,
) -> SftResult:
    """Train, or go on, and write outputs/model (and outputs/adapter with LoRA).

    The run ends `succeeded`; `cancelled` on SIGTERM or SIGINT, with a checkpoint; `failed` where
    going on would fail again (a loss that is not a number, an example too long); `interrupted`
    where the disk gives up. The last whole checkpoint is kept in each case.

    Args:
        build_dataset: called at the first start; what it gave is frozen in outputs/dataset.jsonl.
        on_log: gets each line of metrics.jsonl.

    Raises:
        Cancelled: it was stopped.
        ModelError: the loss is not a number, or the model cannot be loaded.
        RecipeError: there is nothing to train on.
        RunMismatchError: the base model's weights are not those of the recipe.
        WorkspaceError: another process writes the run, or the disk is full.
    """
    recipe = parse_sft_recipe(run.recipe)
    with RunWriter(run) as writer, stoppable() as stop:
        try:
            result = _Stage(run, recipe, writer, stop).train(build_dataset, on_log)
        except Cancelled:
            writer.set_status(RunState.CANCELLED, reason="stopped; the last step is saved")
            raise
        except (ModelError, RecipeError, RunMismatchError) as error:
            writer.set_status(RunState.FAILED, reason=str(error))
            raise
        except (OSError, CaiError) as error:
            writer.set_status(RunState.INTERRUPTED, reason=str(error))
            raise
        counts = {"steps_done": result.steps, "steps_total": result.steps}
        writer.set_status(RunState.SUCCEEDED, counts=counts)
    return result


class FiniteTrainer(SFTTrainer):
    """TRL's trainer, ended by a loss that is not a number; checkpoints are whole or not there."""

    def training_step(self, *args: Any, **kwargs: Any) -> torch.Tensor:
        """One micro-batch.

        Raises:
            ModelError: its loss is not a number; the weights are as they were before the step.
        """
        loss: torch.Tensor = super().training_step(*args, **kwargs)  # type: ignore[no-untyped-call]
        if not torch.isfinite(loss):
            raise ModelError(
                f"the loss is {loss.item()} in step {self.state.global_step + 1}. The checkpoint "
                "before it is kept. Lower the learning rate, or look at the examples."
            )
        return loss

    def _save_checkpoint(self, model: Any, trial: Any) -> None:
        if not all(bool(torch.isfinite(p).all()) for p in model.parameters()):
            raise ModelError(
                f"weights are not finite after step {self.state.global_step}; that checkpoint is "
                "not kept. Lower the learning rate."
            )
        super()._save_checkpoint(model, trial)  # type: ignore[no-untyped-call]
        folder = Path(str(self.args.output_dir))
        seal_checkpoint(folder / f"checkpoint-{self.state.global_step}")
        for step in list_steps(folder)[KEPT_CHECKPOINTS:]:
            shutil.rmtree(folder / f"checkpoint-{step}")


class _Stage:
    """One start of a run."""

    def __init__(self, run: Run, recipe: SftRecipe, writer: RunWriter, stop: StopFlag) -> None:
        self._run, self._recipe, self._writer, self._stop = run, recipe, writer, stop
        self._checkpoints = run.path / "checkpoints"

    def train(
        self,
        build_dataset: Callable[[], SftDataset],
        on_log: Callable[[Mapping[str, Any]], None] | None,
    ) -> SftResult:
        recipe = self._recipe
        base = fetch_model(recipe.base)
        base_hash = compute_weights_hash(base)
        if recipe.base_hash not in (None, base_hash):
            raise RunMismatchError(
                f"{base}: its weights are {base_hash[:12]}, the recipe's {recipe.base_hash!s:.12}. "
                "Bring the old ones back, or start a new run."
            )
        examples = self._freeze(build_dataset)
        tokenizer = AutoTokenizer.from_pretrained(base, trust_remote_code=False)
        check_template(tokenizer)
        fitting = self._leave_out_long(examples, tokenizer)
        self._heed_stop()
        model = self._load(base)
        self._heed_stop()
        watching = Watching(self._writer, self._stop, on_log)
        sampling = self._make_sampling(tokenizer, fitting)
        trainer = self._make_trainer(model, tokenizer, fitting, [watching, sampling])
        resumed = self._find_start()
        tuned: Any = trainer.model
        check_disk(self._run.path, self._count_bytes(tuned))
        if resumed is None:
            sampling.sample(tuned, 0)
        trainer.train(resume_from_checkpoint=resumed)
        state = trainer.state
        watching.tell(state)
        if state.global_step < state.max_steps:
            raise Cancelled("Stopped. The last step is saved; resume to go on.")
        sampling.sample(tuned, state.global_step)
        folder = self._save(tuned, tokenizer, base, base_hash, len(fitting), state)
        return SftResult(
            model=folder,
            steps=state.global_step,
            loss=watching.loss,
            seconds=watching.seconds,
            sample_seconds=sampling.seconds,
        )

    def _freeze(self, build_dataset: Callable[[], SftDataset]) -> list[SftExample]:
        """The run's examples, the same at every start."""
        path = self._run.outputs / DATASET
        if not path.exists():
            dataset = build_dataset()
            told = {"hash": dataset.hash, "sources": [one.as_dict() for one in dataset.counts]}
            replace_file(path.with_suffix(".json"), [json.dumps(told, indent=1).encode()])
            replace_file(path, (encode_record(one.as_dict()) for one in dataset.examples))
        held = [
            parse_example(line.record)
            for line in read_lines(path)
            if line.record is not None and "messages" in line.record
        ]
        wanted = json.loads(path.with_suffix(".json").read_text("utf-8"))["hash"]
        if SftDataset(examples=tuple(held), counts=()).hash != wanted:
            raise RunMismatchError(
                f"{path} is not what was frozen at the first start. Bring it back, or start a new "
                "run."
            )
        return held

    def _heed_stop(self) -> None:
        if self._stop.is_set:
            raise Cancelled("Stopped before a step was done; resume to go on.")

    def _count_bytes(self, model: PreTrainedModel) -> int:
        """What is still to be written: checkpoints beside those that are there, and the model."""
        trained = sum(p.numel() for p in model.parameters() if p.requires_grad)
        whole = sum(p.numel() for p in model.parameters())
        held = sum(file.stat().st_size for file in self._checkpoints.glob("*/*") if file.is_file())
        # One more than is kept: the newest is there before the oldest goes.
        wanted = trained * 4 * _CHECKPOINT_COPIES * (KEPT_CHECKPOINTS + 1) + whole * 4
        return max(0, wanted - held)

    def _leave_out_long(
        self, examples: list[SftExample], tokenizer: PreTrainedTokenizerBase
    ) -> list[SftExample]:
        """Examples that fit; the others are counted in outputs/too_long.json."""
        fitting, long = [], 0
        for example in examples:
            tokens = tokenizer.apply_chat_template(example.as_dict()["messages"], return_dict=False)
            if len(tokens) <= self._recipe.max_length:
                fitting.append(example)
            else:
                long += 1
        if not fitting:
            raise RecipeError(
                f"all {long} examples are longer than {self._recipe.max_length} tokens. Raise "
                "max_length."
            )
        path = self._run.outputs / "too_long.json"
        replace_file(path, [json.dumps({"left_out": long, "kept": len(fitting)}).encode()])
        return fitting

    def _load(self, base: Path) -> PreTrainedModel:
        torch.manual_seed(self._recipe.seed)
        dtype = torch.bfloat16 if self._uses_bf16 and self._recipe.method == "lora" else None
        try:
            model: PreTrainedModel = AutoModelForCausalLM.from_pretrained(
                base, dtype=dtype or torch.float32, use_safetensors=True, trust_remote_code=False
            )
        except (OSError, ValueError) as error:
            raise ModelError(f"{base}: cannot be loaded: {error}") from error
        return model

    @property
    def _uses_bf16(self) -> bool:
        if self._recipe.precision == "auto":
            return torch.cuda.is_available() and torch.cuda.is_bf16_supported()
        return self._recipe.precision == "bf16"

    def _make_sampling(
        self, tokenizer: PreTrainedTokenizerBase, examples: list[SftExample]
    ) -> Sampling:
        """The first prompts of each source in turn, whatever the order in training."""
        chosen = choose_sampled(examples, self._recipe.parents, self._recipe.sample_prompts)
        prompts = [tuple(map(_as_message, one.conversation)) for one in chosen]

        def save(step: int, answers: list[str]) -> None:
            lines = [
                {
                    "step": step,
                    "prompt_id": example.prompt_id,
                    "prompt": example.conversation[-1]["content"],
                    "text": text,
                }
                for example, text in zip(chosen, answers, strict=True)
            ]
            append_records(self._run.path / SAMPLES, lines)

        return Sampling(tokenizer, prompts, self._recipe.sample_steps, save)

    def _make_trainer(
        self,
        model: PreTrainedModel,
        tokenizer: PreTrainedTokenizerBase,
        examples: list[SftExample],
        callbacks: list[Any],
    ) -> FiniteTrainer:
        recipe = self._recipe
        rows = [example.as_dict()["messages"] for example in examples]
        dataset = Dataset.from_dict(
            {"prompt": [row[:-1] for row in rows], "completion": [row[-1:] for row in rows]}
        )
        lora = None
        if recipe.method == "lora":
            lora = LoraConfig(
                r=recipe.lora_rank,
                lora_alpha=recipe.lora_alpha,
                target_modules="all-linear",
                task_type="CAUSAL_LM",
            )
        return FiniteTrainer(
            model=model,
            args=build_config(recipe, self._checkpoints, bf16=self._uses_bf16),
            train_dataset=dataset,
            processing_class=tokenizer,
            peft_config=lora,
            callbacks=callbacks,
        )

    def _find_start(self) -> str | None:
        """The checkpoint to go on from; broken ones are deleted, and that is told."""
        for broken in clear_broken(self._checkpoints):
            line = {"event": f"checkpoint-{broken.step} left out: {broken.damage}"}
            self._writer.append_metrics(line)
        found = find_last_good(self._checkpoints)
        return str(found.path) if found is not None else None

    def _save(
        self,
        model: Any,
        tokenizer: PreTrainedTokenizerBase,
        base: Path,
        base_hash: str,
        examples: int,
        state: Any,
    ) -> Path:
        """Write aside, then rename: a model folder is whole or not there."""
        outputs = self._run.outputs
        if isinstance(model, PeftModel):
            _write_folder(outputs / "adapter", lambda folder: model.save_pretrained(folder))
            model = model.merge_and_unload()
        losses = [line["loss"] for line in state.log_history if "loss" in line]

        def write(folder: Path) -> None:
            model.save_pretrained(folder, safe_serialization=True)
            tokenizer.save_pretrained(folder)
            facts = CardFacts(
                run_id=self._run.run_id,
                recipe=self._recipe,
                base=str(self._recipe.base),
                base_hash=base_hash,
                weights_hash=compute_weights_hash(folder),
                examples=examples,
                steps=state.global_step,
                first_loss=losses[0] if losses else math.nan,
                last_loss=losses[-1] if losses else math.nan,
                dataset=json.loads((outputs / DATASET).with_suffix(".json").read_text("utf-8")),
            )
            (folder / "README.md").write_text(build_model_card(facts), "utf-8")

        _write_folder(outputs / "model", write)
        return outputs / "model"


def check_template(tokenizer: PreTrainedTokenizerBase) -> None:
    """A model learns to stop from the end token after each answer: the chat template must give it.

    Raises:
        RecipeError: there is no template, or it lacks that token, or the prompt that a model is
            asked with is not how the text that it learns begins.
    """
    turns = [{"role": "user", "content": "Hello?"}, {"role": "assistant", "content": "Hello."}]
    if not tokenizer.chat_template:
        raise RecipeError("the base model has no chat template. Choose a chat model.")
    whole = str(tokenizer.apply_chat_template(turns, tokenize=False))
    asked = str(
        tokenizer.apply_chat_template(turns[:1], tokenize=False, add_generation_prompt=True)
    )
    if not whole.startswith(asked):
        raise RecipeError(
            "the base model's chat template begins an answer in another way when a model is asked "
            "than when it is taught. Use a template that begins both alike."
        )
    end = str(tokenizer.eos_token or "")
    if not end or end not in whole[len(asked) :]:
        raise RecipeError(
            f"the base model's chat template does not end an answer with its end token ({end!r}), "
            "so the model would not learn to stop. Correct the template or the token."
        )


def choose_sampled(
    examples: Sequence[SftExample], runs: Sequence[str], count: int
) -> list[SftExample]:
    """So many examples of different prompts, from each run in turn, by their prompts' ids."""
    first: dict[str, dict[str, SftExample]] = {run: {} for run in runs}
    taken: dict[str, str] = {}
    for example in sorted(examples, key=lambda one: (one.prompt_id, runs.index(one.run), one.step)):
        if taken.setdefault(example.prompt_id, example.run) == example.run:
            first[example.run].setdefault(example.prompt_id, example)
    turns = zip_longest(*(found.values() for found in first.values()))
    return [example for turn in turns for example in turn if example is not None][:count]


def build_config(recipe: SftRecipe, folder: Path, *, bf16: bool) -> SFTConfig:
    """TRL's settings for a recipe."""
    cpu = not torch.cuda.is_available()
    return SFTConfig(
        output_dir=str(folder),
        per_device_train_batch_size=recipe.micro_batch,
        gradient_accumulation_steps=recipe.batch_size // recipe.micro_batch,
        num_train_epochs=recipe.epochs,
        learning_rate=recipe.learning_rate,
        warmup_steps=recipe.warmup,
        weight_decay=recipe.weight_decay,
        max_grad_norm=recipe.max_grad_norm,
        max_length=recipe.max_length,
        packing=recipe.packing,
        completion_only_loss=True,
        gradient_checkpointing=recipe.gradient_checkpointing,
        use_cpu=cpu,
        bf16=bf16,
        seed=recipe.seed,
        data_seed=recipe.seed,
        logging_steps=recipe.log_steps,
        logging_nan_inf_filter=False,
        save_steps=recipe.save_steps,
        save_strategy="steps",
        report_to="none",
        disable_tqdm=True,
        dataloader_num_workers=0,
        dataloader_pin_memory=not cpu,
    )


def _as_message(turn: Mapping[str, Any]) -> Message:
    return Message(turn["role"], turn["content"])


def _write_folder(target: Path, write: Callable[[Path], None]) -> None:
    aside = target.with_name(f".{target.name}.new")
    shutil.rmtree(aside, ignore_errors=True)
    aside.mkdir(parents=True)
    write(aside)
    seal_checkpoint(aside)
    shutil.rmtree(target, ignore_errors=True)
    aside.rename(target)
