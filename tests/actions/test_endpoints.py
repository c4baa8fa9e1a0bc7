"""Models are changed by those who may, on what they saw, and the log tells it without any key."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from cai_core import cli
from cai_core.actions import endpoints as actions
from cai_core.actions.endpoints import (
    begin_check,
    check_model,
    remove_endpoint,
    save_endpoint,
    set_role,
    start_endpoint,
    stop_endpoint,
)
from cai_core.errors import (
    CaiError,
    EndpointError,
    NotAllowedError,
    VersionConflictError,
    WorkspaceError,
)
from cai_core.inference.endpoints import EndpointConfig
from cai_core.inference.launcher import find_server, stop_server
from cai_core.pipeline import model_service
from cai_core.records import LOCAL_ACTOR, AccessRole, Actor
from cai_core.workspace.endpoints import FILE, read_endpoints
from cai_core.workspace.events import Topic, read_events
from cai_core.workspace.journal import verify_chain
from tests.fake_model import wait_until

EDITOR = Actor(name="ed", role=AccessRole.EDITOR)
ONE = EndpointConfig(
    name="one", kind="url", model="m", urls=("http://127.0.0.1:9",), key_env="CANARY_KEY"
)


def add(workspace: Path, config: EndpointConfig = ONE) -> str:
    seen = read_endpoints(workspace).hash
    return save_endpoint(LOCAL_ACTOR, workspace, config, seen=seen, new=True).hash


def events(workspace: Path) -> list[tuple[str, str]]:
    every = read_events(workspace, Topic.SETTINGS) + read_events(workspace, Topic.LAUNCHES)
    return [(event["action"], event.get("endpoint", "")) for event in every]


def test_a_saved_endpoint_is_in_the_file_and_in_the_log_without_its_key(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CANARY_KEY", "canary-4711")
    first = add(tmp_path)
    changed = EndpointConfig(name="one", kind="url", model="m2", urls=ONE.urls)
    file = save_endpoint(LOCAL_ACTOR, tmp_path, changed, seen=first, new=False)
    assert file.book.endpoints["one"] == changed == read_endpoints(tmp_path).book.endpoints["one"]
    _, event = read_events(tmp_path, Topic.SETTINGS)
    assert (event["actor"], event["before"]["model"], event["config"]["model"]) == (
        "local",
        "m",
        "m2",
    )
    assert event["file"] == file.hash
    assert verify_chain(tmp_path / "journal" / "settings.jsonl") == []
    every = [p.read_bytes() for p in tmp_path.rglob("*") if p.is_file()]
    assert every
    assert all(b"canary-4711" not in held for held in every)


def test_a_name_is_taken_once_and_only_what_is_there_is_replaced(tmp_path: Path) -> None:
    seen = add(tmp_path)
    with pytest.raises(EndpointError, match="endpoint 'one' already"):
        save_endpoint(LOCAL_ACTOR, tmp_path, ONE, seen=seen, new=True)
    other = EndpointConfig(name="two", kind="bundled", model="/m")
    with pytest.raises(EndpointError, match="There is no endpoint 'two'"):
        save_endpoint(LOCAL_ACTOR, tmp_path, other, seen=seen, new=False)
    assert events(tmp_path) == [("save endpoint", "one")]


@pytest.mark.parametrize("by_hand", [True, False])
def test_whoever_saw_another_file_is_refused(tmp_path: Path, by_hand: bool) -> None:
    seen = add(tmp_path)
    if by_hand:
        (tmp_path / FILE).write_text((tmp_path / FILE).read_text() + "# a note\n")
    else:
        set_role(LOCAL_ACTOR, tmp_path, "judge", "one", seen=seen)
    held = (tmp_path / FILE).read_bytes()
    for change in (
        lambda: save_endpoint(LOCAL_ACTOR, tmp_path, ONE, seen=seen, new=False),
        lambda: remove_endpoint(LOCAL_ACTOR, tmp_path, "one", seen=seen),
        lambda: set_role(LOCAL_ACTOR, tmp_path, "policy", "one", seen=seen),
        lambda: save_endpoint(LOCAL_ACTOR, tmp_path, ONE, seen="", new=True),
    ):
        with pytest.raises(VersionConflictError, match="Look at what it says now") as caught:
            change()
        assert caught.value.head == read_endpoints(tmp_path).hash
    assert (tmp_path / FILE).read_bytes() == held


def test_a_role_holds_its_endpoint(tmp_path: Path) -> None:
    seen = set_role(LOCAL_ACTOR, tmp_path, "critic", "one", seen=add(tmp_path)).hash
    with pytest.raises(EndpointError, match="one is the critic model"):
        remove_endpoint(LOCAL_ACTOR, tmp_path, "one", seen=seen)
    seen = set_role(LOCAL_ACTOR, tmp_path, "critic", "demo", seen=seen).hash
    file = remove_endpoint(LOCAL_ACTOR, tmp_path, "one", seen=seen)
    assert list(file.book.endpoints) == ["demo"]
    assert [action for action, _ in events(tmp_path)] == [
        "save endpoint",
        "set role",
        "set role",
        "remove endpoint",
    ]
    with pytest.raises(EndpointError, match="always there"):
        remove_endpoint(LOCAL_ACTOR, tmp_path, "demo", seen=file.hash)


def test_the_critic_follows_the_policy_until_it_is_another(tmp_path: Path) -> None:
    file = set_role(LOCAL_ACTOR, tmp_path, "policy", "one", seen=add(tmp_path))
    assert (file.book.roles["policy"], file.book.roles["critic"]) == ("one", "one")
    assert read_events(tmp_path, Topic.SETTINGS)[-1]["critic_follows"] is True
    file = set_role(LOCAL_ACTOR, tmp_path, "critic", "demo", seen=file.hash)
    file = set_role(LOCAL_ACTOR, tmp_path, "policy", "demo", seen=file.hash)
    file = set_role(LOCAL_ACTOR, tmp_path, "critic", "one", seen=file.hash)
    file = set_role(LOCAL_ACTOR, tmp_path, "policy", "one", seen=file.hash)
    file = set_role(LOCAL_ACTOR, tmp_path, "judge", "one", seen=file.hash)
    assert set(file.book.roles.values()) == {"one", "demo"}
    assert file.book.roles["feedback"] == "demo"


def test_only_known_roles_go_to_known_endpoints(tmp_path: Path) -> None:
    with pytest.raises(EndpointError, match="no role 'king'"):
        set_role(LOCAL_ACTOR, tmp_path, "king", "demo", seen="")  # type: ignore[arg-type]
    with pytest.raises(EndpointError, match="no endpoint 'nobody'"):
        set_role(LOCAL_ACTOR, tmp_path, "judge", "nobody", seen="")
    assert events(tmp_path) == []
    assert not (tmp_path / FILE).exists()


def test_a_broken_file_is_never_overwritten(tmp_path: Path) -> None:
    (tmp_path / FILE).write_text("endpoints: [\n")
    seen = read_endpoints(tmp_path).hash
    with pytest.raises(EndpointError, match=r"endpoints\.yaml:2: .* Nothing was overwritten"):
        save_endpoint(LOCAL_ACTOR, tmp_path, ONE, seen=seen, new=True)
    assert (tmp_path / FILE).read_text() == "endpoints: [\n"


def test_what_the_log_cannot_tell_does_not_hold(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen = add(tmp_path)
    held = (tmp_path / FILE).read_bytes()

    def refuse(*_: object) -> None:
        raise WorkspaceError("the disk is full")

    monkeypatch.setattr(actions, "append_event", refuse)
    with pytest.raises(WorkspaceError, match="the disk is full"):
        set_role(LOCAL_ACTOR, tmp_path, "judge", "one", seen=seen)
    assert (tmp_path / FILE).read_bytes() == held
    empty = tmp_path / "empty"
    with pytest.raises(WorkspaceError, match="the disk is full"):
        add(empty)
    assert not (empty / FILE).exists()


@pytest.mark.parametrize(
    "config",
    [
        EndpointConfig(name="a", kind="vllm", model="m", options=("--api-key", "canary-4711")),
        EndpointConfig(name="a", kind="vllm", model="m", options=("--api_key=canary-4711",)),
        EndpointConfig(name="a", kind="url", urls=("http://127.0.0.1:9?key=canary-4711",)),
        EndpointConfig(
            name="a", kind="url", urls=("http://h:9",), extra_body={"Authorization": "canary-4711"}
        ),
    ],
)
def test_a_key_in_the_wrong_place_is_refused_and_not_repeated(
    tmp_path: Path, config: EndpointConfig
) -> None:
    with pytest.raises(EndpointError, match="key_env") as caught:
        add(tmp_path, config)
    assert "canary" not in str(caught.value)
    assert list(tmp_path.iterdir()) == []


def test_an_editor_may_start_and_not_save(tmp_path: Path) -> None:
    for change in (
        lambda: save_endpoint(EDITOR, tmp_path, ONE, seen="", new=True),
        lambda: remove_endpoint(EDITOR, tmp_path, "one", seen=""),
        lambda: set_role(EDITOR, tmp_path, "judge", "demo", seen=""),
    ):
        with pytest.raises(NotAllowedError, match="takes the role admin"):
            change()
    add(tmp_path)
    for begin in (start_endpoint, stop_endpoint):
        with pytest.raises(EndpointError, match="one runs elsewhere"):
            begin(EDITOR, tmp_path, "one")
        with pytest.raises(EndpointError, match="no endpoint 'nobody'"):
            begin(EDITOR, tmp_path, "nobody")
    assert read_events(tmp_path, Topic.LAUNCHES) == []


def test_a_check_that_fails_says_why_and_one_that_is_left_is_forgotten(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CANARY_KEY", "canary-4711")
    add(tmp_path)
    begin_check(EDITOR, tmp_path, "one")
    check = model_service.get_check(ONE, tmp_path)
    assert check is not None and check.state == "running"
    model_service.leave_check(ONE, tmp_path)
    assert model_service.get_check(ONE, tmp_path) is None
    begin_check(EDITOR, tmp_path, "one")
    wait_until(lambda: model_service.get_check(ONE, tmp_path).state == "failed", 60)  # type: ignore[union-attr]
    check = model_service.get_check(ONE, tmp_path)
    assert check is not None and check.error
    with pytest.raises(CaiError):
        check_model(LOCAL_ACTOR, tmp_path, "http://127.0.0.1:9#m")
    assert [event["action"] for event in read_events(tmp_path, Topic.LAUNCHES)] == [
        "check model"
    ] * 3


def test_the_bundled_server_starts_is_checked_and_stops(tmp_path: Path) -> None:
    config = read_endpoints(tmp_path).book.endpoints["demo"]

    def state() -> str:
        return model_service.get_server(config, tmp_path).state

    assert state() == "absent"
    try:
        start_endpoint(EDITOR, tmp_path, "demo")
        assert state() == "starting"
        wait_until(lambda: state() == "ready", 60)
        view = model_service.get_server(config, tmp_path)
        assert view.pid and view.since and view.url.startswith("http://127.0.0.1:")
        result = check_model(EDITOR, tmp_path, "demo")
        assert result.found.model_id == "demo"
        assert result.found.has("chat")
        assert result.servers == (view.url,)
    finally:
        stop_endpoint(EDITOR, tmp_path, "demo")
        assert state() == "stopping"
        wait_until(lambda: state() == "absent", 60)
    assert find_server("demo", tmp_path) is None
    assert [json.dumps(event["action"]) for event in read_events(tmp_path, Topic.LAUNCHES)] == [
        '"start model server"',
        '"check model"',
        '"stop model server"',
    ]


def test_a_start_that_fails_is_told_until_the_next(tmp_path: Path) -> None:
    config = EndpointConfig(name="none", kind="bundled", model=str(tmp_path / "no model"))
    seen = save_endpoint(LOCAL_ACTOR, tmp_path, config, seen="", new=True).hash
    start_endpoint(EDITOR, tmp_path, "none")
    wait_until(lambda: model_service.get_server(config, tmp_path).state == "failed", 30)
    assert "No model" in model_service.get_server(config, tmp_path).reason
    other = EndpointConfig(name="none", kind="bundled", model="demo")
    save_endpoint(LOCAL_ACTOR, tmp_path, other, seen=seen, new=False)
    # What was known of the old configuration says nothing of the new one.
    assert model_service.get_server(other, tmp_path, patience=5).reason == ""


def test_the_command_line_goes_through_the_same_actions(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("CAI_WORKSPACE", str(tmp_path))
    add_one = ["models", "add", "one", "--kind", "url", "--url", "http://127.0.0.1:9#m"]
    assert cli.main([*add_one, "--key-env", "CANARY_KEY", "--price-prompt", "0.5"]) == 0
    saved = read_endpoints(tmp_path).book.endpoints["one"]
    assert (saved.urls, saved.model, saved.key_env) == (("http://127.0.0.1:9",), "m", "CANARY_KEY")
    assert saved.price_prompt == 0.5
    assert cli.main(add_one) == 2
    assert "endpoint 'one' already" in capsys.readouterr().err
    assert cli.main([*add_one, "--replace"]) == 0
    assert cli.main(["models", "role", "judge", "one"]) == 0
    assert "judge is one" in capsys.readouterr().out
    assert cli.main(["models", "role", "feedback", "one"]) == 0
    assert "note: judge and feedback model are the same" in capsys.readouterr().out
    assert cli.main(["models"]) == cli.main(["models", "list"]) == 0
    told = capsys.readouterr().out
    assert "runs elsewhere" in told
    assert "feedback, judge" in told
    assert cli.main(["models", "remove", "one"]) == 2
    for role in ("judge", "feedback"):
        assert cli.main(["models", "role", role, "demo"]) == 0
    assert cli.main(["models", "remove", "one"]) == 0
    assert [action for action, _ in events(tmp_path)].count("set role") == 4
    for wrong in (
        ["add", "a", "--kind", "vllm", "--model", "m", "--options", "--api-key x"],
        ["add", "a", "--kind", "url", "--url", "http://169.254.169.254"],
        ["add", "a", "--kind", "url", "--url", "http://h", "--extra-body", "{"],
        ["check", "http://127.0.0.1:9#m"],
    ):
        assert cli.main(["models", *wrong]) == 2
    (tmp_path / FILE).write_text("roles: [")
    assert cli.main(["models"]) == 2
    assert "endpoints.yaml:1:" in capsys.readouterr().err


def test_the_command_line_tells_what_a_model_can_do(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("CAI_WORKSPACE", str(tmp_path))
    try:
        assert cli.main(["models", "check", "demo"]) == 0
    finally:
        stop_server("demo", tmp_path)
    told = capsys.readouterr().out
    assert "model: demo" in told
    assert "yes     chat: " in told
    assert "; instead: " in told
