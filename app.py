"""The workbench's server: `make app`, or `streamlit run app.py`.

What a browser sees is ui/shell.py. The script lives in a folder of its own on purpose: beside a
folder named pages/ Streamlit's old page mechanism would answer the first request for a deep link
and pass the navigation by.
"""

from __future__ import annotations

import os
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import streamlit as st

from cai_core.errors import WorkspaceOwnedError
from ui import services


@asynccontextmanager
async def lifespan(_app: st.App) -> AsyncIterator[dict[str, Any]]:
    """Take the workspace, load the demo model while the first page is on its way; end with it."""
    try:
        services.index()
    except WorkspaceOwnedError as error:
        print(f"error: {error}", file=sys.stderr, flush=True)
        # Nothing runs yet that would have to be closed; an exception here would be a traceback.
        os._exit(2)
    services.warm_up()
    services.go_on_with_queue()
    yield {}
    services.close()


app = st.App(Path(__file__).parent / "ui" / "shell.py", lifespan=lifespan)
