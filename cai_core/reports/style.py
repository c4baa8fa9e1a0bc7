"""The style of a report's page: light, dark, and printed."""

_LIGHT = """--ink: #1b2030; --quiet: #5b6270; --paper: #ffffff; --card: #f5f6f9; --line: #d6dae3;
  --pass: #0f766e; --warn: #a04a06; --fail: #b42318; --m0: #475569; --m1: #4f46e5; --m2: #0f766e;
  --m3: #a04a06;"""
_DARK = """--ink: #e7e9f0; --quiet: #a3aab8; --paper: #12141b; --card: #1b1e28; --line: #343948;
  --pass: #5eead4; --warn: #fbbf4d; --fail: #fda29b; --m0: #b3c0d3; --m1: #a5b4fc; --m2: #5eead4;
  --m3: #fbbf4d;"""

STYLE = f"""
:root {{ color-scheme: light dark; {_LIGHT} }}
@media (prefers-color-scheme: dark) {{ :root {{ {_DARK} }} }}
* {{ box-sizing: border-box; }}
body {{ font: 15px/1.5 system-ui, sans-serif; max-width: 68rem; margin: 0 auto;
  padding: 1.5rem clamp(0.75rem, 4vw, 2.5rem) 4rem; color: var(--ink); background: var(--paper);
  overflow-wrap: anywhere; }}
h1 {{ font-size: 1.6rem; line-height: 1.25; margin: 0 0 0.4rem; }}
h2 {{ font-size: 1.25rem; margin: 2.2rem 0 0.6rem; padding-top: 0.8rem;
  border-top: 1px solid var(--line); }}
h3 {{ font-size: 1rem; margin: 1.3rem 0 0.4rem; }}
p {{ margin: 0 0 0.6rem; max-width: 75ch; }}
ul {{ margin: 0 0 0.8rem; padding-left: 1.2rem; max-width: 75ch; }}
a {{ color: inherit; }}
nav ul {{ display: flex; flex-wrap: wrap; gap: 0.2rem 1rem; list-style: none; padding: 0;
  max-width: none; font-size: 0.9rem; }}
.quiet, caption, figcaption {{ color: var(--quiet); font-size: 0.87rem; }}
.pass, .warn, .fail {{ font-weight: 600; border-left: 4px solid; padding-left: 0.7rem; }}
.pass {{ color: var(--pass); }} .warn {{ color: var(--warn); }} .fail {{ color: var(--fail); }}
.wide {{ overflow-x: auto; margin: 0 0 1rem; }}
table {{ border-collapse: collapse; font-size: 0.87rem; min-width: 100%;
  font-variant-numeric: tabular-nums; }}
caption {{ text-align: left; padding-bottom: 0.3rem; }}
th, td {{ text-align: left; vertical-align: top; padding: 0.3rem 0.7rem 0.3rem 0; min-width: 3rem;
  border-bottom: 1px solid var(--line); font-weight: 400; overflow-wrap: break-word; }}
.long {{ min-width: 9rem; max-width: 32rem; overflow-wrap: anywhere; }}
thead th {{ font-weight: 600; border-bottom-color: var(--ink); }}
td.pass, td.warn, td.fail {{ border-left: 0; padding-left: 0; }}
figure {{ margin: 0 0 1.2rem; }}
svg {{ max-width: none; display: block; }}
svg text {{ fill: var(--ink); font: 13px system-ui, sans-serif; }}
svg .tick {{ fill: var(--quiet); font-size: 11px; text-anchor: middle; }}
svg .head {{ font-weight: 600; }} svg .label {{ font-size: 12px; }}
.grid, .zero {{ stroke: var(--line); }} .zero {{ stroke: var(--quiet); }}
.bar {{ stroke-width: 2.5; }}
.m0 {{ stroke: var(--m0); fill: var(--m0); }} .m1 {{ stroke: var(--m1); fill: var(--m1); }}
.m2 {{ stroke: var(--m2); fill: var(--m2); }} .m3 {{ stroke: var(--m3); fill: var(--m3); }}
.same {{ stroke: var(--quiet); fill: var(--quiet); }}
.better {{ stroke: var(--pass); fill: var(--pass); }}
.worse {{ stroke: var(--fail); fill: var(--fail); }}
.box {{ fill: var(--card); stroke: var(--line); }} .asked {{ stroke: var(--ink); }}
.edge {{ fill: none; stroke: var(--quiet); }} .tip {{ fill: var(--quiet); }}
.beside {{ display: grid; grid-template-columns: repeat(2, minmax(0, 1fr)); gap: 0.5rem 1rem;
  border: 1px solid var(--line); border-radius: 0.5rem; padding: 0.7rem 0.9rem;
  margin: 0 0 0.8rem; }}
.turn {{ grid-column: 1 / -1; }}
.who {{ font-size: 0.8rem; color: var(--quiet); margin: 0; }}
.said {{ white-space: pre-wrap; margin: 0; }}
details {{ margin: 0 0 0.5rem; }} summary {{ cursor: pointer; }}
details details, .beside details {{ margin: 0; }}
.card {{ background: var(--card); border-radius: 0.5rem; padding: 0.7rem 0.9rem;
  font: 13px/1.45 ui-monospace, monospace; white-space: pre-wrap; }}
@media (max-width: 40rem) {{ .beside {{ grid-template-columns: minmax(0, 1fr); }} }}
@page {{ size: A4; margin: 16mm 14mm; }}
@media print {{
  :root {{ color-scheme: light; {_LIGHT} }}
  body {{ font-size: 9.5pt; max-width: none; padding: 0; }}
  nav {{ display: none; }}
  h2, h3, caption {{ break-after: avoid; }}
  tr, figure, .beside, li {{ break-inside: avoid; }}
  thead {{ display: table-header-group; }}
  .wide {{ overflow: visible; }}
  table {{ font-size: 7.5pt; min-width: 0; width: 100%; }}
  th, td {{ min-width: 0; overflow-wrap: anywhere; }}
  svg {{ max-width: 100%; height: auto; }}
  .beside {{ grid-template-columns: repeat(2, minmax(0, 1fr)); }}
}}
""".strip()
