/* Gestures: what a hand did to a still, as plain numbers in one text. The same as gid_core/gestures.py. */

const RISE_S = 0.2, FORMAT_VERSION = 1;
const MOST_GESTURES = 1000, MOST_PLACES = 1000, LONGEST_S = 3600;
const NEEDED = ["t", "x", "y", "dx", "dy"], KNOWN = [...NEEDED, "hold", "path", "push"];
const TOLERANCE = 0.002; // of a recorded path, in widths and heights

/** Gestures of a text: {t, x, y, way: [[s, dx, dy], ...], push}. Throws an Error that says why not. */
export function readGestures(text) {
    return readList(text).map(readGesture);
}

/** The list in a text, its gestures as they are written. */
export function readList(text) {
    if (!text.trim()) return [];
    let given;
    try {
        given = JSON.parse(text);
    } catch (error) {
        throw new Error(`The gestures are not readable as JSON: ${error.message}`);
    }
    if (given && typeof given === "object" && !Array.isArray(given)) {
        if (given.version !== FORMAT_VERSION)
            throw new Error(`The gestures have format version ${given.version}; update Image Dynamics.`);
        given = given.gestures;
    }
    if (!Array.isArray(given)) throw new Error("Expected a list of gestures. Write [] for none.");
    if (given.length > MOST_GESTURES)
        throw new Error(`Expected at most ${MOST_GESTURES} gestures, got ${given.length}.`);
    return given;
}

function readGesture(given, index) {
    const fail = why => { throw new Error(`Gesture ${index + 1} ${why}.`); };
    const number = (name, value) => Number.isFinite(value) ? value : fail(`has no number as ${name}`);
    if (!given || typeof given !== "object" || Array.isArray(given)) fail("is no object with t, x, y, dx, dy");
    const unknown = Object.keys(given).find(key => !KNOWN.includes(key));
    if (unknown) fail(`has "${unknown}", which this release does not know`);
    const [t, x, y, dx, dy] = NEEDED.map(name => number(name, given[name]));
    const hold = number("hold", given.hold ?? 0), push = given.push ?? false, path = given.path ?? null;
    if (!(x >= 0 && x <= 1 && y >= 0 && y <= 1)) fail("is outside the picture");
    if (!(t >= 0 && t <= LONGEST_S && hold >= 0 && hold <= LONGEST_S)) fail("is outside of time");
    if (typeof push !== "boolean" || (push && hold === 0)) fail("has a push that is none");
    if (path && (!Array.isArray(path) || path.length > MOST_PLACES)) fail("has a path that is none");
    let last = 0;
    for (const place of path ?? []) {
        if (!Array.isArray(place) || place.length !== 3) fail("has a place on its path that is none");
        place.forEach(value => number("path", value));
        if (!(last < place[0] && place[0] < hold)) fail("has a path whose times do not rise below its hold");
        last = place[0];
    }
    const way = hold ? [[0, 0, 0], ...(path ?? []), [hold, dx, dy]] : [[0, dx, dy]];
    if (way.some(place => Math.abs(place[1]) > 1 || Math.abs(place[2]) > 1)) fail("goes too far");
    if (hold && !push && !path) way.splice(1, 0, [Math.min(RISE_S, hold / 2), dx, dy]);
    return { t, x, y, way, push };
}

export const endOf = gesture => gesture.t + gesture.way.at(-1)[0];
export const isFlick = gesture => gesture.way.at(-1)[0] === 0;

/** Where a finger is, s seconds after it came down, as seen from there. */
export function offsetAt(way, s) {
    for (let i = 1; i < way.length; i++) {
        const [a, ax, ay] = way[i - 1], [b, bx, by] = way[i];
        if (s < b) return [ax + (s - a) / (b - a) * (bx - ax), ay + (s - a) / (b - a) * (by - ay)];
    }
    return way.at(-1).slice(1);
}

/** A gesture to be written down, of a finger's samples [s, dx, dy] since it came down. */
export function writeGesture(t, x, y, samples, push) {
    const round = value => Number(value.toFixed(4)), millis = s => Math.floor(1000 * s) / 1000; // over by now
    const last = samples.at(-1), hold = Math.max(0.01, millis(last[0]));
    let tolerance = TOLERANCE, kept;
    do kept = simplified([[0, 0, 0], ...samples.filter(place => place[0] > 0)], tolerance);
    while (kept.length > MOST_PLACES && (tolerance *= 2));
    const path = [];
    for (const place of kept.slice(1, -1)) {
        const s = millis(place[0]);
        if (s > (path.at(-1)?.[0] ?? 0) && s < hold) path.push([s, round(place[1]), round(place[2])]);
    }
    const gesture = { t: millis(t), x: round(x), y: round(y), dx: round(last[1]), dy: round(last[2]), hold, path };
    return push ? { ...gesture, push: true } : gesture;
}

/** The fewest places between which straight lines in time stay within a tolerance of all of them. */
export function simplified(places, tolerance) {
    if (places.length < 3) return places;
    const first = places[0], last = places.at(-1);
    let worst = 0, far = tolerance;
    for (let i = 1; i < places.length - 1; i++) {
        const share = (places[i][0] - first[0]) / (last[0] - first[0] || 1);
        const off = Math.hypot(
            places[i][1] - first[1] - share * (last[1] - first[1]),
            places[i][2] - first[2] - share * (last[2] - first[2]));
        if (off > far) [worst, far] = [i, off];
    }
    if (!worst) return [first, last];
    return [...simplified(places.slice(0, worst + 1), tolerance), ...simplified(places.slice(worst), tolerance).slice(1)];
}
