/* The panel of a Flow Motion node: the still, and strokes drawn on it that say which way it flows. Knows no ComfyUI.

All that lasts is the text of strokes, which belongs to the node: the panel reads it, and writes it anew. */

import { simplified } from "./gid_gestures.js";

const FORMAT_VERSION = 1, MOST_STROKES = 1000, MOST_POINTS = 20000, MOST_SPEED = 100;
const KNOWN = ["path", "speed", "obstacle"], TOLERANCE = 0.003, SHORTEST = 0.01; // in widths and heights
const SVG = "http://www.w3.org/2000/svg";
export const MODES = { flow: {}, hold: { speed: 0 }, obstacle: { obstacle: true } };
export const WORDS = {
    en: {
        first: "Run once to see the still here, then draw on it.", draw: "Draw where it flows.", flow: "Flow", hold: "Hold still",
        obstacle: "Obstacle", clear: "Delete all strokes", remove: "Delete this stroke", still: "The still, with strokes on it",
        stroke: "Stroke", lost: "The still is no longer there. Run again to see it.",
    },
    zh: {
        first: "先运行一次，静帧就会显示在这里，然后在上面画线。", draw: "画出流动的方向。", flow: "流动", hold: "静止",
        obstacle: "障碍", clear: "删除所有笔画", remove: "删除此笔画", still: "带笔画的静帧", stroke: "笔画", lost: "静帧已不在，请重新运行。",
    },
    ja: {
        first: "一度実行すると静止画がここに表示され、線を描けます。", draw: "流れる向きに線を描いてください。", flow: "流れ", hold: "止める",
        obstacle: "障害物", clear: "すべての線を削除", remove: "この線を削除", still: "線を描いた静止画", stroke: "線", lost: "静止画がありません。もう一度実行してください。",
    },
};
const STYLE = `
.gid-strokes { display: flex; flex-direction: column; gap: 4px; box-sizing: border-box; width: 100%; height: 100%; min-height: 200px; font: 12px sans-serif; color: #ccc; user-select: none }
.gid-strokes .gid-place { position: relative; flex: 1 1 auto; min-height: 120px; overflow: hidden; background: #1a1a1a; border-radius: 4px }
.gid-strokes .gid-sheet { position: absolute; inset: 0; margin: auto; touch-action: none; cursor: crosshair }
.gid-strokes img, .gid-strokes svg { position: absolute; inset: 0; width: 100%; height: 100%; pointer-events: none }
.gid-strokes polyline { fill: none; stroke: #6cf; stroke-width: 3; vector-effect: non-scaling-stroke; stroke-linecap: round; pointer-events: stroke; cursor: pointer; filter: drop-shadow(0 0 1px #000) }
.gid-strokes polyline.hold { stroke: #fc6; stroke-width: 7 }
.gid-strokes polyline.obstacle { stroke: #f66 }
.gid-strokes polyline:focus-visible, .gid-strokes polyline.chosen { stroke: #fff; outline: none }
.gid-strokes .gid-hint { position: absolute; inset: auto 0 0 0; padding: 6px 8px; background: #000a; text-align: center; pointer-events: none }
.gid-strokes .gid-hint:empty { display: none }
.gid-strokes .gid-bar { display: flex; flex: none; gap: 4px; height: 26px }
.gid-strokes .gid-bar button { flex: 1; padding: 0 8px; border: 0; border-radius: 4px; background: #333; color: #ddd; cursor: pointer }
.gid-strokes .gid-bar button:last-child { flex: none }
.gid-strokes .gid-bar button[aria-pressed=true] { background: #369 }
.gid-strokes .gid-bar button:focus-visible { outline: 2px solid #6af; outline-offset: -2px }`;

/** Strokes of a text, as gid_core/advection/strokes.py reads them. Throws an Error that says why not. */
export function readStrokes(text) {
    if (!text.trim()) return [];
    let given;
    try {
        given = JSON.parse(text);
    } catch (error) {
        throw new Error(`The strokes are not readable as JSON: ${error.message}`);
    }
    if (given && typeof given === "object" && !Array.isArray(given)) {
        if (given.version !== FORMAT_VERSION)
            throw new Error(`The strokes have format version ${given.version}; update Image Dynamics.`);
        given = given.strokes;
    }
    if (!Array.isArray(given)) throw new Error("Expected a list of strokes. Write [] for none.");
    if (given.length > MOST_STROKES) throw new Error(`Expected at most ${MOST_STROKES} strokes, got ${given.length}.`);
    given.forEach(checkStroke);
    const points = given.reduce((sum, stroke) => sum + stroke.path.length, 0);
    if (points > MOST_POINTS) throw new Error(`Expected strokes of at most ${MOST_POINTS} points, got ${points}.`);
    return given;
}

function checkStroke(given, index) {
    const fail = why => { throw new Error(`Stroke ${index + 1} ${why}.`); };
    if (!given || typeof given !== "object" || Array.isArray(given)) fail("is no object with a path");
    const unknown = Object.keys(given).find(key => !KNOWN.includes(key));
    if (unknown) fail(`has "${unknown}", which this release does not know`);
    const { path, speed = 1, obstacle = false } = given;
    if (!Array.isArray(path) || !path.length) fail("has no path");
    for (const point of path) {
        if (!Array.isArray(point) || point.length !== 2 || !point.every(Number.isFinite)) fail("has a point that is none");
        if (!point.every(value => value >= 0 && value <= 1)) fail("leaves the picture");
    }
    if (typeof obstacle !== "boolean") fail("has an obstacle that is neither true nor false");
    if (!(speed >= 0 && speed <= MOST_SPEED)) fail("has a speed out of range");
    const [x, y] = path[0];
    if (speed > 0 && !obstacle && path.every(point => point[0] === x && point[1] === y)) fail("has a single point, which leads nowhere");
}

/** A stroke to be written down, of the points [x, y] of a pointer; null if it leads nowhere. */
export function writeStroke(points, mode) {
    const clamped = points.map(point => point.map(value => Math.min(Math.max(value, 0), 1)));
    let way = 0;
    const places = clamped.map(([x, y], i) => {
        if (i) way += Math.hypot(x - clamped[i - 1][0], y - clamped[i - 1][1]);
        return [way, x, y];
    });
    if (mode === "flow" && way < SHORTEST) return null;
    const kept = way < SHORTEST ? [places[0]] : simplified(places, TOLERANCE);
    const path = kept.map(([, x, y]) => [Number(x.toFixed(4)), Number(y.toFixed(4))]);
    return { path, ...MODES[mode] };
}

/** Which of `MODES` a stroke is of. */
export const modeOf = stroke => stroke.obstacle ? "obstacle" : stroke.speed === 0 ? "hold" : "flow";

export class Strokes {
    /** `owner` reads and writes the text: owner.read(), owner.write(text). */
    constructor(owner, language = "en") {
        Object.assign(this, { owner, words: WORDS[language.slice(0, 2)] ?? WORDS.en, mode: "flow", chosen: null, list: [], pointer: -1 });
        this.element = made("div", "gid-strokes");
        this.place = this.element.appendChild(made("div", "gid-place"));
        this.sheet = this.place.appendChild(made("div", "gid-sheet", { role: "group", ariaLabel: this.words.still }));
        this.hint = this.place.appendChild(made("div", "gid-hint", { role: "status" }));
        const bar = this.element.appendChild(made("div", "gid-bar"));
        this.buttons = Object.keys(MODES).map(mode => bar.appendChild(made("button", "", {
            type: "button", textContent: this.words[mode], onclick: () => this.choose(mode),
        })));
        this.bin = bar.appendChild(made("button", "", { type: "button", textContent: "✕", onclick: () => this.remove(this.chosen) }));
        this.element.appendChild(made("style", "", { textContent: STYLE }));
        this.sheet.addEventListener("pointerdown", event => this.draw(event));
        this.resized = new ResizeObserver(() => this.fit());
        this.resized.observe(this.place);
        this.choose("flow");
        this.refresh();
    }

    /** Show a still: an <img> that has been loaded. */
    load(picture) {
        this.size = [picture.naturalWidth, picture.naturalHeight];
        this.missing = null;
        picture.alt = "";
        this.lines = document.createElementNS(SVG, "svg");
        this.lines.setAttribute("viewBox", "0 0 1 1");
        this.lines.setAttribute("preserveAspectRatio", "none");
        this.sheet.replaceChildren(picture, this.lines);
        this.fit();
        this.text = null;
        this.refresh();
    }

    dispose() {
        this.gone = true;
        this.resized.disconnect();
    }

    /** The largest sheet of the still's shape that the place holds. */
    fit() {
        if (!this.size) return;
        const { clientWidth, clientHeight } = this.place, [width, height] = this.size;
        const scale = Math.min(clientWidth / width, clientHeight / height);
        Object.assign(this.sheet.style, { width: `${width * scale}px`, height: `${height * scale}px` });
    }

    choose(mode) {
        this.mode = mode;
        Object.keys(MODES).forEach((name, i) => { this.buttons[i].ariaPressed = String(name === mode); });
    }

    /** The text has changed, or may have. */
    refresh() {
        const text = this.owner.read();
        if (text === this.text) return;
        Object.assign(this, { text, problem: "" });
        try {
            this.list = readStrokes(text);
        } catch (error) {
            [this.list, this.problem] = [null, error.message];
        }
        if (this.chosen >= (this.list ?? []).length) this.chosen = null;
        this.lay();
    }

    change(list) {
        this.owner.write(JSON.stringify(list));
        this.refresh();
    }

    remove(i) {
        if (!this.list) return;
        this.chosen = null;
        this.change(i === null ? [] : this.list.filter((_, j) => j !== i));
        this.lay();
    }

    /** A line for every stroke, with a head where it leads to; strokes are chosen by a click or Tab. */
    lay() {
        this.lines?.replaceChildren(...(this.list ?? []).map((stroke, i) => {
            const line = document.createElementNS(SVG, "polyline"), mode = modeOf(stroke);
            line.setAttribute("points", [...stroke.path, ...(mode === "flow" ? this.head(stroke.path) : [])].map(String).join(" "));
            line.setAttribute("class", `${mode}${i === this.chosen ? " chosen" : ""}`);
            line.setAttribute("tabindex", "0");
            line.setAttribute("role", "button");
            line.setAttribute("aria-label", `${this.words.stroke} ${i + 1}, ${this.words[mode]}`);
            line.addEventListener("pointerdown", event => { event.stopPropagation(); this.chosen = i; this.lay(); });
            line.addEventListener("keydown", event => {
                if (event.key !== "Delete" && event.key !== "Backspace") return;
                event.preventDefault();
                event.stopPropagation();
                this.remove(i);
            });
            return line;
        }));
        const { words, list } = this;
        this.bin.title = this.bin.ariaLabel = this.chosen === null ? words.clear : words.remove;
        this.bin.disabled = !list?.length;
        this.hint.textContent = this.problem || (!this.lines ? this.missing ?? words.first : list.length ? "" : words.draw);
    }

    /** The points of an arrow's head at the end of a path, in the still's own proportions. */
    head(path) {
        const [width, height] = this.size, [x, y] = path.at(-1);
        const before = path.findLast(point => Math.hypot(point[0] - x, point[1] - y) > SHORTEST) ?? path[0];
        const angle = Math.atan2((y - before[1]) * height, (x - before[0]) * width), long = 0.03 * Math.max(width, height);
        const side = turn => [x - long * Math.cos(angle + turn) / width, y - long * Math.sin(angle + turn) / height];
        return [side(0.5), [x, y], side(-0.5)];
    }

    /** A stroke from a pointer that came down until it goes up; other pointers wait. */
    draw(event) {
        if (event.button !== 0 || !this.lines || !this.list || this.sheet.hasPointerCapture(this.pointer)) return;
        this.pointer = event.pointerId;
        const box = this.sheet.getBoundingClientRect();
        const at = moved => [(moved.clientX - box.left) / box.width, (moved.clientY - box.top) / box.height];
        const points = [at(event)], listening = new AbortController(), { signal } = listening;
        const line = this.lines.appendChild(document.createElementNS(SVG, "polyline"));
        line.setAttribute("class", this.mode);
        this.sheet.setPointerCapture(event.pointerId);
        this.sheet.addEventListener("pointermove", moved => {
            if (moved.pointerId !== event.pointerId) return;
            points.push(at(moved));
            line.setAttribute("points", points.map(String).join(" "));
        }, { signal });
        for (const name of ["pointerup", "pointercancel"])
            this.sheet.addEventListener(name, ended => {
                if (ended.pointerId !== event.pointerId) return;
                listening.abort();
                line.remove();
                const stroke = name === "pointerup" ? writeStroke(points, this.mode) : null;
                this.chosen = null;
                if (stroke && !this.gone) this.change([...this.list, stroke]);
                else this.lay();
            }, { signal });
    }
}

function made(kind, name, properties = {}) {
    return Object.assign(document.createElement(kind), { className: name }, properties);
}
