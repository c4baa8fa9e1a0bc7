"""Streamlit sessions without a browser: what the server does for a page, timed at its socket.

A browser paints on the same two cores and would be measured along with the server.
"""

from __future__ import annotations

import time
from urllib.parse import urlsplit

from streamlit.proto.BackMsg_pb2 import BackMsg
from streamlit.proto.ForwardMsg_pb2 import ForwardMsg
from websockets.sync.client import ClientConnection, connect


class Session:
    """One open tab of a page."""

    def __init__(self, url: str, page: str) -> None:
        """
        Args:
            url: the app's address, e.g. `http://127.0.0.1:8501/`.
            page: the page's path, e.g. `critiques`.
        """
        parts = urlsplit(url)
        self._page = page
        self._socket: ClientConnection = connect(
            f"ws://{parts.netloc}/_stcore/stream",
            subprotocols=["streamlit"],  # type: ignore[list-item]
            origin=f"http://{parts.netloc}",  # type: ignore[arg-type]
            max_size=None,
            proxy=None,
        )

    def rerun(self, query: str = "", timeout: float = 60.0) -> tuple[float, list[str]]:
        """View the page anew under a query, as a browser does at its first request.

        Returns:
            Seconds until the script has finished, and the names of exceptions that it showed.
        """
        asked = BackMsg()
        asked.rerun_script.query_string = query
        asked.rerun_script.page_name = self._page
        started = time.perf_counter()
        self._socket.send(asked.SerializeToString())
        shown: list[str] = []
        while True:
            answer = ForwardMsg()
            answer.ParseFromString(self._socket.recv(timeout=timeout, decode=False))
            kind = answer.WhichOneof("type")
            if kind == "delta" and answer.delta.new_element.HasField("exception"):
                shown.append(answer.delta.new_element.exception.type)
            # A page that switches to another one starts again and finishes later.
            if kind == "script_finished" and answer.script_finished == 0:
                return time.perf_counter() - started, shown

    def close(self) -> None:
        """Close the tab."""
        self._socket.close()
