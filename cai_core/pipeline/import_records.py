"""What an import is made of: records as files hold them, and what they become. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, Literal, get_args

from cai_core.errors import ImportFormatError
from cai_core.pipeline.comparison_records import FormedComparison
from cai_core.pipeline.label_records import LabelRecord, LabelSource
from cai_core.records import Finding, Prompt, PromptKind, StepKind, Verdict

ImportKind = Literal["chains", "preferences", "questions"]
ImportFormat = Literal[
    "sl-chains",
    "sampled-answers",
    "rounds",
    "labels",
    "annotated-pairs",
    "answer-pairs",
    "transcripts",
    "pairs",
    "comparisons",
    "multiple-choice",
]
KINDS: tuple[ImportKind, ...] = get_args(ImportKind)
FORMATS: tuple[ImportFormat, ...] = get_args(ImportFormat)
# A record that is longer is refused, never cut; it bounds memory.
MAX_RECORD_BYTES = 16 * 1024 * 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class RejectedLine:
    """A line that is refused, its 1-based number, and why.

    Attributes:
        file: name of the file, below the folder for a folder of them.
        line: of a table or a JSON list, the record's number; 0 where the whole file is meant.
    """

    file: str
    line: int
    reason: str

    def as_dict(self) -> dict[str, Any]:
        """Plain form."""
        return asdict(self)


@dataclass(frozen=True, slots=True, kw_only=True)
class SourceRecord:
    """A record as its file holds it.

    Attributes:
        line: as in `RejectedLine`.
        cells: from CSV, whose values are all texts and where an empty text is an empty cell.
        context: what the file says of all its records (annotators of annotated pairs).
    """

    file: str
    line: int
    fields: Mapping[str, Any]
    cells: bool = False
    context: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class ImportSettings:
    """How files are read.

    Attributes:
        format: of every file; None finds it by each file's content.
        kind: what is wanted where a file could be several; None takes what its format is.
        encoding: of every text file; None is UTF-8, and what is not is refused.
        label_source: who prefers, where the file does not say; `human` when None.
        verdicts: what the file's own words for a verdict mean, e.g. `{"1": "A"}`.
        prompt_kind: of every prompt that the file says nothing of.
        tags: for every prompt.
    """

    format: ImportFormat | None = None
    kind: ImportKind | None = None
    encoding: str | None = None
    label_source: LabelSource | None = None
    verdicts: Mapping[str, str] = field(default_factory=dict)
    prompt_kind: PromptKind | None = None
    tags: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        _check("format", self.format, FORMATS)
        _check("kind", self.kind, KINDS)
        _check("label source", self.label_source, get_args(LabelSource))
        for word, verdict in self.verdicts.items():
            _check(f"the meaning of {word!r}", verdict, ("A", "B", "tie"))

    def as_dict(self) -> dict[str, Any]:
        """Plain form for the recipe."""
        plain = asdict(self)
        kind = self.prompt_kind
        return {**plain, "prompt_kind": kind and kind.value, "tags": list(self.tags)}


@dataclass(frozen=True, slots=True, kw_only=True)
class ImportedStep:
    """One text of an imported chain.

    Attributes:
        sample: which of the prompt's chains it belongs to.
        model: who wrote it; empty where the file does not say.
        measured: what the file tells of the text besides (scores of a preference model).
    """

    kind: StepKind
    round: int
    text: str
    sample: int = 0
    principle_id: str | None = None
    finding: Finding | None = None
    model: str = ""
    measured: Mapping[str, Any] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class QuotedRequests:
    """The requests that a record quotes under a principle's id."""

    principle_id: str
    text: str
    critique_request: str
    revision_request: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ImportedChain:
    """One record that is a chain, or the sampled answers to one prompt.

    Attributes:
        constitution_hash: that the record names; None takes that of the quoted principles.
        template: under which the texts were written; readers cut them as it says.
    """

    prompt: Prompt
    steps: tuple[ImportedStep, ...]
    quoted: tuple[QuotedRequests, ...] = ()
    constitution_hash: str | None = None
    template: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class ImportedPair:
    """One record that is a comparison.

    Attributes:
        label: None where the record does not say which response is preferred.
        votes: what further annotators prefer, a plain record each.
    """

    comparison: FormedComparison
    label: LabelRecord | None
    votes: tuple[Mapping[str, Any], ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class ImportedQuestion:
    """One multiple-choice question, its options as they are written after the prompt."""

    question_id: str
    file: str
    line: int
    prompt: str
    corrects: tuple[str, ...]
    incorrects: tuple[str, ...]

    def as_dict(self) -> dict[str, Any]:
        """The line of questions.jsonl, which multiple-choice evaluations read."""
        return asdict(self)


Imported = ImportedChain | ImportedPair | ImportedQuestion


def name_record(record: SourceRecord) -> str:
    """What prompts from a file are called: its name without endings. The line is added to it."""
    name = record.file
    for ending in (".gz", ".jsonl", ".json", ".csv", ".tsv", ".parquet", ".arrow"):
        name = name.removesuffix(ending)
    return name or record.file


def parse_verdict(value: object, verdicts: Mapping[str, str]) -> Verdict | None:
    """What a file's word for a verdict means; None for an empty one.

    Raises:
        ValueError: it is no word for A, B or a tie, nor in `verdicts`.
    """
    if value is None or value == "":
        return None
    word = str(value).strip() if isinstance(value, str | int) else repr(value)
    if word in verdicts:
        return Verdict(verdicts[word])
    for names, verdict in _WORDS:
        if word.casefold() in names and not isinstance(value, int):
            return verdict
    raise ValueError(
        f"the verdict is {word!r:.60}; write A, B or tie, or say what it means (--verdict "
        f"{word:.20}=A)"
    )


_PREFIXES = ("", "response_", "text_", "model_", "output_", "completion_")
_WORDS = (
    (frozenset(prefix + "a" for prefix in _PREFIXES), Verdict.A),
    (frozenset(prefix + "b" for prefix in _PREFIXES), Verdict.B),
    (frozenset({"tie"}), Verdict.TIE),
    (frozenset({"unparsed"}), Verdict.UNPARSED),
)


def _check(name: str, value: object, allowed: tuple[str, ...]) -> None:
    if value is not None and value not in allowed:
        raise ImportFormatError(f"{name} is {value!r}. Choose one of {', '.join(allowed)}.")
