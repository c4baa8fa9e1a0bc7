"""A suite from a person's file: read, checked, and its data card. Writes nothing."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

from cai_core.errors import ImportFormatError
from cai_core.evaluation.near_duplicates import find_alike
from cai_core.evaluation.suite_file import parse_suite
from cai_core.evaluation.suites import Suite
from cai_core.jobs.evaluate_suites import list_suites
from cai_core.jobs.held_out import list_seen
from cai_core.workspace.suites import check_suite_name

MAX_BYTES, MAX_PROMPTS = 20 * 2**20, 20_000
# Of a larger suite no pairs are looked for: their number grows with the square.
_MOST_PAIRED, _MOST_TOLD = 3000, 5


@dataclass(frozen=True, slots=True, kw_only=True)
class SuiteCard:
    """What there is to know of a suite before a figure of it is believed.

    Attributes:
        alike: (id, other id, likeness from 0 to 100) of its prompts that are nearly the same.
        alike_total: how many such pairs; None where the suite is too large to look.
        seen: of runs of this workspace that trained on prompts like it, what they saw.
    """

    suite: Suite
    alike: tuple[tuple[str, str, int], ...]
    alike_total: int | None
    seen: tuple[str, ...]

    @property
    def intents(self) -> int:
        """Groups of prompts that stand or fall together."""
        return len({prompt.intent for prompt in self.suite.prompts})


def read_upload(name: str, content: bytes, held_out: bool | None = None) -> Suite:
    """The suite that a file holds, before it is added.

    Args:
        held_out: None takes what the file says, which is true where it says nothing.

    Raises:
        ImportFormatError: the name cannot be one or is taken, or the file is no suite; the message
            names lines and reasons.
    """
    check_suite_name(name)
    if name in list_suites():
        raise ImportFormatError(f"{name!r} is a suite that ships. Take another name.")
    if len(content) > MAX_BYTES:
        raise ImportFormatError(f"{name}: larger than {MAX_BYTES // 2**20} MB. Split it.")
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise ImportFormatError(f"{name}: is not UTF-8. Save the file as UTF-8.") from error
    suite = parse_suite(text, name)
    if len(suite.prompts) > MAX_PROMPTS:
        raise ImportFormatError(f"{name}: has more than {MAX_PROMPTS:,} prompts. Split it.")
    held = suite.held_out if held_out is None else held_out
    return replace(suite, name=name, held_out=held)


def build_card(workspace: Path, suite: Suite) -> SuiteCard:
    """Count, compare the prompts with each other, and with what was trained on here.

    Raises:
        WorkspaceError: the workspace's runs cannot be read.
    """
    pairs: list[tuple[int, int, int]] = []
    small = len(suite.prompts) <= _MOST_PAIRED
    if small:
        # Prompts of one intent are meant to be alike.
        pairs = [
            pair
            for pair in find_alike([prompt.text for prompt in suite.prompts])
            if suite.prompts[pair[0]].intent != suite.prompts[pair[1]].intent
        ]
    return SuiteCard(
        suite=suite,
        alike=tuple(
            (suite.prompts[one].id, suite.prompts[two].id, likeness)
            for one, two, likeness in pairs[:_MOST_TOLD]
        ),
        alike_total=len(pairs) if small else None,
        seen=tuple(
            f"{run} was trained on prompts like it. {check.describe()}"
            for run, check in list_seen(workspace, suite)
        ),
    )
