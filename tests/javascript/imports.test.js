// Browsers get the modules as they are: what one of them imports has to be a file beside it.

import assert from "node:assert/strict";
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { fileURLToPath } from "node:url";

const STATIC = fileURLToPath(new URL("../../src/hub/web/pages/static/", import.meta.url));
const IMPORT = /(?:\bfrom\s*|\bimport\s*\(?\s*)(["'])([^"'\n]+)\1/g;

/** @returns {string[]} the modules that are served, relative to the folder of static files */
function modules() {
    const folders = ["js", "vendor"].filter((name) => existsSync(join(STATIC, name)));
    const found = folders.flatMap((name) =>
        readdirSync(join(STATIC, name), { recursive: true }).map((file) => join(name, String(file))),
    );
    return found.filter((name) => name.endsWith(".js"));
}

/**
 * The comments of a module may name what they like.
 * @param {string} name
 */
function source(name) {
    return readFileSync(join(STATIC, name), "utf8").replace(/\/\*[^]*?\*\/|^\s*\/\/.*$/gm, "");
}

test("the modules of others are there", () => {
    const names = modules();
    for (const name of ["lit-html/lit-html.js", "lit-html/directives/repeat.js", "marked/marked.js"]) {
        assert.ok(names.includes(`vendor/${name}`), `${name} is missing: run make run, or make check`);
    }
});

test("what a module imports is a file that is served", () => {
    let seen = 0;
    for (const name of modules()) {
        for (const [, , target = ""] of source(name).matchAll(IMPORT)) {
            seen += 1;
            assert.match(target, /^\.{1,2}\/.*\.js$/, `${name} imports ${target}, which browsers do not find`);
            assert.ok(existsSync(join(STATIC, name, "..", target)), `${name} imports ${target}, which is not there`);
        }
    }
    assert.ok(seen > 5);
});

test("no module asks for a source map that stayed behind", () => {
    for (const name of modules()) {
        assert.doesNotMatch(readFileSync(join(STATIC, name), "utf8"), /sourceMappingURL/, name);
    }
});
