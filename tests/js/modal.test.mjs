// The browser's mathematics against Python's: tests/golden/modal_response.json, written by `make golden`.
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import { inflateSync } from "node:zlib";
import { readGestures, writeGesture } from "../../web/gid_gestures.js";
import { Motion, parse, propagator, respond, unpack } from "../../web/gid_modal.js";

const golden = JSON.parse(readFileSync(new URL("../golden/modal_response.json", import.meta.url)));

function bodyOf(name) {
    const bytes = inflateSync(Buffer.from(golden[name].packed, "base64"));
    return parse(bytes.buffer.slice(bytes.byteOffset, bytes.byteOffset + bytes.length));
}

const energy = motion => motion.q.re.reduce((sum, _, k) => sum
    + (motion.body.omega[k] * Math.hypot(motion.q.re[k], motion.q.im[k])) ** 2
    + motion.velocity.re[k] ** 2 + motion.velocity.im[k] ** 2, 0);

for (const name of Object.keys(golden))
    test(`${name} respond as in Python`, () => {
        const { gestures, times, strength, wind, re, im } = golden[name];
        const found = respond(bodyOf(name), readGestures(gestures), times, { strength, wind });
        const largest = Math.max(...re.flat().map(Math.abs));
        assert.ok(largest > 0.1);
        let worst = 0;
        found.forEach((coords, t) => coords.re.forEach((_, k) => {
            worst = Math.max(worst, Math.abs(coords.re[k] - re[t][k]), Math.abs(coords.im[k] - im[t][k]));
        }));
        assert.ok(worst < 1e-6 * largest, `${worst} of ${largest}`);
    });

test("what Python deflates is unpacked in a browser's way", async () => {
    const body = await unpack(Buffer.from(golden.bands.packed, "base64"));
    assert.deepEqual(body.grid, [9, 13]);
    assert.deepEqual(body.planes, bodyOf("bands").planes);
});

test("without a force energy never grows, for steps of 1 ms to 1 s", () => {
    for (const dt of [0.001, 0.01, 0.1, 1]) {
        const motion = new Motion(bodyOf("modes"));
        motion.touch(1, 0.4, 0.3);
        motion.move(1, 0.5, 0.35);
        motion.release(1);
        for (let i = 1, before = energy(motion); i <= 30; i++) {
            motion.advance(i * dt);
            assert.ok(energy(motion) <= before * (1 + 1e-12));
            before = energy(motion);
        }
    }
});

test("two steps are one of twice the time", () => {
    for (const zeta of [0.05, 1, 1 + 1e-9, 3]) {
        const [c, s] = propagator(4, zeta, 0.2), [c2, s2] = propagator(4, zeta, 0.4), d = 4 * zeta;
        const q = (c + d * s) ** 2 - 16 * s * s; // of q(0) = 1, q'(0) = 0, twice
        assert.ok(Math.abs(q - (c2 + d * s2)) < 1e-9);
    }
});

test("a drag leaves a gesture that replays as it was", () => {
    const body = bodyOf("modes"), live = new Motion(body), samples = [];
    live.advance(0.25);
    assert.equal(live.touch(7, 0.4, 0.3), false);
    for (let i = 1; i <= 30; i++) {
        live.advance(0.25 + i / 60);
        samples.push([i / 60, 0.1 * Math.sin(i / 8), 0.004 * i]);
        live.move(7, 0.4 + samples.at(-1)[1], 0.3 + samples.at(-1)[2]);
    }
    live.release(7);
    const gesture = writeGesture(0.25, 0.4, 0.3, samples, false);
    assert.ok(gesture.path.length < 20 && gesture.hold <= 0.5);
    const replayed = new Motion(body, readGestures(JSON.stringify([gesture])));
    for (const time of [0.8, 1, 1.7]) {
        live.advance(time);
        replayed.advance(time);
        const [a, b] = [live.coords(), replayed.coords()];
        a.re.forEach((value, k) => assert.ok(Math.abs(value - b.re[k]) < 0.05));
    }
    assert.ok(live.swing() > 0.05);
});

test("a gesture that has been recorded does not let go twice", () => {
    const motion = new Motion(bodyOf("modes"));
    motion.advance(0.1004);
    motion.touch(1, 0.4, 0.3);
    motion.advance(0.4008);
    motion.move(1, 0.5, 0.3);
    motion.release(1);
    const gesture = writeGesture(0.1004, 0.4, 0.3, [[0.3004, 0.1, 0]], false), before = motion.coords();
    motion.replace(readGestures(JSON.stringify([gesture])));
    motion.advance(0.4008);
    assert.deepEqual(motion.coords(), before);
});

test("where nothing moves there is nothing to hold, and a finger pushes", () => {
    const motion = new Motion(bodyOf("modes"));
    assert.equal(motion.touch(1, 0.5, 1), true);
    motion.advance(0.02);
    motion.move(1, 0.5, 0.99);
    motion.advance(0.04);
    motion.release(1);
    assert.ok(motion.swing() < 1e-3);
});

test("gestures that are none say why", () => {
    for (const [text, why] of [
        ["nothing", /not readable as JSON/], ['{"version": 2, "gestures": []}', /format version 2/], ["3", /list of gestures/],
        ['[{"t": 0, "x": 0.5}]', /no number as y/], ['[{"t":0,"x":1.2,"y":0,"dx":0,"dy":0}]', /outside the picture/],
        ['[{"t":0,"x":0,"y":0,"dx":0,"dy":0,"pressure":1}]', /"pressure", which/],
        [JSON.stringify(Array(1001).fill({})), /at most 1000/],
    ]) assert.throws(() => readGestures(text), why);
    assert.deepEqual(readGestures("  "), []);
});
