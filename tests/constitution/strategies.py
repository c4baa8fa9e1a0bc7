"""Hypothesis strategies for valid constitutions."""

from __future__ import annotations

from hypothesis import strategies as st

from cai_core.constitution.model import with_hash
from cai_core.records import Constitution, Principle

names = st.from_regex(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,20}", fullmatch=True)
# Any character at all, with a preference for those that YAML and white space trip over.
texts = st.text(
    st.one_of(
        st.sampled_from(" \n\t:#&*'\"\\|>-?%@`,[]{}é🙂\u2028\x85\ufeff\x00"), st.characters()
    ),
    min_size=1,
    max_size=40,
)
full_texts = texts.filter(lambda text: bool(text.strip()))
principles = st.builds(
    Principle,
    id=names,
    text=full_texts,
    critique_request=full_texts,
    revision_request=full_texts,
    comparison_request=st.one_of(st.just(""), texts),
    tags=st.lists(full_texts, max_size=3).map(tuple),
)
constitutions = st.builds(
    Constitution,
    name=names,
    description=st.one_of(st.just(""), texts),
    principles=st.lists(principles, min_size=1, max_size=3, unique_by=lambda p: p.id).map(tuple),
).map(with_hash)
