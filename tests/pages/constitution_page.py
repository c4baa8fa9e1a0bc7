"""What the tests of the page Constitutions share: open it, press, type, look."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

from streamlit.testing.v1 import AppTest

from cai_core.actions.constitutions import save_constitution, save_draft
from cai_core.constitution import find_constitution
from cai_core.records import LOCAL_ACTOR, AccessRole, Actor
from cai_core.workspace.drafts import (
    Draft,
    build_draft,
)
from cai_core.workspace.versions import VersionInfo

OTHER = Actor(name="otto", role=AccessRole.EDITOR)
SHIPPED = find_constitution("healthcare")
FIELDS = ("Critique request", "Revision request", "Principle", "Id")


def script() -> None:
    import streamlit as st

    from ui.explorer_links import CONSTITUTIONS, CRITIQUES, PLAYGROUND

    others = [st.Page(page) for page in (CRITIQUES, PLAYGROUND)]
    st.navigation([st.Page(CONSTITUTIONS, default=True), *others]).run()


def open_page(**address: str) -> AppTest:
    app = AppTest.from_function(script, default_timeout=30)
    for name, value in address.items():
        app.query_params[name] = value
    return run(app)


def run(app: AppTest) -> AppTest:
    app.run()
    assert not app.exception
    return app


def shown(app: AppTest) -> str:
    bodies = [block.proto.body for block in app.get("html")]
    return "\n".join(body for body in bodies if not body.startswith("<style>"))  # our own


def address(app: AppTest) -> dict[str, str]:
    found = dict(app.query_params)
    return {k: v[0] if isinstance(v, list) else v for k, v in found.items()}


def press(app: AppTest, key: str) -> AppTest:
    app.button(key=key).click()
    return run(app)


def press_way(app: AppTest, way: str) -> AppTest:
    return press(app, f"way_{way}_{address(app)['principle']}")


def has_button(app: AppTest, key: str) -> bool:
    return any(button.key == key for button in app.button)


def field(app: AppTest, label: str) -> Any:
    (found,) = [f for f in (*app.text_area, *app.text_input) if f.label == label]
    return found


def type_into(app: AppTest, label: str, text: str) -> AppTest:
    field(app, label).set_value(text)
    return run(app)


def begin(workspace: Path, description: str = "mine", name: str = "healthcare") -> Draft:
    draft = build_draft(find_constitution(name), base_hash=find_constitution(name).hash)
    return save_draft(LOCAL_ACTOR, workspace, replace(draft, description=description))


def save_as_other(workspace: Path, description: str) -> VersionInfo:
    draft = begin(workspace, description)
    return save_constitution(OTHER, workspace, draft, note="theirs", onto=SHIPPED.hash)
