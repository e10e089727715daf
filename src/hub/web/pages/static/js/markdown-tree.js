/** Markdown as plain data. Nobody is trusted here: what is not on the list below is text, and HTML always is. */

import { Lexer } from "../vendor/marked/marked.js";

/** @import { Token, Tokens } from "../vendor/marked/marked.js" */

/**
 * One element, or text. `p` with a `level` is a heading.
 * @typedef {string | Element} Node
 * @typedef {"p" | "strong" | "em" | "del" | "code" | "pre" | "ul" | "ol" | "li" | "blockquote" | "table" | "tr"
 *   | "th" | "td" | "hr" | "br" | "a"} Tag
 * @typedef {object} Element
 * @property {Tag} tag
 * @property {Node[]} children
 * @property {string} [href] of `a`: http, https or mailto
 * @property {string} [language] of `pre`
 * @property {number} [start] of `ol`
 * @property {number} [level] 1 to 6
 * @property {boolean | null} [checked] of `li`: a task
 * @property {"left" | "center" | "right" | null} [align] of `th` and `td`
 */

/** What is longer, or more deeply nested, is shown as it is: reading it could take a browser seconds. */
const LONGEST = 50_000;
const DEEPEST = 20;
const NESTED_TOO_DEEP =
    /^(?:[ \t]*(?:>|[-+*](?=[ \t])|\d{1,9}[.)](?=[ \t]))){20}|^[ \t]{64,}(?:[-+*]|\d{1,9}[.)])[ \t]/m;
/** The same for a single paragraph with so many marks, or such a long word. */
const MARKS = /[*_~`[\]<&@!\\]/g;
const MOST_MARKS = 600;
const LONG_WORD = /\S{2000}/;

const PROTOCOLS = ["http:", "https:", "mailto:"];
const ENTITIES = new Map(
    Object.entries({ amp: "&", lt: "<", gt: ">", quot: '"', apos: "'", nbsp: "\u00a0" }),
);

/**
 * Read Markdown.
 * @param {string} text
 * @param {{isUnfinished?: boolean}} [options] `isUnfinished`: more is to come, so what is open at the end is
 *   taken to be closed
 * @returns {Node[]}
 */
export function tree(text, { isUnfinished = false } = {}) {
    const plain = () => [element("p", [text])];
    if (text.length > LONGEST || NESTED_TOO_DEEP.test(text)) return plain();
    try {
        const read = blocks(tokens(isUnfinished ? closed(text) : text), 0);
        return read.length || !text.trim() ? read : plain();
    } catch {
        return plain(); // nested too deeply after all
    }
}

/**
 * @param {string} text
 * @returns {Token[]}
 */
function tokens(text) {
    const lexer = new Lexer({ gfm: true, breaks: true });
    lexer.blockTokens(text.replace(/\r\n?/g, "\n"), lexer.tokens);
    for (const { src, tokens: found } of lexer.inlineQueue) {
        const isHostile = (src.match(MARKS)?.length ?? 0) > MOST_MARKS || LONG_WORD.test(src);
        if (isHostile) found.push(/** @type {Tokens.Escape} */ ({ type: "escape", raw: src, text: src }));
        else lexer.inlineTokens(src, found);
    }
    return lexer.tokens;
}

/**
 * @param {readonly Token[]} found
 * @param {number} depth
 * @returns {Node[]}
 */
function blocks(found, depth) {
    return found.flatMap((token) => node(/** @type {Tokens.Generic} */ (token), depth + 1));
}

/**
 * @param {Tokens.Generic} token
 * @param {number} depth
 * @returns {Node | Node[]}
 */
function node(token, depth) {
    if (depth > DEEPEST) return token.raw;
    const read = Object.hasOwn(readers, token.type) ? readers[token.type] : undefined;
    return read ? read(token, () => blocks(token.tokens ?? [], depth), depth) : token.raw;
}

/** @type {Record<string, (token: Tokens.Generic, inner: () => Node[], depth: number) => Node | Node[]>} */
const readers = {
    space: () => [],
    def: () => [],
    checkbox: () => [],
    hr: () => element("hr"),
    br: () => element("br"),
    paragraph: (_token, inner) => element("p", inner()),
    heading: (token, inner) => element("p", inner(), { level: token.depth }),
    blockquote: (_token, inner) => element("blockquote", inner()),
    strong: (_token, inner) => element("strong", inner()),
    em: (_token, inner) => element("em", inner()),
    del: (_token, inner) => element("del", inner()),
    codespan: (token) => element("code", [token.text]),
    code: (token) =>
        element("pre", [token.text], { language: /^[\w+#.-]{1,30}/.exec(token.lang ?? "")?.[0] ?? "" }),
    escape: (token) => token.text,
    text: (token, inner) => (token.tokens ? inner() : decoded(token.text)),
    html: (token) => (token.block ? element("p", [token.raw.trimEnd()]) : token.raw),
    link: (token, inner) => link(token, inner()),
    image: (token) => link(token, [decoded(token.text) || token.href]),
    list: (token, _inner, depth) => {
        const items = token.items.map((/** @type {Tokens.ListItem} */ item) => listItem(item, depth));
        return token.ordered
            ? element("ol", items, { start: Number(token.start) || 0 })
            : element("ul", items);
    },
    table: (token, _inner, depth) => {
        const row = (/** @type {Tokens.TableCell[]} */ cells) =>
            element(
                "tr",
                cells.map((cell) => tableCell(cell, depth)),
            );
        return element("table", [token.header, ...token.rows].map(row));
    },
};

/**
 * @param {Tokens.ListItem} item
 * @param {number} depth
 */
function listItem(item, depth) {
    return element("li", blocks(item.tokens, depth + 1), {
        checked: item.task ? item.checked === true : null,
    });
}

/**
 * @param {Tokens.TableCell} cell
 * @param {number} depth
 */
function tableCell(cell, depth) {
    return element(cell.header ? "th" : "td", blocks(cell.tokens, depth + 1), { align: cell.align });
}

/**
 * A link where it may lead there, else what it says.
 * @param {Tokens.Generic} token
 * @param {Node[]} children
 * @returns {Node | Node[]}
 */
function link(token, children) {
    const href = allowed(token.href);
    if (href !== null) return element("a", children, { href });
    return token.autolink || token.type === "image" ? token.raw : [...children, ` (${token.href})`];
}

/**
 * Return an address as the browser understands it, if that is one to follow.
 * @param {string} address
 */
export function allowed(address) {
    try {
        const url = new URL(decoded(address));
        return PROTOCOLS.includes(url.protocol) ? url.href : null;
    } catch {
        return null;
    }
}

/** @param {string} text */
function decoded(text) {
    return text.replace(/&(?:#(\d{1,7})|#[xX]([\da-fA-F]{1,6})|(\w{2,6}));/g, (whole, decimal, hex, name) => {
        if (name) return ENTITIES.get(name) ?? whole;
        const code = decimal ? Number(decimal) : Number.parseInt(hex, 16);
        const isText = code >= 32 && code <= 0x10ffff && !(code >= 0xd800 && code <= 0xdfff);
        return isText ? String.fromCodePoint(code) : "\ufffd";
    });
}

/**
 * @param {Tag} tag
 * @param {Node[]} [children]
 * @param {Omit<Element, "tag" | "children">} [more]
 * @returns {Element}
 */
function element(tag, children = [], more = {}) {
    return { tag, children, ...more };
}

/**
 * Close what is open at the end of a text that still grows, so that it does not jump once it is complete.
 * @param {string} text
 */
function closed(text) {
    const fences = text.match(/^ {0,3}(?:```|~~~)/gm)?.length ?? 0;
    if (fences % 2) return text.replace(/\n`{1,2}$/, "");
    const start = text.lastIndexOf("\n\n") + 1;
    let end = text.slice(start);
    end = end.replace(/(^|\n)[ \t]*(?:[-=+*_#>`~]+|\d{1,3}[.)]?)[ \t]*$/, "$1"); // a mark without its line
    end = end.replace(/!?\[([^\]\n]{0,200})\]\([^)\n]{0,2000}$/, "$1"); // half a link
    const open = openMarks(end);
    if (open.length === 0) return text.slice(0, start) + end;
    const last = open[open.length - 1] ?? "";
    const bare = end.trimEnd();
    const isBare = bare.endsWith(last);
    const closing = (isBare ? open.slice(0, -1) : open).reverse().join("");
    return text.slice(0, start) + (isBare ? bare.slice(0, -last.length).trimEnd() : bare) + closing;
}

/**
 * Marks of code, strong and emphasis that are not closed, the outermost first.
 * @param {string} text
 */
function openMarks(text) {
    /** @type {string[]} */
    const open = [];
    for (const [mark] of text.matchAll(/\\.|`+|(?<=\S)\*{1,3}|\*{1,3}(?=\S|$)/gs)) {
        const last = open.at(-1);
        if (mark.startsWith("\\") || (last?.startsWith("`") && mark !== last)) continue;
        if (mark === last) open.pop();
        else if (open.length < DEEPEST) open.push(mark);
    }
    return open;
}
