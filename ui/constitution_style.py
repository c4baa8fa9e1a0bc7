"""The constitutions page's own style: panes that stand below each other where it is narrow."""

STYLE = """<style>
/* Between a phone and a wide screen the lint and the prompts stand below the fields. */
@media (min-width: 641px) and (max-width: 1100px) {
  .st-key-cn_panes [data-testid="stColumn"]:nth-child(1) { flex: 1 1 30%; }
  .st-key-cn_panes [data-testid="stColumn"]:nth-child(2) { flex: 1 1 60%; }
  .st-key-cn_panes [data-testid="stColumn"]:nth-child(3) { flex: 1 1 100%; min-width: 100%; }
}
[class*="st-key-cn_row_part"] { flex-wrap: nowrap; }
[class*="st-key-cn_row_part"] > * { min-width: 0; }
/* The keys are told together under Keys: on every button they would fill the pane. */
.st-key-constitutions button kbd { display: none; }
[class*="st-key-cn_row_part"][class*="_off"] button { opacity: 0.6; text-decoration: line-through; }
.cai-sent .cai-text { max-height: 24em; overflow-y: auto; font-size: 0.85rem; }
.cai-sent ins { text-decoration: none; border-radius: 3px;
  background: light-dark(#e4e3fc, #33306b); }
.st-key-constitutions textarea[aria-label="The constitution's file"] {
  font-family: "Source Code Pro", "DejaVu Sans Mono", monospace; font-size: 0.85rem; }
h3.cai-part { font-size: 1rem; font-weight: 600; margin: 0.6rem 0 0; }
.cai-finding { display: grid; gap: 0.15rem; font-size: 0.9rem; overflow-wrap: anywhere; }
.cai-finding b { font-weight: 600; }
.cai-holes td:first-child { font-weight: 600; }
</style>"""
