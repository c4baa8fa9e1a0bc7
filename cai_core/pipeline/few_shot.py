"""Few-shot examples for the critic and the reviser, from files the user gives."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import yaml

from cai_core.constitution.importers import load_official_few_shot
from cai_core.errors import TemplateError
from cai_core.pipeline.prompt_file import parse_conversation
from cai_core.records import Conversation, content_hash

MAX_BYTES = 1024 * 1024
OFFICIAL_FILE = "CritiqueRevisionFewShotPrompts.json"


def load_chat_few_shot(path: Path) -> tuple[Conversation, ...]:
    """Read a .yaml or .json list of conversations: `[[{role, content}, …], …]`.

    Raises:
        TemplateError: not such a file; the message names the conversation.
    """
    document = _load_document(path)
    if not isinstance(document, list) or not document:
        raise TemplateError(f"{path}: must be a list of conversations, each a list of turns.")
    conversations = []
    for number, turns in enumerate(document, start=1):
        try:
            conversation = parse_conversation(turns)
        except ValueError as error:
            raise TemplateError(f"{path}: conversation {number}: {error}.") from error
        if conversation[-1].role != "assistant":
            raise TemplateError(
                f"{path}: conversation {number} does not end in an assistant turn. "
                "An example must show the answer."
            )
        if any(turn.role == "system" for turn in conversation):
            raise TemplateError(
                f"{path}: conversation {number} has a system turn, which models' templates "
                "refuse in the middle of a prompt. Move its text into the first user turn."
            )
        conversations.append(conversation)
    return tuple(conversations)


def load_paper_few_shot(folder: Path) -> str:
    """Read the paper's official few-shot file from its folder, or the `prompts` folder in it.

    Raises:
        TemplateError: it is in neither.
        ImportFormatError: it is not in the official format.
    """
    for path in (folder / OFFICIAL_FILE, folder / "prompts" / OFFICIAL_FILE):
        if path.is_file():
            return load_official_few_shot(path)
    raise TemplateError(
        f"{folder}: no {OFFICIAL_FILE} here nor in its prompts folder. "
        "Give the folder of the paper's supplementary files."
    )


def few_shot_hash(few_shot: tuple[Conversation, ...] | str) -> str | None:
    """Hash of the examples; None without any."""
    if not few_shot:
        return None
    if isinstance(few_shot, str):
        return content_hash(few_shot)
    return content_hash([[turn.as_dict() for turn in example] for example in few_shot])


class _PlainLoader(yaml.SafeLoader):
    """SafeLoader without aliases, which could multiply a small file into a huge one."""

    def compose_node(self, parent: Any, index: Any) -> Any:
        if self.check_event(yaml.AliasEvent):
            raise yaml.YAMLError("aliases (*name) are refused; write the text out")
        return super().compose_node(parent, index)


def _load_document(path: Path) -> object:
    try:
        with path.open("rb") as file:
            raw = file.read(MAX_BYTES + 1)
        if len(raw) > MAX_BYTES:
            raise TemplateError(f"{path}: more than {MAX_BYTES} bytes of examples. Shorten it.")
        if path.suffix == ".json":
            return json.loads(raw)
        return yaml.load(raw.decode("utf-8"), Loader=_PlainLoader)
    except OSError as error:
        raise TemplateError(f"{path}: cannot be read: {error.strerror}. Check the path.") from error
    except (ValueError, yaml.YAMLError, RecursionError) as error:
        raise TemplateError(f"{path}: broken: {error}. Correct the file.") from error
