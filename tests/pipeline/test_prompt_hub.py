"""Datasets of the hub: which files a split means, and what is said when nobody answers."""

from __future__ import annotations

from pathlib import Path

import pytest

from cai_core.errors import PromptFileError
from cai_core.pipeline import prompt_hub
from cai_core.pipeline.prompt_hub import choose_files, fetch_dataset
from cai_core.pipeline.prompt_tables import find_source, read_prompts
from cai_core.records import Prompt
from tests.pipeline.test_prompt_tables import write_parquet

SFT = ["README.md", "data/train_sft-00000-of-00001.parquet", "data/test_sft-00000-of-00001.parquet"]
CONVERTED = ["en/train/0000.parquet", "en/train/0001.parquet", "de/train/0000.parquet"]
SHA = "0123456789abcdef" * 2


@pytest.mark.parametrize(
    ("names", "config", "split", "chosen"),
    [
        (["train.parquet", "test.parquet"], None, "train", ["train.parquet"]),
        (SFT, None, "train_sft", SFT[1:2]),
        (CONVERTED, "en", "train", CONVERTED[:2]),
        (["data/train-00001-of-00002-0abc.parquet", "data/train-00000-of-00002-1abc.parquet"],
         None, "train",
         ["data/train-00000-of-00002-1abc.parquet", "data/train-00001-of-00002-0abc.parquet"]),
    ],
)  # fmt: skip
def test_the_files_of_a_split(
    names: list[str], config: str | None, split: str, chosen: list[str]
) -> None:
    assert choose_files("hf:o/n", names, config, split) == chosen


@pytest.mark.parametrize(
    ("names", "config", "told"),
    [
        (SFT, None, r"no Parquet file of the split 'train'. There are: data/train_sft"),
        (CONVERTED, None, "several folders: de/train, en/train"),
        (CONVERTED, "fr", "no Parquet file"),
        (["a.csv"], None, "There are: none"),
    ],
)
def test_a_split_that_is_not_one_is_told(names: list[str], config: str | None, told: str) -> None:
    with pytest.raises(PromptFileError, match=told):
        choose_files("hf:o/n", names, config, "train")


def test_a_fetched_split_is_read_as_parquet(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_parquet(tmp_path / "0.parquet", [{"question": "a"}, {"question": "b"}])
    write_parquet(tmp_path / "1.parquet", [{"question": "c"}])
    names = {"data/test-0-of-2.parquet": "0.parquet", "data/test-1-of-2.parquet": "1.parquet"}

    def download(source: str, repo: str, name: str, revision: str) -> Path:
        assert (repo, revision) == ("owner/name", SHA)
        return tmp_path / names[name]

    monkeypatch.setattr(prompt_hub, "list_files", lambda source, repo: (SHA, sorted(names)))
    monkeypatch.setattr(prompt_hub, "download_file", download)
    source = find_source("hf:owner/name:test")
    assert source.label == "hf:owner/name:test@0123456789ab"
    prompts = [line for line in read_prompts(source) if isinstance(line, Prompt)]
    assert [(p.text, p.line) for p in prompts] == [("a", 1), ("b", 2), ("c", 3)]


@pytest.mark.parametrize("name", ["hf:", "hf:name", "hf:a/b:c/d/e", "hf:../..:x y"])
def test_what_is_no_name_of_a_dataset_is_refused(name: str) -> None:
    with pytest.raises(PromptFileError, match="not a dataset of the hub"):
        fetch_dataset(name)


def test_a_hub_that_cannot_be_reached_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    # The real library, told that there is no network; its way of saying so must be caught.
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    with pytest.raises(PromptFileError, match="hub did not give it") as caught:
        fetch_dataset("hf:owner/name")
    assert "fetch the .parquet file elsewhere" in str(caught.value)
    with pytest.raises(PromptFileError, match="hub did not give it"):
        prompt_hub.download_file("hf:owner/name", "owner/name", "a.parquet", SHA)
