import assert from "node:assert/strict";
import { describe, test } from "node:test";

import { allowed, tree } from "../../src/hub/web/pages/static/js/markdown-tree.js";

// lit-html asks for these when it is loaded; nothing is rendered here.
await import("../../src/hub/web/pages/static/js/words.js");
Object.assign(globalThis, { document: { createTreeWalker: () => ({}), createComment: () => ({}) } });
const { markdown } = await import("../../src/hub/web/pages/static/js/markdown.js");

const TAGS = "p strong em del code pre ul ol li blockquote table tr th td hr br a".split(" ");

/** @typedef {import("../../src/hub/web/pages/static/js/markdown-tree.js").Node} Node */

/**
 * Write a tree in brackets: `[p a [strong b]]`.
 * @param {Node[]} nodes
 * @returns {string}
 */
function short(nodes) {
    const one = (/** @type {Node} */ node) => {
        if (typeof node === "string") return node;
        const more = [node.level && `h${node.level}`, node.href, node.language, node.start]
            .filter(Boolean)
            .join(" ");
        return `[${node.tag}${more && `:${more}`} ${short(node.children)}]`;
    };
    return nodes.map(one).join("");
}

/**
 * @param {Node[]} nodes
 * @param {(node: Node) => void} visit
 */
function each(nodes, visit) {
    for (const node of nodes) {
        visit(node);
        if (typeof node !== "string") each(node.children, visit);
    }
}

/** @type {(nodes: Node[]) => string} */
const textOf = (nodes) =>
    nodes.map((node) => (typeof node === "string" ? node : textOf(node.children))).join("");

describe("markdown", () => {
    const cases = {
        "plain words": "[p plain words]",
        "*a* **b** ~~c~~ `d`": "[p [em a] [strong b] [del c] [code d]]",
        "one\ntwo": "[p one[br ]two]",
        "# Big\n\ntext": "[p:h1 Big][p text]",
        "> said\n> so": "[blockquote [p said[br ]so]]",
        "- a\n- b\n  - c": "[ul [li a][li b[ul [li c]]]]",
        "3. a\n4. b": "[ol:3 [li a][li b]]",
        "```py\nx = '<b>'\n```": "[pre:py x = '<b>']",
        "| a | b |\n|-|-|\n| 1 | 2 |": "[table [tr [th a][th b]][tr [td 1][td 2]]]",
        "a\n\n---\n\nb": "[p a][hr ][p b]",
        "[a *b*](https://example.org/x)": "[p [a:https://example.org/x a [em b]]]",
        "<https://example.org>": "[p [a:https://example.org/ https://example.org]]",
        "me@example.org": "[p [a:mailto:me@example.org me@example.org]]",
        "![a cat](https://example.org/cat.png)": "[p [a:https://example.org/cat.png a cat]]",
        "a &amp; b &lt;i&gt; &#128512; &nope;": "[p a & b <i> 😀 &nope;]",
        "<b>bold</b>": "[p <b>bold</b>]",
        "<div>\nhi\n</div>": "[p <div>\nhi\n</div>]",
        "[only]: https://example.org": "[p [only]: https://example.org]",
        "": "",
    };
    for (const [text, expected] of Object.entries(cases)) {
        test(JSON.stringify(text), () => assert.equal(short(tree(text)), expected));
    }

    test("tasks say whether they are done", () => {
        const [list] = tree("- [x] a\n- [ ] b\n- c");
        assert.ok(typeof list === "object");
        const checked = list.children.map((item) => typeof item === "object" && item.checked);
        assert.deepEqual(checked, [true, false, null]);
    });
});

describe("unfinished markdown", () => {
    const cases = {
        "a **bo": "[p a [strong bo]]",
        "a **": "[p a]",
        "*smiles and": "[p [em smiles and]]",
        "*smiles ": "[p [em smiles]]",
        "***both": "[p [em [strong both]]]",
        "**a *b": "[p [strong a [em b]]]",
        "2 * 3 is": "[p 2 * 3 is]",
        "`co": "[p [code co]]",
        "`a *b": "[p [code a *b]]",
        "see [this](https://exa": "[p see this]",
        "```js\nlet a": "[pre:js let a]",
        "```js\nlet a\n``": "[pre:js let a]",
        "text\n-": "[p text]",
        "text\n--": "[p text]",
        "- a\n- *b": "[ul [li a][li [em b]]]",
        "done *well*": "[p done [em well]]",
        "first *open\n\nsecond": "[p first *open][p second]",
    };
    for (const [text, expected] of Object.entries(cases)) {
        test(JSON.stringify(text), () => assert.equal(short(tree(text, { isUnfinished: true })), expected));
    }

    test("never throws and never loses words, wherever it is cut", () => {
        const text =
            "# Hi\n\n*She* said **[this](https://a.b)** `x*y`\n\n```py\na * b\n```\n- one\n- two\n\n| a |\n|-|\n| b |\n";
        for (let end = 1; end <= text.length; end += 1) {
            const said = textOf(tree(text.slice(0, end), { isUnfinished: true }));
            for (const word of text
                .slice(0, Math.max(0, end - 3))
                .match(/\b(?:She|said|this|one|two)\b(?=\W)/g) ?? []) {
                assert.ok(said.includes(word), `${word} in ${JSON.stringify(said)}`);
            }
        }
    });
});

describe("links", () => {
    const refused = [
        "javascript:alert(1)",
        "JaVaScRiPt:alert(1)",
        " javascript:alert(1)",
        "java\nscript:alert(1)",
        "java\tscript:alert(1)",
        "\u0001javascript:alert(1)",
        "javascript&#58;alert(1)",
        "javascript&colon;alert(1)",
        "&#x6a;avascript:alert(1)",
        "javascript\u0000:alert(1)",
        "vbscript:x",
        "data:text/html,<script>alert(1)</script>",
        "DATA:text/html;base64,PHN2Zz4=",
        "file:///etc/passwd",
        "blob:https://a/b",
        "ftp://a",
        "//evil.example",
        "/logout",
        "#x",
        "?x",
        "",
        "http://",
        "about:blank",
        "ws://a",
        "intent://x",
        "view-source:https://a",
        "filesystem:https://a/b",
        "https://a:99999/",
    ];
    for (const address of refused) {
        test(`to ${JSON.stringify(address)} lead nowhere`, () => assert.equal(allowed(address), null));
    }

    test("are as the browser understands them", () => {
        assert.equal(allowed("HTTPS://Example.org/a b?c=1&amp;d=2"), "https://example.org/a%20b?c=1&d=2");
        assert.equal(allowed("https:\\\\example.org"), "https://example.org/");
        assert.equal(allowed("mailto:me@example.org"), "mailto:me@example.org");
    });
});

const XSS = [
    "<script>alert(1)</script>",
    "<img src=x onerror=alert(1)>",
    "<svg/onload=alert(1)>",
    "<svg><script>alert(1)</script></svg>",
    "<iframe srcdoc='<script>alert(1)</script>'>",
    "<a href='javascript:alert(1)'>x</a>",
    "<math><mtext></mtext></math>",
    "<style>@import 'x'</style>",
    "<body onload=alert(1)>",
    "<details open ontoggle=alert(1)>",
    "<!--<img src=x onerror=alert(1)>-->",
    "<![CDATA[<script>alert(1)</script>]]>",
    "<?php x ?>",
    "<form action=javascript:alert(1)><button>",
    "<object data=x>",
    "[x](javascript:alert(1))",
    "[x](<javascript:alert(1)>)",
    "[x](javascript&#58;alert(1))",
    "[x](  javascript:alert(1))",
    "[x](\u0001javascript:alert(1))",
    "![x](javascript:alert(1))",
    "![x](data:image/svg+xml,<svg/onload=alert(1)>)",
    "[x]: javascript:alert(1)\n\n[x]",
    "<javascript:alert(1)>",
    "<data:text/html,x>",
    "[x](data:text/html;base64,PHNj)",
    '[a](https://b "onmouseover=alert(1)")',
    "[a](https://b'onmouseover='alert(1))",
    "[<img src=x onerror=alert(1)>](https://a)",
    "`<script>alert(1)</script>`",
    "```html\n<script>alert(1)</script>\n```",
    "```<script>alert(1)</script>\nx\n```",
    '```"><img/src=x onerror=alert(1)>\nx\n```',
    "| <img src=x onerror=alert(1)> |\n|-|\n| <script>x</script> |",
    "# <script>alert(1)</script>",
    "> <script>alert(1)</script>",
    "- <script>alert(1)</script>",
    "**<b onclick=alert(1)>**",
    "&lt;script&gt;alert(1)&lt;/script&gt;",
    "<scr<script>ipt>alert(1)</scr</script>ipt>",
    "\\<script>alert(1)</script>",
    '<a\nhref="javascript:alert(1)">x</a>',
    "${alert(1)}",
    "{{constructor.constructor('alert(1)')()}}",
    "<template><s><template><s><img src=x onerror=alert(1)>",
    "\u2028<script>",
    "https://a.b/<script>alert(1)</script>",
    'www.a.b/"onmouseover=alert(1)',
    "<x:y onclick=alert(1)>",
    "<hub-chat></hub-chat>",
    "<?lit$1$?>",
    "<!--?lit$123$-->",
    "__proto__",
    "[constructor](constructor)",
    "![__proto__](__proto__)",
];

describe("hostile text", () => {
    for (const text of XSS) {
        test(JSON.stringify(text), () => {
            for (const isUnfinished of [false, true]) {
                each(tree(text, { isUnfinished }), (node) => {
                    if (typeof node === "string") return;
                    assert.ok(TAGS.includes(node.tag), node.tag);
                    if (node.tag === "a") assert.match(node.href ?? "", /^(https?:\/\/|mailto:)/);
                    if (node.language) assert.match(node.language, /^[\w+#.-]+$/);
                    const known = [
                        "tag",
                        "children",
                        "href",
                        "language",
                        "start",
                        "level",
                        "checked",
                        "align",
                    ];
                    assert.deepEqual(
                        Object.keys(node).filter((key) => !known.includes(key)),
                        [],
                    );
                });
            }
        });
    }

    test("is a value of a template, never a part of one", () => {
        const marker = "hostile";
        const text =
            `# ${marker}\n\n${marker} *${marker}* <${marker}>\n\n- [x] ${marker}\n\n1. ${marker}\n\n\`\`\`${marker}\n${marker}\n\`\`\`\n\n` +
            `| ${marker} |\n|:-:|\n| ${marker} |\n\n> ${marker}\n\n[${marker}](https://${marker}.org) ![${marker}](https://${marker}.org)`;
        const statics = new Set();
        let values = 0;
        (function walk(/** @type {any} */ value) {
            if (Array.isArray(value)) value.forEach(walk);
            else if (value?.strings) {
                for (const part of value.strings) statics.add(part);
                value.values.forEach(walk);
            } else if (typeof value === "string" && value.includes(marker)) values += 1;
        })(markdown(text));
        assert.ok(values >= 12, String(values));
        for (const part of statics)
            assert.ok(!part.includes(marker) && !/style=|\son\w+=|\.\w+=/i.test(part), part);
    });

    const N = 20_000;
    const many = {
        "nested quotes": ">".repeat(N),
        "nested quotes with blanks": "> ".repeat(N),
        "quotes and lists": "> - ".repeat(N),
        "open brackets": "[".repeat(N),
        pictures: "![".repeat(N),
        brackets: "[".repeat(N) + "]".repeat(N),
        "half links": "[a](".repeat(N),
        stars: "*".repeat(100_000),
        backticks: "`".repeat(100_000),
        "growing backticks": Array.from({ length: 280 }, (_, n) => "`".repeat(n) + "a").join(""),
        strong: "__a".repeat(N / 2),
        emphasis: "***a".repeat(N / 2),
        mixed: "*a_ ".repeat(N / 2),
        deleted: "~~a ".repeat(N / 2),
        numbers: "1. ".repeat(N),
        "less deep list": Array.from({ length: 30 }, (_, n) => `${" ".repeat(2 * n)}- a`).join("\n"),
        "deep list": Array.from({ length: 300 }, (_, n) => `${" ".repeat(2 * n)}- a`).join("\n"),
        mail: `${"a.".repeat(N)}@`,
        mails: "a@".repeat(N),
        addresses: "http://a".repeat(N / 2),
        tags: "<a ".repeat(N),
        comments: "<!--".repeat(N),
        table: `${"|a".repeat(N / 2)}\n${"|-".repeat(N / 2)}`,
        references: `[a]: b\n${"[a]".repeat(N / 2)}`,
        blanks: `${" ".repeat(N)}a`,
        lines: "a\n".repeat(N),
        breaks: "a  \n".repeat(N / 2),
        entities: "&#".repeat(N),
        escapes: "\\".repeat(N),
        fences: "```\n".repeat(N / 4),
        titles: `[a](b "${'\\"'.repeat(N)}`,
        "many paragraphs": "**a** `b` [c](https://d)\n\n".repeat(1500),
    };
    test("nested far too deeply is shown as it is", () => {
        const list = Array.from({ length: 100 }, (_, n) => `${" ".repeat(2 * n)}- a`).join("\n");
        for (const text of [list, "> ".repeat(25), "1. ".repeat(25)]) {
            assert.deepEqual(tree(text), [{ tag: "p", children: [text] }]);
        }
    });

    for (const [what, text] of Object.entries(many)) {
        test(`${what} do not keep the page waiting`, () => {
            for (const isUnfinished of [false, true]) {
                const start = performance.now();
                const nodes = tree(text, { isUnfinished });
                const took = performance.now() - start;
                assert.ok(took < 1000, `${Math.round(took)} ms`); // usually far below 100; the machine may be busy
                let depth = 0;
                (function walk(all, level) {
                    depth = Math.max(depth, level);
                    for (const node of all) if (typeof node !== "string") walk(node.children, level + 1);
                })(nodes, 0);
                assert.ok(depth < 50, String(depth));
            }
        });
    }
});
