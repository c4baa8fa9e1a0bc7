"""Figures and changes of the evidence page in words."""

from __future__ import annotations

from cai_core.evaluation.evidence import MANY_OUTSIDE, OUTSIDE, Change, Column, Figure
from cai_core.evaluation.gate import ALPHA
from ui.look import escape

READERS = {
    "oracle": "by the demo world’s oracle",
    "judge": "by the judge",
    "phrases": "by phrases",
}
# Word → Material Symbols name, class of its colour.
_SHOWN = {
    "better": ("trending_up", "good"),
    "worse": ("trending_down", "bad"),
    "changed": ("sync_alt", "even"),
    "may be chance": ("casino", "even"),
    "doubtful": ("help", "even"),
    "no change": ("remove", "even"),
}
STYLE = """<style>
.cai-evid { overflow: auto; max-height: 80vh; max-width: 100%;
  border: 1px solid light-dark(#d6dae3, #343948); border-radius: 0.5rem; }
.cai-evid table { border-collapse: separate; border-spacing: 0; font-size: 0.85rem; width: 100%; }
.cai-evid th { text-align: left; font-weight: 600; vertical-align: bottom; }
.cai-evid th, .cai-evid td { padding: 0.4rem 0.7rem; min-width: 8.2rem;
  border-bottom: 1px solid light-dark(#e6e9f0, #2a2f3d); background: light-dark(#ffffff, #171a23); }
.cai-evid td { vertical-align: top; padding: 0; }
.cai-evid td > * { padding: 0.4rem 0.7rem; display: block; }
.cai-evid thead th { position: sticky; top: 0; z-index: 2; overflow-wrap: anywhere; }
.cai-evid tbody th { position: sticky; left: 0; z-index: 1; overflow-wrap: anywhere;
  min-width: 8rem; max-width: 13rem; vertical-align: top; }
.cai-evid thead th:first-child { left: 0; z-index: 3; }
.cai-evid a { color: inherit; text-decoration: none; height: 100%; }
.cai-evid a:hover, .cai-evid a:focus-visible { background: light-dark(#eef1f8, #232838); }
.cai-evid b { font-size: 1rem; font-variant-numeric: tabular-nums; white-space: nowrap; }
.cai-evid small { display: block; color: light-dark(#5b6270, #a3aab8); font-weight: 400;
  font-variant-numeric: tabular-nums; overflow-wrap: anywhere; }
.cai-evid-word { display: inline-flex; gap: 0.25rem; align-items: center; font-weight: 600;
  vertical-align: bottom; }
.cai-evid-word .cai-icon { font-size: 1.05rem; }
.cai-evid-word.good { color: light-dark(#0f766e, #5eead4); }
.cai-evid-word.bad { color: light-dark(#b42318, #fda29b); }
.cai-evid-word.even, .cai-evid .even { color: light-dark(#5b6270, #a3aab8); }
.cai-beside { display: grid; gap: 0.6rem; margin: 0.6rem 0 1.4rem;
  grid-template-columns: repeat(auto-fit, minmax(min(100%, 17rem), 1fr)); }
@media (max-width: 640px) { .cai-evid tbody th { min-width: 6.5rem; max-width: 7.5rem; }
  .cai-evid th, .cai-evid td > * { padding: 0.35rem 0.5rem; } }
</style>"""


def describe_figure(column: Column, figure: Figure) -> tuple[str, str]:
    """`13.4 %`, and `[10.3, 17.4], n = 440`."""
    scale, unit, digits = _scale(column)
    value = f"{scale * figure.value:.{digits}f}{unit}"
    interval = f"[{scale * figure.low:.{digits}f}, {scale * figure.high:.{digits}f}]"
    unread = f", {figure.unparsed:,} unparsed" if figure.unparsed else ""
    return value, f"{interval}, n = {figure.n:,}{unread}"


def describe_change(column: Column, change: Change) -> tuple[str, str]:
    """`−86.6 points`, and `[−89.1, −84.0], p < 0.001`."""
    scale, _, digits = _scale(column)
    unit = {"points": "points", "scale": "of 4", "words": "words"}[column.unit]
    moved, low, high = (
        # Adding 0 makes a rounded −0 a 0.
        f"{round(scale * value, digits) + 0.0:+.{digits}f}".replace("-", "−")
        for value in (change.difference, change.low, change.high)
    )
    return f"{moved} {unit}", f"[{low}, {high}], {describe_p(change.p)}"


def describe_p(p: float) -> str:
    """A p-value for people."""
    return "p < 0.001" if p < 0.001 else f"p = {p:.2g}"


def tell_change(column: Column, change: Change, outside: Figure | None = None) -> str:
    """One word: better, worse, changed, may be chance, no change, doubtful.

    Args:
        outside: how many of the answers the oracle does not know; past MANY_OUTSIDE its word of
            the others says little.
    """
    known = outside is None or outside.value <= MANY_OUTSIDE or column.name == OUTSIDE
    if column.reader == "oracle" and not known:
        return "doubtful"
    if not change.difference:
        return "no change"
    if change.p >= ALPHA:
        return "may be chance"
    if column.better is None:
        return "changed"
    return "better" if (change.difference > 0) is (column.better == "higher") else "worse"


def build_word(word: str) -> str:
    """It with its icon."""
    icon, colour = _SHOWN[word]
    return (
        f'<span class="cai-evid-word {colour}">'
        f'<span class="cai-icon" aria-hidden="true">{icon}</span>{escape(word)}</span>'
    )


def make_inert(text: str) -> str:
    """Plotly reads a few tags in its labels, links among them."""
    return text.replace("&", "&amp;").replace("<", "&lt;")


def _scale(column: Column) -> tuple[int, str, int]:
    if column.unit == "points":
        return 100, " %", 1
    return 1, "", 2 if column.unit == "scale" else 1
