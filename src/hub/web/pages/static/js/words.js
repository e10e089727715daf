// What the page says, in the reader's language: the English sentence is the key.

/** @typedef {Record<string, string | string[]>} Catalogue */

// There is no page where this is tested.
const language = globalThis.document?.documentElement?.lang;

/** @type {{default: Catalogue, plural: (n: number) => number}} */
const words = language
    ? await import(new URL(`../words/${language}.js`, import.meta.url).href)
    : { default: {}, plural: (n) => Number(n !== 1) };

/**
 * Put values in place of `%(name)s`.
 * @param {string} text
 * @param {Record<string, string | number>} values
 */
export function format(text, values) {
    return text.replaceAll(/%\((\w+)\)[sd]/g, (whole, name) => String(values[name] ?? whole));
}

/**
 * Say a sentence.
 * @param {string} text
 */
export function _(text) {
    const said = words.default[text];
    return typeof said === "string" && said ? said : text;
}

/**
 * Say a sentence about a number of things; `%(num)d` is the number.
 * @param {string} one
 * @param {string} many
 * @param {number} number
 */
export function ngettext(one, many, number) {
    const said = words.default[one];
    const text = Array.isArray(said) ? said[words.plural(number)] : "";
    return format(text || (number === 1 ? one : many), { num: number });
}
