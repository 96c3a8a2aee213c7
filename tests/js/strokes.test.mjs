import assert from "node:assert/strict";
import test from "node:test";

import { modeOf, readStrokes, Strokes, writeStroke } from "../../web/gid_strokes.js";
import { point } from "./page.mjs";

test("a text of strokes is read as it is written", () => {
    const strokes = [{ path: [[0.2, 0.6], [0.8, 0.5]], speed: 1.5 }, { path: [[0.4, 0.7]], speed: 0 }];
    assert.deepEqual(readStrokes(JSON.stringify(strokes)), strokes);
    assert.deepEqual(readStrokes(JSON.stringify({ version: 1, strokes })), strokes);
    assert.deepEqual(readStrokes(" "), []);
});

for (const [text, why] of [
    ["nonsense", /not readable as JSON/],
    ["3", /Expected a list/],
    ['{"version": 2, "strokes": []}', /format version 2/],
    ["[3]", /Stroke 1 is no object/],
    ["[{}]", /Stroke 1 has no path/],
    ['[{"path": [[0, 0], [1, 1]], "colour": 3}]', /"colour", which this release/],
    ['[{"path": [[0, 2], [0, 1]]}]', /leaves the picture/],
    ['[{"path": [[0, 0, 0]]}]', /a point that is none/],
    ['[{"path": [[0, 0.5]]}]', /leads nowhere/],
    ['[{"path": [[0, 0.5], [1, 0.5]], "speed": -1}]', /speed out of range/],
    ['[{"path": [[0, 0.5], [1, 0.5]], "obstacle": 1}]', /neither true nor false/],
])
    test(`${text} is refused with its reason`, () => assert.throws(() => readStrokes(text), why));

test("a drawn line keeps its ends and its way, with few points", () => {
    const points = Array.from({ length: 200 }, (_, i) => [0.1 + 0.004 * i, 0.5 + 0.1 * Math.sin(i / 30)]);
    const { path } = writeStroke(points, "flow");
    assert.ok(path.length < 40);
    assert.deepEqual(path[0], [0.1, 0.5]);
    assert.deepEqual(path.at(-1), points.at(-1).map(value => Number(value.toFixed(4))));
    assert.doesNotThrow(() => readStrokes(JSON.stringify([writeStroke(points, "flow")])));
});

test("a click flows nowhere, but holds still and stands in the way", () => {
    assert.equal(writeStroke([[0.5, 0.5], [0.501, 0.5]], "flow"), null);
    for (const mode of ["hold", "obstacle"]) {
        const stroke = writeStroke([[0.5, 1.2]], mode);
        assert.deepEqual(stroke.path, [[0.5, 1]]);
        assert.equal(modeOf(stroke), mode);
        assert.doesNotThrow(() => readStrokes(JSON.stringify([stroke])));
    }
});

test("a second finger draws nothing, and leaves the stroke of the first as it is", () => {
    let text = "[]";
    const panel = new Strokes({ read: () => text, write(value) { text = value; } });
    panel.load(new Image());
    const { sheet } = panel;
    point(sheet, "pointerdown", 1, 0.1, 0.2);
    point(sheet, "pointerdown", 2, 0.9, 0.9);
    point(sheet, "pointermove", 2, 0.8, 0.1);
    point(sheet, "pointermove", 1, 0.5, 0.2);
    point(sheet, "pointerup", 2, 0.8, 0.1);
    assert.equal(text, "[]");
    point(sheet, "pointerup", 1, 0.5, 0.2);
    assert.deepEqual(readStrokes(text), [{ path: [[0.1, 0.2], [0.5, 0.2]] }]);
    point(sheet, "pointerdown", 3, 0.1, 0.6);
    point(sheet, "pointermove", 3, 0.4, 0.6);
    point(sheet, "pointerup", 3, 0.4, 0.6);
    assert.equal(readStrokes(text).length, 2);
});
