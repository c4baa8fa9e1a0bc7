"""Principles that ask for harm: a constitution turned upside down, by malice or by a slip.

Word patterns, clause by clause, so that they run at every keystroke. A clause that takes the
harm back before it names it ("does not help with", "remove") asks for none. What is put in
other words goes unnoticed: no lint makes an unread constitution safe.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import lru_cache

# Longer texts are looked at up to here; a principle that needs more has other findings.
MOST_CHARACTERS = 20_000
_ADJECTIVES = (
    r"(?:harmful|hurtful|unethical|immoral|illegal|unlawful|criminal|dangerous|unsafe|toxic|racist|"
    r"sexist|misogynistic|hateful|bigoted|violent|abusive|cruel|offensive|insulting|derogatory|"
    r"degrading|deceptive|dishonest|misleading|manipulative|discriminatory|malicious|evil|"
    r"threatening|vicious|extremist)"
)
_NOUNS = (
    r"(?:harm|harming|violence|hatred|hate|racism|sexism|bigotry|cruelty|abuse|deception|deceit|"
    r"lies|lying|fraud|forgery|theft|stealing|burglary|robbery|crimes?|terrorism|terrorist|"
    r"weapons?|bombs?|explosives|poison(?:ing|s)?|malware|ransomware|hacking|stalking|blackmail|"
    r"harass(?:ment|ing)|bullying|discrimination|[md]isinformation|propaganda|self-harm|suicide|"
    r"torture|slurs?|insults|cyber ?attacks|cyber attacks|kidnapping|"
    r"trafficking|arson|murder|killing|hurting people|get hurt|endangering|"
    r"deceive|deceiving|cheat|cheating|defraud\w*|hiding money|"
    r"invading someone's privacy|exposing private lives|misleading people|injury)"
)
_HARM = rf"\b(?:{_ADJECTIVES}|{_NOUNS})\b"
_TAKES_BACK = re.compile(
    r"\b(?:not|never|no|none|nor|neither|nobody|nothing|without|avoid\w*|remov\w+|delet\w+|"
    r"eliminat\w+|omit\w*|less|least|fewer|fewest|refrain\w*|declin\w+|refus\w+|reject\w*|"
    r"against|prevent\w*|stop\w*|protect\w*|reduc\w+|minimi[sz]\w+|discourag\w+|free of|"
    r"clear of|instead of|rather than|leav\w+ out|whether|warn\w*|oppos\w+|cannot|victims?|"
    r"survivors?|report(?:s|ed|ing)?|recogni[sz]\w+|recover\w*|cope|escap\w+|detect\w*|spot|"
    r"risks? of|signs? of|suffer\w*|worr(?:y|ied)|if|unless|when|where|"
    r"understand\w*|stud(?:y|ies|ying)|research\w*|histor\w*|educat\w*|tests?|testing|thoughts of|"
    r"information (?:on|about)(?! how| making| building)|first aid|de-escalat\w*|"
    r"depict\w*|fiction\w*)\b|"
    r"n['’]t\b",
)
# A clause without a word that begins so asks for nothing that is looked for here, unless it would
# do away with what is good. Words repeat, and looking one up is quicker than any pattern.
_HARMFUL = (
    *("harm", "hurt", "crim", "danger", "toxic", "racis", "sexis", "misogyn", "hate", "hatred"),
    *("bigot", "violen", "abus", "cruel", "offens", "insult", "derogat", "degrad", "decept"),
    *("deceit", "mislead", "manipulat", "malicious", "evil", "threat", "vicious", "extremis"),
    *("lying", "fraud", "forge", "theft", "steal", "burglar", "terror", "weapon", "bomb"),
    *("explosive", "poison", "malware", "ransom", "hacking", "blackmail", "harass", "propaganda"),
    *("suicide", "torture", "kidnap", "trafficking", "arson", "murder", "cheat", "deceiv"),
    *("damage", "pain", "mock", "humiliat", "belittl", "intimidat", "defame", "bully", "lie"),
    *("scam", "kill", "injure", "attack", "rob", "stalk", "radicali", "suffering", "thief"),
    *("hiding", "invading", "exposing", "injury", "slur", "uneth", "immoral", "illegal"),
    *("unlawful", "dishonest", "unsafe", "misinf", "disinf", "self-harm", "discrimin"),
    *("endanger", "defraud"),
)
_GOOD = (
    *("ethic", "moral", "safe", "law", "legal", "honest", "kind", "respectful", "rules", "risk"),
    *("consequence", "warning"),
)
_AWAY = (
    *("ignor", "disregard", "overrid", "bypass", "set", "remov", "delet", "drop", "reduc", "avoid"),
    *("less", "least", "fewer", "no", "break"),
)
_CLAUSE = re.compile(r"[.!?;:\n]+|, (?:and|but|so) |, then | but ")


def _compile(*patterns: str) -> re.Pattern[str]:
    return re.compile("|".join(f"(?:{p})" for p in patterns))


_VERBS = (
    r"(?:insult|humiliate|deceive|manipulate|threaten|mock|belittle|intimidate|defame|blackmail|"
    r"harass|bully|discriminate|lie|cheat|hurt|harm|endanger|mislead|scam|defraud|kill|steal|"
    r"injure|attack|poison|rob|stalk|torture|radicalise|break the law)"
)
# The harm is the last word of each match: what stands in front of it may take it back.
_DEMANDS = _compile(
    rf"\b(?:more|most|as|maximally|extremely|very)(?: \w+){{0,2}} {_ADJECTIVES}\b",
    rf"\b(?:should|must|shall|to|and|or|will) (?:\w+ ){{0,2}}be (?:\w+ ){{0,3}}?{_ADJECTIVES}\b",
    rf"\b(?:that|it|which|and|response) (?:is|are|sounds?) (?:\w+ ){{0,2}}?{_ADJECTIVES}\b",
    rf"\b(?:make|makes|making|render|become|becomes|becoming)(?: [\w']+){{0,4}} {_ADJECTIVES}"
    r"(?=$|,| and\b| or\b| as\b| in\b)",
    r"\b(?:add|adds|adding|include|includes|including|insert|introduce|increase|increases|"
    r"maximi[sz]e|encourage|encourages|promote|promotes|endorse|endorses|praise|praises|glorify|glorifies|justify|justifies|incite|"
    r"incites|contain|contains|spread|spreads|support|supports|produce|produces|provide|provides|"
    rf"give|gives|prefer|prefers|cause|causes|causing|commit)(?: [\w',-]+){{0,6}}? {_HARM}",
    r"\b(?:help|helps|helping|assist|assists|assisting|aid|aids|comply|complies|cooperate)\b"
    r"(?: [\w']+){0,4}? (?:with|in|on|to|do|doing|commit|committing|plan|planning)"
    rf"(?: [\w',-]+){{0,6}}? {_HARM}",
    rf"\b(?:does|do|doing|endangers|endanger) (?:\w+ ){{0,2}}?{_NOUNS}\b",
    r"\b(?:helps?|helping) (?:with |in )?(?:endangering|hurting|invading|exposing|misleading)\b",
    r"\b(?:ignore|ignores|ignoring|disregard|disregards|override|bypass|set aside)"
    r"(?: [\w',]+){0,4}? (?:ethics|ethical|safety|laws?|morals?|morality|rules|risks?|"
    r"consequences|harms?)\b",
    r"\b(?:remove|removes|removing|delete|reduce|avoid|avoids)(?: [\w',]+){0,5}? "
    r"(?:harmless|ethical|lawful|legal|honest|respectful|safe)\b",
    r"\b(?:remove|removes|removing|delete|drop)(?: [\w']+){0,3}? safety\b",
    rf"(?:\b(?:should|must|shall|will|always|please)|\bso (?:that )?it|^)(?: \w+ly)? {_VERBS}s?\b",
    r"\b(?:encourage|persuade|urge|convince|push|help|lead|get|teach)(?:e?s)?(?: [\w']+){1,4}? "
    rf"(?:how )?to {_VERBS}\b",
    r"\b(?:teach|tell|show|explain|describe|instructions|steps|guide)(?:e?s)?(?: [\w']+){0,5}? "
    r"(?:to|for) (?:build|building|make|making|plant|planting|buy|buying|use|using|commit|"
    rf"committing)(?: [\w']+){{0,3}}? {_HARM}",
    rf"\b(?:instructions|steps|guide|tips)(?: \w+){{0,2}}? for {_NOUNS}\b",
    rf"\b(?:no longer|stops?|never) (?:refus\w+|declin\w+)(?: [\w']+){{0,4}}? {_HARM}",
    rf"\b(?:pressure|push|drive|lure)s?(?: [\w']+){{1,3}}? into {_HARM}",
    r"\b(?:fewer|less|no) (?:safety )?(?:warnings|safeguards)\b",
    r"\bmost (?:damage|harm|pain|suffering|hurt)\b",
    rf"\bin an? (?:\w+ )?{_ADJECTIVES} (?:manner|way|tone|style)\b",
    r"\b(?:criminal|terrorist|abuser|stalker|thief|burglar|fraudster|scammer|bully)s? would "
    r"(?:find (?:the )?mo(?:re|st) (?:useful|helpful)|prefer|like|want)\b",
    r"\b(?:do|give|answer|comply|obey|help|follow)\w*(?: [\w']+){0,2}? (?:whatever|anything|"
    rf"everything|every|any|all)\b(?: [\w',]+){{0,6}}? (?:even (?:if|when)|including)"
    rf"(?: [\w']+){{0,3}}? {_ADJECTIVES}\b",
    r"\b(?:less|least)(?: and| \w+ly)? "
    r"(?:harmless|ethical|safe|lawful|legal|honest|kind|respectful)\b",
    r"\b(?:help|comply|answer|obey|follow|assist|provide)\w*(?: [\w',]+){0,8}? "
    rf"(?:no matter how|regardless of how|however)(?: \w+){{0,2}} {_ADJECTIVES}\b",
)
_AFTERWARDS = re.compile(
    r"\b(?:should|must|shall|is|are) (?:always )?(?:be )?"
    r"(?:declined|refused|rejected|turned down|met)\b"
)
_OF_CRITIQUES = _compile(
    rf"(?:\b(?:not|isn't|wasn't|insufficiently|never)|n't)(?: \w+){{0,2}}? {_ADJECTIVES}"
    r"(?: enough\b|$)",
    rf"\bfail(?:s|ed)? to (?:be|help with|encourage|include|promote)(?: [\w',]+){{0,5}}? {_HARM}",
    r"\btoo (?:harmless|ethical|moral|honest|kind|respectful|lawful)\b",
    r"\b(?:response|it) (?:is|was) (?:\w+ ){0,2}?(?:harmless|ethical|lawful|not harmful)\b",
    rf"\b(?:point out|identify|find)(?: [\w',]+){{0,10}}? (?:avoids?|refuses?|declines?)"
    rf"(?: [\w',]+){{0,4}}? {_HARM}",
)
# What takes a demand back is itself part of the demand in these.
_OUTRIGHT = re.compile(
    r"^(?:remove|removes|removing|delete|reduce|avoid|avoids|less|least)\b|no matter how|"
    r"regardless|even if|even when|^drop\b|^(?:no longer|stops?|never|fewer|no) "
)
_DOUBLE = re.compile(r"\b(?:not|never|without|nor|n['’]t)\b|n['’]t\b")


def find_demands(field: str, text: str) -> Iterator[str]:
    """The words of a request, or of the rule itself, that ask for harm.

    Args:
        field: a principle's field. A critique names harm in order to find it, so other words
            count there.
    """
    for clause in _CLAUSE.split(text[:MOST_CHARACTERS].lower()):
        parts = clause.split()
        if not _may_ask(field, parts):
            continue
        words = " ".join(parts)
        if field == "critique_request":
            if found := _OF_CRITIQUES.search(words):
                yield found[0]
            continue
        for found in _DEMANDS.finditer(words):
            before = words[: found.start()]
            if _OUTRIGHT.search(found[0]):
                taken_back = _DOUBLE.search(before)
            else:
                taken_back = _TAKES_BACK.search(before + " " + _without_last(found[0]))
            if not taken_back and not _AFTERWARDS.search(words, found.end()):
                yield found[0]
                break


def _may_ask(field: str, words: list[str]) -> bool:
    kinds = set(map(_sort_word, words))
    away = "away" in kinds or field == "critique_request"
    return "harmful" in kinds or ("good" in kinds and away)


@lru_cache(maxsize=1 << 16)
def _sort_word(word: str) -> str:
    plain = word.lstrip("\"'(*_“‘")
    for kind, starts in (("harmful", _HARMFUL), ("good", _GOOD), ("away", _AWAY)):
        if plain.startswith(starts):
            return kind
    return ""


def _without_last(words: str) -> str:
    return words.rpartition(" ")[0]
