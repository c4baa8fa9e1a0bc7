"""What changed between two texts, word by word, as HTML that is safe to show."""

from __future__ import annotations

import difflib
import re

from ui.look import escape

_WORD = re.compile(r"\S+")


def build_diff(before: str, after: str) -> str:
    """`after` with what it added in <ins>, and what it dropped from `before` in <del>.

    Words are matched alone: white space as tokens would match everywhere, and difflib's autojunk
    drops frequent words (on whole texts only a few per cent would then match). White space comes
    from `after`; a dropped passage is followed by one blank.
    """
    old, new = _WORD.findall(before), list(_WORD.finditer(after))
    matcher = difflib.SequenceMatcher(None, old, [m.group() for m in new], autojunk=False)
    parts: list[str] = []
    for kind, i1, i2, j1, j2 in matcher.get_opcodes():
        if i1 < i2 and kind != "equal":
            # The last word of `after` has no white space behind it to stand apart with.
            apart = " " if parts and not parts[-1][-1].isspace() else ""
            parts.append(f"{apart}<del>{escape(' '.join(old[i1:i2]))}</del> ")
        if j1 < j2:
            end = new[j2].start() if j2 < len(new) else len(after)
            passage = after[new[j1].start() : end]
            words = passage.rstrip()
            gap = passage[len(words) :]
            text = escape(words)
            parts.append((text if kind == "equal" else f"<ins>{text}</ins>") + escape(gap))
    return "".join(parts)
