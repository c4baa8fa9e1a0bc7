"""The read-only demo: a switch of the whole process, under which nothing is written or started.

`actions.check.require` asks it before any role; what writes or starts something asks it once more,
so that no way past the actions is left.
"""

from __future__ import annotations

import os

from cai_core.errors import NotAllowedError

SWITCH = "CAI_DEMO"


def is_read_only() -> bool:
    """Whether this process is a read-only demo: CAI_DEMO is set, to anything but 0."""
    return os.environ.get(SWITCH, "") not in ("", "0")


def refuse_in_demo(what: str) -> None:
    """Refuse where this process is a read-only demo.

    Args:
        what: is asked for, as the message names it.

    Raises:
        NotAllowedError: it is one.
    """
    if is_read_only():
        raise NotAllowedError(
            f"{what}: this is a read-only demo, in which nothing is launched or changed. "
            f"Start the workbench without {SWITCH} to do it."
        )
