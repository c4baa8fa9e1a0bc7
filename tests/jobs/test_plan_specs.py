"""From plans to runs: names looked up, ids that stay the same, inputs that load back."""

from __future__ import annotations

import re
import shutil
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
import yaml

from cai_core.actions.prompt_sets import add_prompt_set
from cai_core.errors import RecipeError
from cai_core.inference.model_folder import DEMO_FOLDER, compute_weights_hash
from cai_core.jobs.plan import MAX_BYTES
from cai_core.jobs.plan_specs import build_plan, load_plan
from cai_core.jobs.spec import RunSpec
from cai_core.pipeline.inputs import load_inputs
from cai_core.pipeline.prompt_file import load_prompts, prompts_hash
from cai_core.pipeline.prompt_sets import SHIPPED
from cai_core.pipeline.recipe import parse_revise_recipe
from cai_core.records import LOCAL_ACTOR
from cai_core.training.recipe import parse_sft_recipe
from cai_core.workspace.runs import create_run
from tests.jobs.plans import CHAINS, SL, write_plan

RECIPES = Path(__file__).resolve().parents[2] / "data" / "recipes"


@pytest.fixture
def workspace(tmp_path: Path) -> Path:
    return tmp_path / "w"


def load(workspace: Path, *runs: dict[str, Any]) -> list[RunSpec]:
    return load_plan(write_plan(workspace.parent / "plan.yaml", *runs), workspace)


def find_faults(workspace: Path, *runs: dict[str, Any]) -> list[str]:
    with pytest.raises(RecipeError) as caught:
        load(workspace, *runs)
    return str(caught.value).split("\n")


def create(workspace: Path, spec: RunSpec) -> None:
    folder = workspace / "runs" / spec.run_id
    run = create_run(folder, kind=spec.kind, recipe=spec.recipe, parents=spec.parents)
    (run.path / "inputs").mkdir()
    for name, build in spec.inputs.items():
        (run.path / "inputs" / name).write_bytes(b"".join(build()))


def test_names_become_ids_and_hashes(workspace: Path) -> None:
    chains, sl = load(workspace, CHAINS, SL)
    assert re.fullmatch(r"plan-chains-[0-9a-f]{8}", chains.run_id)
    assert (chains.kind, chains.parents, sl.parents) == ("revise", (), (chains.run_id,))
    recipe = parse_sft_recipe(sl.recipe)
    assert recipe.sources[0].run == chains.run_id
    assert (recipe.base, recipe.base_hash) == ("demo", compute_weights_hash(DEMO_FOLDER))
    assert (recipe.epochs, recipe.method, sl.inputs) == (2, "full", {})


def test_the_chosen_prompts_are_the_runs_inputs(workspace: Path) -> None:
    where = {"tags": ["split:train"], "kinds": ["red-team"], "limit": 3}
    (spec,) = load(workspace, {**CHAINS, "where": where})
    create(workspace, spec)
    inputs = load_inputs(
        create_run(workspace / "runs" / spec.run_id, kind="revise", recipe=spec.recipe)
    )
    shipped = load_prompts(SHIPPED / "redteam.jsonl").prompts
    expected = [prompt for prompt in shipped if "split:train" in prompt.tags][:3]
    assert list(inputs.prompts) == expected
    recipe = parse_revise_recipe(spec.recipe)
    assert (recipe.limit, recipe.prompts_hash) == (3, prompts_hash(expected))
    assert recipe.prompts == (
        f"redteam@{prompts_hash(shipped)[:12]} where tags split:train; kinds red-team"
    )
    assert inputs.constitution.name == recipe.constitution == "harmlessness"


def test_the_same_plan_gives_the_same_ids_and_another_one_others(workspace: Path) -> None:
    def ids(*runs: dict[str, Any]) -> list[str]:
        return [spec.run_id for spec in load(workspace, *runs)]

    first = ids(CHAINS, SL)
    assert ids(CHAINS, SL) == first
    assert ids(CHAINS, {**SL, "seed": 1})[0] == first[0] != ids(CHAINS, {**SL, "seed": 1})[1]
    other = ids({**CHAINS, "where": {"limit": 4}}, SL)
    # Another parent is another run, though its own keys are the same.
    assert all(new != old for new, old in zip(other, first, strict=True))


def test_ids_do_not_tell_where_the_workspace_lies(workspace: Path, tmp_path: Path) -> None:
    """Draws and seeds come from ids: a plan gives the same in every folder."""
    again = {**CHAINS, "name": "again", "model": "run:sl"}
    runs = (CHAINS, SL, again, {**SL, "name": "more", "base": "run:sl"})
    (tmp_path / "elsewhere" / "workspace").mkdir(parents=True)
    here, there = load(workspace, *runs), load(tmp_path / "elsewhere" / "workspace", *runs)
    assert [spec.run_id for spec in here] == [spec.run_id for spec in there]
    assert here[2].recipe["model"] != there[2].recipe["model"]
    other = load(workspace, CHAINS, {**SL, "seed": 1}, again)
    assert other[2].run_id != here[2].run_id


def test_a_plan_names_files_beside_it(workspace: Path) -> None:
    folder = workspace.parent
    (folder / "sub").mkdir()
    (folder / "sub" / "p.txt").write_text("one\ntwo\n")
    shutil.copy(SHIPPED.parents[1] / "constitutions" / "healthcare.yaml", folder / "own.yaml")
    (folder / "shots.yaml").write_text(
        yaml.safe_dump([[{"role": "user", "content": "a"}, {"role": "assistant", "content": "b"}]])
    )
    shutil.copytree(DEMO_FOLDER, folder / "model")
    named = {"prompts": "sub/p.txt", "constitution": "own.yaml", "few_shot": "shots.yaml"}
    chains, sl = load(
        workspace,
        {**CHAINS, **named, "where": None, "model": "model"},
        {**SL, "base": "./model"},
    )
    recipe = parse_revise_recipe(chains.recipe)
    assert (recipe.prompts, recipe.constitution) == ("p.txt", "healthcare")
    assert recipe.few_shot_hash is not None
    assert recipe.model == sl.recipe["base"] == str((folder / "model").resolve())
    assert sl.recipe["base_hash"] == compute_weights_hash(DEMO_FOLDER)


def test_models_that_are_not_named_are_those_of_the_roles(workspace: Path) -> None:
    (spec,) = load(workspace, {key: CHAINS[key] for key in CHAINS if key != "model"})
    assert (spec.recipe["model"], spec.recipe["critic_model"]) == ("demo", None)
    workspace.mkdir()
    (workspace / "endpoints.yaml").write_text(
        "endpoints:\n  big: {kind: bundled, model: a/b}\nroles: {policy: big}\n"
    )
    (spec,) = load(workspace, {key: CHAINS[key] for key in CHAINS if key != "model"})
    assert (spec.recipe["model"], spec.recipe["critic_model"]) == ("big", "demo")
    (spec,) = load(workspace, {**CHAINS, "model": "big"})
    assert (spec.recipe["model"], spec.recipe["critic_model"]) == ("big", None)
    (spec,) = load(
        workspace, {**CHAINS, "model": "owner/name", "critic_model": "http://127.0.0.1:1#x"}
    )
    assert (spec.recipe["model"], spec.recipe["critic_model"]) == (
        "owner/name",
        "http://127.0.0.1:1#x",
    )


def test_a_run_can_go_on_from_the_model_of_another(workspace: Path) -> None:
    again = {**CHAINS, "name": "again", "model": "run:sl", "critic_model": "demo"}
    more = {**SL, "name": "more", "base": "run:sl", "sources": [{"run": "again"}]}
    chains, sl, second, third = load(workspace, CHAINS, SL, again, more)
    model = str((workspace / "runs" / sl.run_id / "outputs" / "model").absolute())
    assert (second.recipe["model"], second.recipe["critic_model"]) == (model, "demo")
    assert second.parents == (sl.run_id,)
    assert (third.recipe["base"], third.recipe["base_hash"]) == (model, None)
    assert third.parents == (second.run_id, sl.run_id)
    assert chains.parents == ()


def test_runs_that_exist_are_named_by_their_ids(workspace: Path) -> None:
    chains, sl = load(workspace, CHAINS, SL)
    create(workspace, chains)
    create(workspace, sl)
    named = {**SL, "sources": [{"run": chains.run_id}], "base": f"run:{sl.run_id}"}
    (spec,) = load(workspace, named)
    assert spec.parents == (chains.run_id, sl.run_id)
    (fault,) = find_faults(workspace, {**SL, "sources": [{"run": sl.run_id}]})
    assert "is of kind sft. Name one of kind revise" in fault


def test_a_set_of_the_workspace_goes_before_the_shipped_one(workspace: Path) -> None:
    source = workspace.parent / "p.jsonl"
    source.write_text('{"prompt": "mine", "tags": ["split:train"]}\n')
    version = add_prompt_set(LOCAL_ACTOR, workspace, "redteam", str(source)).version
    (spec,) = load(workspace, CHAINS)
    assert spec.recipe["prompts"].startswith(version.label)
    older = {**CHAINS, "prompts": f"redteam@{prompts_hash(load_prompts(source).prompts)[:8]}"}
    assert load(workspace, older)[0].recipe["prompts"] == spec.recipe["prompts"]


@pytest.mark.parametrize(
    ("runs", "told"),
    [
        ([{**CHAINS, "prompts": "nobody"}], "run 'chains': prompts: no prompt set 'nobody'"),
        ([{**CHAINS, "prompts": "none.jsonl"}], "none.jsonl: cannot be read"),
        ([{**CHAINS, "where": {"tags": ["split:x"]}}], "and none where tags split:x is left"),
        ([{**CHAINS, "constitution": "nobody"}], "run 'chains': constitution: "),
        (
            [{**CHAINS, "chain": {"principles": ["x"]}}],
            "chain: constitution 'harmlessness' has no",
        ),
        (
            [{**CHAINS, "few_shot": "none.yaml"}],
            "run 'chains': few_shot: none.yaml: cannot be read",
        ),
        ([{**CHAINS, "model": "nobody"}], "run 'chains': model: No model 'nobody'"),
        ([{**CHAINS, "critic_model": "run:sl"}], "critic_model: there is no run 'sl'"),
        ([CHAINS, {**CHAINS, "name": "b", "model": "run:chains"}], "is of kind revise"),
        ([SL], "run 'sl': sources: there is no run 'chains'. Name one that stands further up"),
        ([SL, CHAINS], "run 'sl': sources: run 'chains' stands further down. Move it up"),
        ([{**SL, "sources": [{"run": "sl"}]}], "run 'sl' stands further down"),
        ([{**SL, "sources": [{"run": "../x"}]}], "there is no run '../x'"),
        ([CHAINS, {**SL, "base": "nobody"}], "run 'sl': base: No model 'nobody'"),
        ([CHAINS, {**SL, "base_hash": "0" * 64}], "base_hash says 000000000000"),
    ],
)
def test_what_is_not_there_is_told(workspace: Path, runs: list[Any], told: str) -> None:
    faults = find_faults(workspace, *runs)
    assert len(faults) == 1
    assert told in faults[0]
    assert faults[0].startswith(str(workspace.parent / "plan.yaml"))
    assert not workspace.exists()


def test_faults_of_form_and_of_names_are_told_together(workspace: Path) -> None:
    faults = find_faults(
        workspace,
        {**CHAINS, "prompts": "nobody", "constitution": "nobody", "model": "nobody"},
        {**SL, "sources": [{"run": "chains"}, {"run": "x", "share": 0.5}], "base": "nobody"},
        {**SL, "name": "b", "colour": 1},
        {**SL, "name": "c", "sources": [{"run": "chains"}], "base": "run:b"},
    )
    told = [re.search(r"run '(\w+)': (?:(\w+):)?", fault) for fault in faults]
    assert Counter(found.groups() for found in told if found) == Counter(
        [
            ("b", None),
            *[("chains", key) for key in ("prompts", "constitution", "model")],
            *[("sl", key) for key in ("sources", "sources", "base")],
            *[("c", key) for key in ("sources", "base")],
        ]
    )


@pytest.mark.parametrize("content", [b"\xff", b"x" * (1024 * 1024 + 1), None])
def test_a_file_that_cannot_be_read_is_told(tmp_path: Path, content: bytes | None) -> None:
    path = tmp_path / "plan.yaml"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(RecipeError, match=r"plan\.yaml: (not UTF-8|more than|cannot be read)"):
        load_plan(path, tmp_path)


@pytest.mark.parametrize("name", ["demo-sl", "demo-controls"])
def test_the_demo_plans_train_on_nothing_that_they_are_measured_on(
    workspace: Path, name: str
) -> None:
    specs = {spec.run_id: spec for spec in load_plan(RECIPES / f"{name}.yaml", workspace)}
    trained, measured = set[str](), set[str]()
    for spec in specs.values():
        if spec.kind == "revise":
            create(workspace, spec)
            run = create_run(workspace / "runs" / spec.run_id, kind="revise", recipe=spec.recipe)
            hashes = {prompt.hash for prompt in load_inputs(run).prompts}
            held_out = "split:held-out" in str(spec.recipe["prompts"])
            (measured if held_out else trained).update(hashes)
    assert len(trained) >= 1000
    assert len(measured) == 440
    assert not trained & measured


def test_the_demo_plans_share_what_they_can(workspace: Path) -> None:
    main, controls = (
        {spec.run_id for spec in load_plan(RECIPES / f"{name}.yaml", workspace)}
        for name in ("demo-sl", "demo-controls")
    )
    assert len(main & controls) == 2


def test_the_lora_recipe_is_a_plan_once_it_is_filled_in(workspace: Path) -> None:
    path = RECIPES / "sl-cai-lora.yaml"
    with pytest.raises(RecipeError) as caught:
        load_plan(path, workspace)
    for blank in ("MY-REDTEAM", "MY-HELPFUL", "MODEL-FOLDER-OR-HUB-ID"):
        assert blank in str(caught.value)
    text = path.read_text("utf-8").replace("MODEL-FOLDER-OR-HUB-ID", "owner/name")
    text = text.replace("MY-REDTEAM", "redteam").replace("MY-HELPFUL", "helpful")
    filled = workspace.parent / "mine.yaml"
    filled.write_text(text, "utf-8")
    *_, sl = load_plan(filled, workspace)
    assert (sl.recipe["base"], sl.recipe["base_hash"], sl.recipe["method"]) == (
        "owner/name",
        None,
        "lora",
    )


@pytest.mark.parametrize(
    "url", ["http://me:s3cr3t@127.0.0.1:9#m", "http://127.0.0.1:9?key=s3cr3t#m"]
)
@pytest.mark.parametrize("key", ["model", "critic_model"])
def test_no_url_with_a_secret_is_frozen(workspace: Path, key: str, url: str) -> None:
    (fault,) = find_faults(workspace, {**CHAINS, key: url})
    assert f"run 'chains': {key}: The URL of 127.0.0.1 holds" in fault
    assert "s3cr3t" not in fault


@pytest.mark.parametrize(
    ("run", "told"),
    [
        ({**SL, "sources": [{"run": 5}]}, "run is 5"),
        ({**CHAINS, "chain": {"principles": 5}}, "principles is 5"),
        ({**CHAINS, "chain": {"principles": ["a", 5]}}, "principles is ('a', 5)"),
        ({**CHAINS, "chain": {"critique": "no"}}, "critique is 'no'"),
    ],
)
def test_a_value_of_another_kind_is_a_fault(
    workspace: Path, run: dict[str, Any], told: str
) -> None:
    (fault,) = find_faults(workspace, run)
    assert told in fault


def test_a_text_from_a_page_may_not_be_longer_than_a_file(workspace: Path) -> None:
    text = "#" + "é" * (MAX_BYTES // 2)
    with pytest.raises(RecipeError, match=f"the page: more than {MAX_BYTES} bytes"):
        build_plan(text, "the page", workspace, workspace)


def build_page(workspace: Path, *runs: dict[str, Any], **options: bool) -> list[RunSpec]:
    text = write_plan(workspace.parent / "plan.yaml", *runs).read_text("utf-8")
    return build_plan(text, "page", RECIPES, workspace, names_only=True, **options)


@pytest.mark.parametrize("name", ["demo-sl", "demo-controls"])
def test_a_page_may_hand_in_what_ships(workspace: Path, name: str) -> None:
    path = RECIPES / f"{name}.yaml"
    built = build_plan(path.read_text("utf-8"), "page", RECIPES, workspace, names_only=True)
    assert [spec.run_id for spec in built] == [s.run_id for s in load_plan(path, workspace)]


@pytest.mark.parametrize("key", ["prompts", "constitution", "few_shot"])
def test_a_page_names_no_place_and_learns_nothing_of_the_disk(workspace: Path, key: str) -> None:
    folder = workspace.parent
    (folder / "there.yaml").write_text("secret")
    (folder / "there.jsonl").write_text("secret")
    places = [f"{folder}/there.yaml", f"{folder}/gone.jsonl", "../there.yaml", "~", ".."]
    for place in (*places, "C:\\x", f"{RECIPES}/demo-sl.yaml", "./x", "a@../x"):
        with pytest.raises(RecipeError) as caught:
            build_page(workspace, {**CHAINS, key: place})
        told = str(caught.value)
        assert "is a path. A page takes names alone" in told
        assert "secret" not in told
        assert "\n" not in told


def test_a_page_reads_no_file_of_the_working_directory(
    workspace: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(workspace.parent)
    for suffix in (".yaml", ".YML", ".json", ".jsonl"):
        (workspace.parent / f"there{suffix}").write_text("a: b")
        told = []
        for stem in ("there", "gone"):
            for key in ("constitution", "prompts", "few_shot"):
                with pytest.raises(RecipeError) as caught:
                    build_page(workspace, {**CHAINS, key: f"{stem}{suffix}"})
                told.append(str(caught.value).replace(stem, "x"))
        assert len(set(told)) == 3  # one for each key, whether the file is there or not
        assert "is no file that ships" in told[0]


@pytest.mark.parametrize(
    "model",
    ["/etc", "../models", "./model", "~/m", "http://127.0.0.1:9#m", "a/b/c", "a/..", "model"],
)
def test_a_page_names_no_folder_and_no_url_as_a_model(
    workspace: Path, model: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(workspace.parent)
    shutil.copytree(DEMO_FOLDER, workspace.parent / "model")
    for run, key in ((CHAINS, "model"), (CHAINS, "critic_model"), (SL, "base")):
        runs = [{**run, key: model}] if run is CHAINS else [CHAINS, {**run, key: model}]
        with pytest.raises(RecipeError, match="is no endpoint, `demo`, `run:NAME` or Hugging Face"):
            build_page(workspace, *runs)


def test_an_admin_names_any_model_on_a_page(workspace: Path) -> None:
    folder = str(DEMO_FOLDER)
    chains, sl = build_page(
        workspace, {**CHAINS, "model": folder}, {**SL, "base": folder}, any_model=True
    )
    assert chains.recipe["model"] == sl.recipe["base"] == folder
    with pytest.raises(RecipeError, match="is a path"):
        build_page(workspace, {**CHAINS, "prompts": "/etc/passwd"}, any_model=True)


def test_a_page_names_endpoints_made_models_and_hub_ids(workspace: Path) -> None:
    workspace.mkdir()
    (workspace / "endpoints.yaml").write_text(
        "endpoints:\n  big: {kind: bundled, model: a/b}\nroles: {policy: big}\n"
    )
    again = {**CHAINS, "name": "again", "model": "run:sl", "critic_model": "owner/name"}
    named = {**SL, "name": "named", "base": "owner/name"}
    built = build_page(workspace, {**CHAINS, "model": "big"}, SL, again, named)
    assert [spec.recipe.get("model") for spec in built][:2] == ["big", None]
    assert built[2].recipe["critic_model"] == "owner/name"
    assert (built[3].recipe["base"], built[3].recipe["base_hash"]) == ("owner/name", None)
