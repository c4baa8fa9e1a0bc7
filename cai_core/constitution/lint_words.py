"""What of a principle's wording can be seen without a model: framing, demands, words, level."""

from __future__ import annotations

import re

# Longer texts are looked at up to here.
MOST_CHARACTERS = 20_000
# Words of which each reader has a meaning of their own, and phrases that leave a way out.
_VAGUE = re.compile(
    r"\b(?:appropriate|appropriately|inappropriate|suitable|suitably|proper|properly|adequate|"
    r"adequately|reasonable|reasonably|nice|bad|decent|problematic|sensible|generally|usually|"
    r"normally|typically|somewhat|various|things|stuff|etc|and so on|and the like)\b"
)
_LOOPHOLES = re.compile(
    r",? ?\b(?:as far as possible|whenever possible|where possible|when possible|if possible|"
    r"as appropriate|where appropriate|when appropriate|if appropriate|if needed|as needed|"
    r"where applicable|(?:try|tries|trying) to|(?:aim|strive|attempt) to)\b,?(?= |\.|$|,)",
    re.IGNORECASE,
)
# A text without any of these holds neither: looking for letters is quicker than for words.
_TELLING = (
    *(
        "ppropriat",
        "uitabl",
        "proper",
        "dequate",
        "reasonabl",
        "nice",
        "bad",
        "decent",
        "problemat",
    ),
    *("sensible", "generally", "usually", "normally", "typically", "somewhat", "various", "things"),
    *("stuff", "etc", "and so on", "and the like", "possible", "needed", "applicable"),
    *("try", "tries", "aim", "strive", "attempt"),
)
_TRY = re.compile(r"(?:try|tries|trying|aim|strive|attempt)\b", re.IGNORECASE)
_FILLERS = re.compile(r"\b(?:generally|usually|normally|typically|somewhat) ", re.IGNORECASE)
_MODAL = r"(?:should|must|shall|ought to|has to|have to|needs to|need to)\b"
# "A response that must decline should say why" is one demand.
_DEMAND = re.compile(rf"(?<!that )(?<!who )(?<!which )\b{_MODAL}", re.IGNORECASE)
_NEGATIVE = re.compile(
    r"\b(?:should|must|shall|may|can|do|does|will|would) (?:not|never)\b|n['’]t\b|\bnever\b|"
    r"\bcannot\b|\b(?:avoid|avoids|refrain|refrains) ?(?:from)?\b|^(?:no|don't)\b",
    re.IGNORECASE,
)
_POSITIVE = re.compile(
    r"\b(?:should|must|shall|ought to|has to|have to|needs to)\b(?! (?:not|never|avoid|refrain))"
    r"|\binstead\b",
    re.IGNORECASE,
)
_SENTENCE = re.compile(r"(?<=[.!?])\s+(?=\S)")
# Where a further demand begins within a sentence.
_JOINT = re.compile(
    rf",? (?:and|but) (?:it |the response |they |also )*(?={_MODAL})", re.IGNORECASE
)
_END = re.compile(r"[.!?]+(?=\s|$)")
# Below it the formula says little: a short text's one long word decides.
LEAST_WORDS = 12
MOST_GRADE = 18.0


def find_vague(text: str) -> tuple[str, ...]:
    """The vague words of a text, each once, in lower case."""
    text = text[:MOST_CHARACTERS].lower()
    if not any(letters in text for letters in _TELLING):
        return ()
    found = [m[0] for m in _VAGUE.finditer(text)]
    found += [m[0].strip(" ,") for m in _LOOPHOLES.finditer(text)]
    return tuple(dict.fromkeys(found))


def drop_vague(text: str) -> str:
    """The text without the phrases that can go without a change of meaning."""
    shorter = _LOOPHOLES.sub(lambda m: " " if _TRY.search(m[0]) else "", text)
    shorter = _FILLERS.sub("", shorter)
    shorter = re.sub(r" {2,}", " ", shorter).strip()
    return shorter[:1].upper() + shorter[1:] if text[:1].isupper() else shorter


def is_negative(text: str) -> bool:
    """Whether a rule says only what not to do."""
    text = text[:MOST_CHARACTERS]
    return bool(_NEGATIVE.search(text)) and not _POSITIVE.search(text)


def count_demands(text: str) -> int:
    """How many things a rule asks for: its modal verbs, else its sentences beyond the first two.

    Two sentences without any modal are a rule and its reason.
    """
    text = text[:MOST_CHARACTERS]
    modals = len(_DEMAND.findall(text))
    return modals or max(1, len(_split_sentences(text)) - 1)


def split_demands(text: str) -> tuple[str, ...]:
    """The rule as rules of one demand each; itself alone where that cannot be done safely."""
    if len(text) > MOST_CHARACTERS:
        return (text,)
    parts: list[str] = []
    for sentence in _split_sentences(text):
        parts += _split_sentence(sentence)
    joined: list[str] = []
    for part in parts:
        # A sentence that asks for nothing belongs to the one in front of it.
        if joined and not _DEMAND.search(part) and _DEMAND.search(text):
            joined[-1] += f" {part}"
        else:
            joined.append(part)
    return tuple(joined)


def compute_grade(text: str) -> float | None:
    """School grade in the United States by the Automated Readability Index.

    4.71 × letters per word + 0.5 × words per sentence − 21.43 (Smith and Senter, 1967). None
    for texts of fewer than 12 words.
    """
    text = text[:MOST_CHARACTERS]
    words = sum(word[0].isalnum() or len(word) > 1 for word in text.split())
    if words < LEAST_WORDS:
        return None
    sentences = max(1, len(_END.findall(text)))
    letters = sum(map(str.isalnum, text))
    return 4.71 * letters / words + 0.5 * words / sentences - 21.43


def _split_sentences(text: str) -> list[str]:
    return [part for part in _SENTENCE.split(text.strip()) if part]


def _split_sentence(sentence: str) -> list[str]:
    first = _DEMAND.search(sentence)
    if first is None:
        return [sentence]
    subject = sentence[: first.start()].strip()
    pieces = _JOINT.split(sentence)
    end = sentence[-1] if sentence[-1] in ".!?" else ""
    told = [pieces[0].rstrip(" ,") + (end if len(pieces) > 1 else "")]
    for number, piece in enumerate(pieces[1:], start=2):
        last = number == len(pieces)
        told.append(f"{subject} {piece.strip()}".strip() + ("" if last else end))
    return told
