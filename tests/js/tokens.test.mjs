// Tokens in names of files, as ComfyUI's page fills them.
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import { dated, everyNode, filled, SAVES } from "../../web/gid_tokens.js";

const now = new Date(2026, 10, 9, 7, 5, 3);
const loader = {
    title: "My photo", properties: { "Node name for S&R": "LoadImage" }, widgets: [{ name: "image", value: "a/b:oak.png" }],
};

test("a date is written by its format", () => {
    assert.equal(dated("yyyy-MM-dd", now), "2026-11-09");
    assert.equal(dated("yy.M.d hh-mm-ss", now), "26.11.9 07-05-03");
});

test("dates and widgets are filled, by the node's name or its title", () => {
    assert.equal(filled("x/%date:yyyy-MM-dd%/%LoadImage.image%", [loader], now), "x/2026-11-09/a_b_oak.png");
    assert.equal(filled("%My photo.image%", [loader], now), "a_b_oak.png");
});

test("a value never makes a folder or a name that some system refuses", () => {
    assert.equal(filled("%date:dd/MM\\yyyy:hh%", [], now), "09_11_2026_07");
});

test("a text of a prompt is part of a name, whatever it holds", () => {
    const named = value => filled("x/%p.text%_1", [{ title: "p", widgets: [{ name: "text", value }] }], now);
    assert.equal(named("a tree in the wind."), "x/a tree in the wind_1");
    assert.equal(named(" .hidden\n\u202ename\u00a0here "), "x/hidden__name_here_1");
    for (const nothing of ["", "...", null, undefined, "  "]) assert.equal(named(nothing), "x/__1");
    const long = named("樹".repeat(400));
    assert.ok(new TextEncoder().encode(long).length < 160 && long.startsWith("x/樹樹") && long.endsWith("樹_1"));
    assert.equal(named(7), "x/7_1");
});

test("what is no token of the page is left for the host", () => {
    for (const text of ["%year%-%width%", "100 %", "%Nobody.image%", "%LoadImage.mask%", "%a.b.c%", "plain"])
        assert.equal(filled(text, [loader], now), text);
});

test("nodes inside subgraphs are found", () => {
    const graph = { nodes: [{ id: 1, subgraph: { nodes: [loader] } }] };
    assert.deepEqual(everyNode(graph).map(node => node.title), [undefined, "My photo"]);
    assert.deepEqual(everyNode(undefined), []);
});

test("names are filled in all of our nodes that have one", () => {
    const nodes = JSON.parse(readFileSync(new URL("../../locales/en/nodeDefs.json", import.meta.url)));
    const named = Object.keys(nodes).filter(name => nodes[name].inputs?.filename_prefix);
    assert.deepEqual(SAVES.toSorted(), named.toSorted());
});
