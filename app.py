"""The workbench's server: `make app`, or `streamlit run app.py`.

What a browser sees is ui/shell.py. The script lives in a folder of its own on purpose: beside a
folder named pages/ Streamlit's old page mechanism would answer the first request for a deep link
and pass the navigation by.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import streamlit as st

from ui import services


@asynccontextmanager
async def lifespan(_app: st.App) -> AsyncIterator[dict[str, Any]]:
    """Load the demo model while the first page is on its way; end what runs when the app ends."""
    services.warm_up()
    yield {}
    services.close()


app = st.App(Path(__file__).parent / "ui" / "shell.py", lifespan=lifespan)
