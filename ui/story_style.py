"""How the story looks: large type for a wall, one column on a phone."""

from __future__ import annotations

STYLE = """<style>
.st-key-story { max-width: 78rem; margin: 0 auto; }
[data-testid="stMain"] .st-key-story h1 { font-size: clamp(1.8rem, 4.2vw, 3.1rem);
  line-height: 1.15; padding: 0.4rem 0 0.9rem; }
.st-key-story .cai-lead { font-size: clamp(1.05rem, 1.9vw, 1.4rem); line-height: 1.45;
  max-width: 46ch; }
/* The rail: five steps of one width, in the order in which they are told. */
.st-key-story_rail { flex-wrap: nowrap; gap: 0.35rem; }
.st-key-story_rail > * { flex: 1 1 0; min-width: 0; }
.st-key-story_rail button { width: 100%; padding: 0.45rem 0.2rem; border: 0; border-radius: 0;
  border-top: 4px solid light-dark(#d6dae3, #343948); background: none; box-shadow: none;
  color: light-dark(#5b6270, #a3aab8); }
.st-key-story_rail button[kind="primary"] { border-top-color: light-dark(#4f46e5, #a5b4fc);
  color: light-dark(#1b2030, #e7e9f0); background: none; }
.st-key-story_rail button p { font-size: clamp(0.72rem, 1.5vw, 1rem); font-weight: 600;
  overflow: hidden; text-overflow: ellipsis; white-space: nowrap; }
.st-key-story_moves button { min-height: 2.9rem; }
.st-key-story_moves button p { font-size: 1.05rem; }
.cai-story { display: grid; gap: clamp(1rem, 3vw, 2.5rem); align-items: start; margin-top: 0.6rem;
  grid-template-columns: minmax(0, 1fr) minmax(12rem, 17rem); }
.cai-story.cai-alone { grid-template-columns: minmax(0, 1fr); }
.cai-story > *, .cai-bubbles > * { min-width: 0; }
.cai-bubbles { display: grid; gap: 1rem; }
.cai-bubble { border: 1px solid light-dark(#d6dae3, #343948); border-radius: 1rem;
  padding: 0.9rem 1.2rem 1.1rem; background: light-dark(#ffffff, #171a23); max-width: 52rem; }
.cai-bubble.cai-mine { border-bottom-left-radius: 0.15rem; }
.cai-bubble.cai-theirs { border-bottom-right-radius: 0.15rem; justify-self: end;
  border-color: var(--cai); border-width: 2px; }
.cai-speech { margin: 0.3rem 0 0; font-size: clamp(1.1rem, 2vw, 1.55rem); line-height: 1.45;
  white-space: pre-wrap; overflow-wrap: anywhere; }
.cai-small .cai-speech { font-size: clamp(1rem, 1.5vw, 1.15rem); }
.cai-bubble .cai-head .cai-icon { font-size: 1.5rem; width: 1.5rem; }
.cai-bubble .cai-head { font-size: 1rem; }
.cai-speech ins { text-decoration: none; border-radius: 3px; padding: 0 2px;
  background: light-dark(#c9f0e4, #0d4a43); }
.cai-speech del { border-radius: 3px; padding: 0 2px; color: light-dark(#8f1d14, #ffb4ab);
  background: light-dark(#fde3e0, #4b1b18); }
.cai-down { text-align: center; font-size: 1.6rem; line-height: 1;
  color: light-dark(#5b6270, #a3aab8); }
.cai-figure { border-left: 4px solid var(--cai); padding: 0.2rem 0 0.2rem 1rem; }
.cai-figure b { display: block; font-size: clamp(2.4rem, 5.5vw, 4.2rem); line-height: 1.05;
  font-weight: 650; font-variant-numeric: tabular-nums; color: var(--cai); white-space: nowrap; }
.cai-figure span { display: block; font-size: 1.15rem; line-height: 1.4; margin-top: 0.4rem; }
.cai-figure small { display: block; margin-top: 0.4rem; font-size: 0.9rem;
  color: light-dark(#5b6270, #a3aab8); font-variant-numeric: tabular-nums; }
.cai-story .cai-rules { display: grid; gap: 0.9rem; margin: 0; padding: 0; list-style: none;
  grid-template-columns: repeat(auto-fit, minmax(min(100%, 19rem), 1fr)); }
.cai-story .cai-rules li { margin: 0; border: 1px solid light-dark(#d6dae3, #343948);
  border-top: 4px solid var(--cai);
  border-radius: 0.6rem; padding: 0.8rem 1.1rem 1rem; font-size: clamp(1.05rem, 1.6vw, 1.3rem);
  line-height: 1.4; background: light-dark(#ffffff, #171a23); overflow-wrap: anywhere; }
.cai-story .cai-rules li.cai-drawn { border-color: var(--cai);
  background: light-dark(#eef0ff, #20234a); }
.cai-bars { display: grid; gap: 1.4rem clamp(1.5rem, 4vw, 3.5rem);
  grid-template-columns: repeat(auto-fit, minmax(min(100%, 20.5rem), 1fr)); margin-top: 0.6rem; }
.cai-bars h2, .cai-big { font-size: clamp(1.1rem, 2vw, 1.4rem); margin: 0; padding: 0; }
.cai-bars table { border-collapse: collapse; width: 100%; border: 0; }
.cai-bars th, .cai-bars td { border: 0; padding: 0.3rem 0; text-align: left;
  vertical-align: middle; font-size: clamp(1rem, 1.6vw, 1.2rem); }
.cai-bars th { width: 4.8rem; font-weight: 600; white-space: nowrap; }
.cai-bars td:last-child { width: 10.4rem; padding-left: 0.8rem; line-height: 1.25;
  font-variant-numeric: tabular-nums; }
.cai-bars td b { font-size: 1.15em; } .cai-bars td small { display: block; font-size: 0.85rem;
  color: light-dark(#5b6270, #a3aab8); white-space: nowrap; }
.cai-bar { position: relative; height: 1.5rem; border-radius: 0.3rem;
  background: light-dark(#eceef4, #232838); }
.cai-bar i { position: absolute; inset: 0 auto 0 0; border-radius: 0.3rem; background: var(--cai);
  min-width: 2px; }
/* The 95 % interval. */
.cai-bar u { position: absolute; top: calc(50% - 1.5px); height: 3px; min-width: 3px;
  background: light-dark(#1b2030, #e7e9f0); outline: 1px solid light-dark(#ffffff, #12141b); }
.cai-bars .cai-grey-bar { --cai: light-dark(#8a92a3, #7d8698); }
.cai-answers { display: grid; gap: 0.7rem; margin: 0.5rem 0 1.6rem;
  grid-template-columns: repeat(auto-fit, minmax(min(100%, 15rem), 1fr)); }
.cai-big { margin-top: 1rem; }
.cai-asked { font-size: 1.2rem; line-height: 1.4; margin: 0.2rem 0; overflow-wrap: anywhere; }
.cai-answers .cai-bubble { padding: 0.7rem 1rem 0.9rem; border-top: 3px solid var(--cai); }
.cai-answers .cai-speech { font-size: 1rem; }
.cai-answers .cai-head .cai-icon { font-size: 1.2rem; width: 1.2rem; }
.cai-source { font-size: 0.9rem; line-height: 1.5; color: light-dark(#5b6270, #a3aab8);
  max-width: 80ch; margin: 0.6rem 0 0; overflow-wrap: anywhere; }
@media (max-width: 760px) { .cai-story { grid-template-columns: minmax(0, 1fr); }
  .st-key-story_moves { gap: 0.5rem; }
  .st-key-story_moves button { padding: 0.3rem 0.6rem; min-height: 2.6rem; }
  .st-key-story_moves button p { font-size: 0.92rem; }
  .cai-bars th { width: 4.2rem; } .cai-bars td:last-child { width: 10rem; } }
</style>"""
