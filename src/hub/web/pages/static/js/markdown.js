/** Markdown as lit-html templates, which make elements and text nodes, and never read HTML. */

import { html, nothing } from "../vendor/lit-html/lit-html.js";
import { tree } from "./markdown-tree.js";
import { _ } from "./words.js";

/** @import { TemplateResult } from "../vendor/lit-html/lit-html.js" */
/** @import { Element, Node, Tag } from "./markdown-tree.js" */

/**
 * Show Markdown. Headings are paragraphs of the class `heading` (`level-1` to `level-6`), so that the page's
 * outline stays; code blocks are `pre.code-block` with a `.language`, tables stand in `.table-scroll`, tasks
 * are `li.task`.
 * @param {string} text
 * @param {{isUnfinished?: boolean}} [options] `isUnfinished`: more is to come
 * @returns {TemplateResult}
 */
export function markdown(text, options) {
    return html`${shown(tree(text, options))}`;
}

/**
 * @param {Node[]} nodes
 * @returns {(string | TemplateResult)[]}
 */
function shown(nodes) {
    return nodes.map((node) =>
        typeof node === "string" ? node : templates[node.tag](node, shown(node.children)),
    );
}

/** @type {Record<Tag, (node: Element, inner: unknown[]) => TemplateResult>} */
const templates = {
    p: ({ level }, inner) =>
        level ? html`<p class="heading level-${level}">${inner}</p>` : html`<p>${inner}</p>`,
    strong: (_node, inner) => html`<strong>${inner}</strong>`,
    em: (_node, inner) => html`<em>${inner}</em>`,
    del: (_node, inner) => html`<del>${inner}</del>`,
    code: (_node, inner) => html`<code>${inner}</code>`,
    pre: ({ language }, inner) =>
        html`<pre class="code-block" tabindex="0">${language ? html`<span class="language">${language}</span>` : nothing}<code>${inner}</code></pre>`,
    ul: (_node, inner) => html`<ul>${inner}</ul>`,
    ol: ({ start = 1 }, inner) => html`<ol start=${start}>${inner}</ol>`,
    li: ({ checked = null }, inner) => (checked === null ? html`<li>${inner}</li>` : task(checked, inner)),
    blockquote: (_node, inner) => html`<blockquote>${inner}</blockquote>`,
    table: (_node, inner) =>
        html`<div class="table-scroll" role="group" aria-label=${_("Table")} tabindex="0"><table><tbody>${inner}</tbody></table></div>`,
    tr: (_node, inner) => html`<tr>${inner}</tr>`,
    th: ({ align }, inner) => html`<th scope="col" class=${align ?? nothing}>${inner}</th>`,
    td: ({ align }, inner) => html`<td class=${align ?? nothing}>${inner}</td>`,
    hr: () => html`<hr />`,
    br: () => html`<br />`,
    a: ({ href }, inner) =>
        html`<a href=${href} target="_blank" rel="noopener noreferrer nofollow">${inner}</a>`,
};

/**
 * @param {boolean} isDone
 * @param {unknown[]} inner
 */
function task(isDone, inner) {
    return html`<li class="task"><span role="img" aria-label=${isDone ? _("Done:") : _("To do:")}>${isDone ? "☑" : "☐"}</span> ${inner}</li>`;
}
