// What nodes say: the height that lines need.
import assert from "node:assert/strict";
import { test } from "node:test";
import { Said, WORDS } from "../../web/gid_said.js";

const height = (lines, width, open = null) => Said.prototype.height.call({ lines, open }, width);

test("no text needs no height, and a longer one or a narrower node needs more", () => {
    assert.equal(height([], 300), 0);
    const [short, long, narrow] = [height(["a"], 300), height(["a".repeat(200)], 300), height(["a".repeat(200)], 200)];
    assert.ok(0 < short && short < long && long < narrow);
    assert.equal(height(["a", "b"], 300) - short, height(["a", "b", "c"], 300) - height(["a", "b"], 300));
});

test("very long text scrolls, and a button has its place", () => {
    assert.equal(height(["a".repeat(5000)], 300), height(["a".repeat(9000)], 300));
    assert.ok(height(["a"], 300, () => {}) > height(["a"], 300));
});

test("every language has the same words", () => {
    const keys = Object.values(WORDS).map(words => Object.keys(words).join());
    assert.equal(new Set(keys).size, 1);
});
