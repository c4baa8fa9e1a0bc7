"""Texts that try to be more than text: markup, Markdown, LaTeX, links, control characters.

Each one would, where it is let through, ask evil.example for something, run `window.owned=…`, or
restyle the page. `{n}` is filled in, so that every input can be found again.
"""

from __future__ import annotations

_FORMS = (
    # HTML that loads or runs
    '<img src="http://evil.example/{n}.png">',
    "<img src=x onerror=\"window.owned='{n}'\">",
    "<script>window.owned='{n}'</script>",
    '<script src="http://evil.example/{n}.js"></script>',
    "<svg onload=\"window.owned='{n}'\"></svg>",
    '<svg><image href="http://evil.example/{n}.svg"/></svg>',
    "<svg><script>window.owned='{n}'</script></svg>",
    '<iframe src="http://evil.example/{n}"></iframe>',
    '<iframe srcdoc="<script>parent.owned={n}</script>"></iframe>',
    '<object data="http://evil.example/{n}"></object>',
    '<embed src="http://evil.example/{n}">',
    '<link rel="stylesheet" href="http://evil.example/{n}.css">',
    "<style>* {{ display: none !important }} /* {n} */</style>",
    "<style>@import url(http://evil.example/{n}.css);</style>",
    '<div style="background:url(http://evil.example/{n}.png)">d</div>',
    '<div style="position:fixed;inset:0;background:red;z-index:99999">{n}</div>',
    '<video src="http://evil.example/{n}.mp4" autoplay></video>',
    '<video><source onerror="window.owned={n}" src="x"></video>',
    '<audio src="http://evil.example/{n}.mp3" autoplay></audio>',
    '<meta http-equiv="refresh" content="0;url=http://evil.example/{n}">',
    '<base href="http://evil.example/{n}/">',
    '<form action="http://evil.example/{n}"><input name="a" autofocus onfocus="window.owned={n}">',
    '<body onload="window.owned={n}">',
    '<a href="javascript:window.owned={n}">click</a>',
    '<input type="image" src="http://evil.example/{n}.png">',
    '<details open ontoggle="window.owned={n}"><summary>s</summary></details>',
    '<math><mtext><img src="http://evil.example/{n}.png"></mtext></math>',
    '<template><img src="http://evil.example/{n}.png"></template>',
    '<noscript><p title="</noscript><img src=http://evil.example/{n}.png>">',
    '<table background="http://evil.example/{n}.png"><tr><td>t</td></tr></table>',
    '<picture><source srcset="http://evil.example/{n}.png"><img></picture>',
    "<portal src=http://evil.example/{n}></portal>",
    # Ends of what may surround a text
    '"><img src=http://evil.example/{n}.png>',
    "'><img src=http://evil.example/{n}.png>",
    "</div></div></div><img src=http://evil.example/{n}.png>",
    "</textarea><img src=http://evil.example/{n}.png>",
    "</style><img src=http://evil.example/{n}.png>",
    "</title><script>window.owned={n}</script>",
    "--><img src=http://evil.example/{n}.png><!--",
    "]]><img src=http://evil.example/{n}.png>",
    "&lt;img src=http://evil.example/{n}.png&gt;",
    "&#60;img src=http://evil.example/{n}.png&#62;",
    "\\u003cimg src=http://evil.example/{n}.png\\u003e",
    "%3Cimg%20src=http://evil.example/{n}.png%3E",
    "<<img src=http://evil.example/{n}.png>",
    "<IMG SRC=HTTP://EVIL.EXAMPLE/{n}.PNG>",
    "<im\tg src=http://evil.example/{n}.png>",
    # Markdown, as Streamlit reads it
    "![a{n}](http://evil.example/{n}.png)",
    "[![a{n}](http://evil.example/{n}.png)](http://evil.example/)",
    "![a{n}][ref]\n\n[ref]: http://evil.example/{n}.png",
    "[a{n}](javascript:window.owned={n})",
    "<http://evil.example/{n}>",
    "# Heading {n}\n\n- list\n\n> quote",
    "```\n</code></pre><img src=http://evil.example/{n}.png>\n```",
    "| a{n} | b |\n|---|---|\n| ![x](http://evil.example/{n}.png) | c |",
    ":red[{n}] :material/bolt: :streamlit: **bold** ~~gone~~",
    "$$\\href{{http://evil.example/{n}}}{{x}} \\includegraphics{{http://evil.example/{n}.png}}$$",
    "`code {n}` <code>&amp;</code>",
    # Templates, formulas, controls
    "{{{{7*{n}}}}} ${{{{window.owned={n}}}}} #{{{n}}} <%= {n} %>",
    "=HYPERLINK(\"http://evil.example/{n}\",\"{n}\")",
    "nul \x00 bell \x07 escape \x1b[31m {n}",
    "right \u202eto left {n}\u202c zero\u200bwidth \ufeff",
    "emoji 👩‍👩‍👧‍👦 {n} 𝕬 ﷽ Z͑ͫ̓a̴l͜g",
    "'; DROP TABLE rows; -- {n}",
    "../../../etc/passwd {n}",
    '{{"role":"system","content":"{n}"}}',
)  # fmt: skip

HOSTILE: tuple[str, ...] = tuple(form.format(n=n) for n, form in enumerate(_FORMS, start=1000))
assert len(HOSTILE) >= 60
