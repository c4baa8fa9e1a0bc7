"""Corrections for many comparisons, against statsmodels."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from statsmodels.stats import multitest as tests

from cai_core.evaluation.corrections import adjust_benjamini_hochberg, adjust_holm

P_VALUES = st.lists(st.floats(0, 1), max_size=12)


# statsmodels takes a tenth of a second for one.
@settings(max_examples=20)
@given(P_VALUES.filter(bool))
def test_both_are_those_of_statsmodels(p_values):
    holm = tests.multipletests(p_values, method="holm")[1]
    hochberg = tests.multipletests(p_values, method="fdr_bh")[1]
    assert adjust_holm(p_values) == pytest.approx(list(holm), abs=1e-12)
    assert adjust_benjamini_hochberg(p_values) == pytest.approx(list(hochberg), abs=1e-12)


def test_by_hand():
    # Holm: 3 × 0.01, 2 × 0.02, then never below the one before.
    assert adjust_holm([0.03, 0.01, 0.02]) == pytest.approx([0.04, 0.03, 0.04])
    assert adjust_benjamini_hochberg([0.03, 0.01, 0.02]) == pytest.approx([0.03, 0.03, 0.03])
    assert adjust_holm([]) == adjust_benjamini_hochberg([]) == []


@given(P_VALUES)
def test_a_correction_lowers_nothing_and_keeps_the_order(p_values):
    for adjusted in (adjust_holm(p_values), adjust_benjamini_hochberg(p_values)):
        assert all(new >= old - 1e-15 for old, new in zip(p_values, adjusted, strict=True))
        ranked = [new for _, new in sorted(zip(p_values, adjusted, strict=True))]
        assert ranked == sorted(ranked)
