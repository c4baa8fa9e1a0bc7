"""Reward models and other sequence classifiers: loading one, and reading many texts at once."""

from __future__ import annotations

import logging
import threading
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

import torch
from transformers import AutoConfig, AutoModelForSequenceClassification, AutoTokenizer

from cai_core.errors import ModelError
from cai_core.inference.local_server.loading import compute_context_length, padded_length
from cai_core.inference.local_server.slot_cache import LEAST_ROWS

logger = logging.getLogger(__name__)

# As batching.MAX_ROWS and, times the length, its PREFILL_TOKENS: a text here is all prefill.
MAX_ROWS = 64
BATCH_TOKENS = 8192


@dataclass(frozen=True, slots=True, kw_only=True)
class LoadedClassifier:
    """A decoder with a head of one or more outputs, read at a text's last token.

    Attributes:
        labels: the name of each output.
        activated: whether the config asks for probabilities (softmax; sigmoid of one output) when
            a request does not say; a config of `problem_type: regression` does not, as in vLLM.
        repeatability: see `loading.LoadedModel`.
    """

    model: Any
    tokenizer: Any
    device: torch.device
    context_length: int
    labels: tuple[str, ...]
    activated: bool
    repeatability: Literal["exact", "statistical"] = "statistical"

    @property
    def vocabulary_size(self) -> int:
        """How many tokens the model knows."""
        return int(self.model.get_input_embeddings().num_embeddings)

    def encode(self, text: str, *, special_tokens: bool = True) -> list[int]:
        """Tokens of a plain text, with the tokenizer's own start token where it has one."""
        ids = self.tokenizer(text, add_special_tokens=special_tokens)["input_ids"]
        return [int(token) for token in ids]

    @torch.inference_mode()
    def compute_logits(self, texts: Sequence[Sequence[int]]) -> list[list[float]]:
        """Raw outputs at each text's last token, whatever token that is, as vLLM reads them.

        Padding goes to the right, where causal attention never looks.
        """
        width = min(max(padded_length(len(text)) for text in texts), self.context_length)
        ids = torch.tensor([[*text, *[0] * (width - len(text))] for text in texts])
        last = torch.tensor([len(text) - 1 for text in texts])
        decoder = getattr(self.model, self.model.base_model_prefix)
        states = decoder(input_ids=ids.to(self.device), use_cache=False).last_hidden_state
        ends = states[torch.arange(len(texts), device=self.device), last.to(self.device)]
        # A product of fewer rows is computed another way (see docs/architecture.md).
        spare = ends.new_zeros(max(0, LEAST_ROWS - len(texts)), ends.shape[1])
        logits = self.model.score(torch.cat([ends, spare]))[: len(texts)].float()
        found: list[list[float]] = logits.tolist()
        return found


def load_classifier(folder: Path) -> LoadedClassifier:
    """Load a transformers folder: fp32 on a CPU, the checkpoint's own type on a GPU.

    Only safetensors are read and no code that comes with a model is run.

    Raises:
        ModelError: it is no decoder with a `score` head, or gives other numbers here than whole.
    """
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    config = AutoConfig.from_pretrained(folder, trust_remote_code=False)
    model: Any = AutoModelForSequenceClassification.from_pretrained(
        folder,
        dtype=torch.float32 if device.type == "cpu" else "auto",
        use_safetensors=True,
        trust_remote_code=False,
    )
    if not hasattr(model, "score"):
        raise ModelError(
            f"{folder}: {type(model).__name__} has no head `score` on a decoder. Serve this model "
            "with vLLM and give its URL."
        )
    loaded = LoadedClassifier(
        model=model.to(device).eval(),
        tokenizer=AutoTokenizer.from_pretrained(folder, trust_remote_code=False),
        device=device,
        context_length=compute_context_length(config.get_text_config(decoder=True)),
        labels=tuple(str(config.id2label[n]) for n in range(config.num_labels)),
        activated=config.problem_type != "regression",
    )
    return _checked(loaded, folder)


def activate(logits: Sequence[float]) -> list[float]:
    """Logits as probabilities: sigmoid of one, softmax of several."""
    values = torch.tensor(logits)
    found = values.sigmoid() if len(logits) == 1 else values.softmax(dim=0)
    return [float(value) for value in found]


@torch.inference_mode()
def _checked(loaded: LoadedClassifier, folder: Path) -> LoadedClassifier:
    """Read a text both ways: refuse a model that looks ahead, and see how it repeats."""
    pad = loaded.model.config.get_text_config().pad_token_id
    known = [token for token in range(loaded.vocabulary_size) if token != pad]
    ids = [known[(7 * n + 3) % len(known)] for n in range(min(40, loaded.context_length - 1))]
    whole = loaded.model(torch.tensor([ids], device=loaded.device)).logits[0].float().cpu()
    alone = torch.tensor(loaded.compute_logits([ids])[0])
    tolerance = 1e-3 if loaded.model.dtype == torch.float32 else 0.25
    if float((whole - alone).abs().max()) > tolerance * max(1.0, float(whole.abs().max())):
        raise ModelError(
            f"{folder}: {type(loaded.model).__name__} gives other numbers for padded texts. Serve "
            "this model with vLLM and give its URL."
        )
    crowd = [ids, *(ids[: 5 + 2 * n] for n in range(1, 16))]
    same_bits = torch.equal(alone, torch.tensor(loaded.compute_logits(crowd)[0]))
    exact = loaded.device.type == "cpu" and same_bits
    return replace(loaded, repeatability="exact" if exact else "statistical")


# One text's outputs, or what went wrong.
Deliver = Callable[[list[tuple["Reading", list[float] | None]]], None]


@dataclass(slots=True, eq=False)
class Reading:
    """A text that waits to be read.

    Attributes:
        tell: gets its raw outputs, or None when the engine failed.
    """

    ids: Sequence[int]
    tell: Callable[[list[float] | None], None]
    cancelled: bool = False


class ClassifierEngine:
    """Reads what waits, texts of like lengths together, on a thread of its own.

    Args:
        deliver: receives each batch's outputs; called from the engine's thread.
    """

    def __init__(self, model: LoadedClassifier, deliver: Deliver) -> None:
        self._model = model
        self._deliver = deliver
        self._waiting: deque[Reading] = deque()
        self._running = 0
        self._read_tokens = 0
        self._wake = threading.Condition()
        self._stopping = False
        self._thread = threading.Thread(target=self._run, name="classifier-engine", daemon=True)

    def start(self) -> None:
        """Start the thread."""
        self._thread.start()

    def stop(self) -> None:
        """Finish the batch in hand and end the thread."""
        with self._wake:
            self._stopping = True
            self._wake.notify()
        self._thread.join()

    @property
    def alive(self) -> bool:
        """Whether the thread runs."""
        return self._thread.is_alive()

    @property
    def load(self) -> tuple[int, int]:
        """How many texts are being read and how many wait."""
        return self._running, len(self._waiting)

    @property
    def tokens(self) -> tuple[int, int]:
        """Tokens read since the start; none is generated."""
        return self._read_tokens, 0

    def submit(self, readings: Sequence[Reading]) -> None:
        """Queue texts; each one's `tell` hears of it through `deliver`."""
        with self._wake:
            self._waiting.extend(readings)
            self._wake.notify()

    def _run(self) -> None:
        while batch := self._take():
            self._running = len(batch)
            outputs: Sequence[list[float] | None]
            try:
                outputs = self._model.compute_logits([reading.ids for reading in batch])
            except Exception:
                # One bad batch must not take the server down: those in it are told.
                logger.exception("a batch failed")
                outputs = [None] * len(batch)
            self._running = 0
            self._read_tokens += sum(len(reading.ids) for reading in batch)
            self._deliver(list(zip(batch, outputs, strict=True)))

    def _take(self) -> list[Reading]:
        """The oldest, and others of its padded length; [] when the engine is to end."""
        while True:
            with self._wake:
                self._wake.wait_for(lambda: self._waiting or self._stopping)
                if self._stopping:
                    return []
                alive = [reading for reading in self._waiting if not reading.cancelled]
                if alive:
                    width = padded_length(len(alive[0].ids))
                    alike = [one for one in alive if padded_length(len(one.ids)) == width]
                    batch = alike[: max(1, min(MAX_ROWS, BATCH_TOKENS // width))]
                    taken = set(map(id, batch))
                    self._waiting = deque(one for one in alive if id(one) not in taken)
                    return batch
                self._waiting.clear()
