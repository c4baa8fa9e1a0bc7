"""Prompt datasets of the Hugging Face hub: their Parquet files, fetched at one revision."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from cai_core.errors import PromptFileError

PREFIX = "hf:"
DEFAULT_SPLIT = "train"
# Where the hub keeps a copy in Parquet of datasets in other forms.
_CONVERTED = "refs/convert/parquet"
_NAME = re.compile(
    r"hf:(?P<repo>[\w.-]+/[\w.-]+)(:((?P<config>[\w.-]+)/)?(?P<split>[\w.-]+))?", re.ASCII
)
_MOST_NAMED = 8


@dataclass(frozen=True, slots=True, kw_only=True)
class HubDataset:
    """Files of a split, fetched.

    Attributes:
        label: the name that was asked for, and the revision that was fetched.
    """

    label: str
    paths: tuple[Path, ...]


def fetch_dataset(source: str) -> HubDataset:
    """Fetch the Parquet files of a split; what is in the hub's cache already is not fetched.

    Args:
        source: `hf:owner/name`, `hf:owner/name:split` or `hf:owner/name:config/split`.

    Raises:
        PromptFileError: no such name or split, or the hub cannot be reached or refuses.
    """
    found = _NAME.fullmatch(source)
    if found is None:
        raise PromptFileError(
            f"{source}: not a dataset of the hub. Write {PREFIX}owner/name, or "
            f"{PREFIX}owner/name:split."
        )
    repo, config, split = found["repo"], found["config"], found["split"] or DEFAULT_SPLIT
    revision, names = list_files(source, repo)
    chosen = choose_files(source, names, config, split)
    paths = tuple(download_file(source, repo, name, revision) for name in chosen)
    where = f"{config}/{split}" if config else split
    return HubDataset(label=f"{PREFIX}{repo}:{where}@{revision[:12]}", paths=paths)


def choose_files(source: str, names: Sequence[str], config: str | None, split: str) -> list[str]:
    """The files of one split of one config, in order.

    `train-00000-of-00002.parquet`, `train.parquet` and `train/0000.parquet` are of `train`,
    `train_sft.parquet` is not.

    Raises:
        PromptFileError: no file, or those of several configs.
    """
    part = re.compile(rf"(^|/){re.escape(split)}(-\d+-of-\d+(-[0-9a-f]+)?)?(\.parquet$|/)")
    of_split = sorted(name for name in names if name.endswith(".parquet") and part.search(name))
    if config is not None:
        of_split = [name for name in of_split if config in PurePosixPath(name).parts[:-1]]
    folders = sorted({str(PurePosixPath(name).parent) for name in of_split})
    if not of_split:
        there = [name for name in names if name.endswith(".parquet")][:_MOST_NAMED]
        raise PromptFileError(
            f"{source}: no Parquet file of the split {split!r}. There are: "
            f"{', '.join(there) or 'none'}. Name another split, or fetch a file and give its path."
        )
    if len(folders) > 1:
        raise PromptFileError(
            f"{source}: the split lies in several folders: {', '.join(folders[:_MOST_NAMED])}. "
            f"Name one, as {PREFIX}owner/name:FOLDER/{split}."
        )
    return of_split


def list_files(source: str, repo: str) -> tuple[str, list[str]]:
    """The newest revision that has Parquet files, and the names of its files.

    Raises:
        PromptFileError: the hub cannot be reached, or has no such dataset.
    """
    from huggingface_hub import HfApi

    for branch in (None, _CONVERTED):
        try:
            info = HfApi().dataset_info(repo, revision=branch)
        except _hub_errors() as error:
            raise _refused(source, error) from error
        names = [file.rfilename for file in info.siblings or ()]
        if any(name.endswith(".parquet") for name in names):
            break
    return str(info.sha), names


def download_file(source: str, repo: str, name: str, revision: str) -> Path:
    """Where the file lies here, fetched if need be.

    Raises:
        PromptFileError: the hub cannot be reached, or refuses.
    """
    from huggingface_hub import hf_hub_download

    try:
        return Path(hf_hub_download(repo, name, repo_type="dataset", revision=revision))
    except _hub_errors() as error:
        raise _refused(source, error) from error


def _hub_errors() -> tuple[type[Exception], ...]:
    import httpx
    from huggingface_hub.errors import EntryNotFoundError, HFValidationError

    return OSError, httpx.HTTPError, HFValidationError, EntryNotFoundError


def _refused(source: str, error: Exception) -> PromptFileError:
    told = str(error).strip().splitlines()
    return PromptFileError(
        f"{source}: the Hugging Face hub did not give it: {told[0] if told else error!r} "
        "Check the name and the network (and HF_TOKEN, where access is asked for), or fetch the "
        ".parquet file elsewhere and give its path."
    )
