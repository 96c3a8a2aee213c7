/* The panel of a Poke Dynamics node: the still, and a timeline of what was done to it. Knows no ComfyUI.

All that lasts is the text of gestures, which belongs to the node: the panel reads it, and writes it anew. The clip
starts running with the first drag, and what is done while it runs is recorded where it happens. */

import { endOf, readGestures, readList } from "./gid_gestures.js";
import { Player } from "./gid_player.js";

const LEAD_S = 0.3; // before the first gesture
const PAUSE_S = 0.4; // between the last gesture and where the next take begins
const LATEST_S = 0.3; // before the end of the clip, for a take to begin
const NUDGE_S = 0.1;
const LATE_S = 0.5; // before the end: a release from there on is hardly seen to ring, as gid_core/poke/response.py says
const AUTO = "auto"; // the text of gid_core/poke/first.py
const SVG = "http://www.w3.org/2000/svg";
export const WORDS = {
    en: {
        first: "Run once to see the still here, then drag on it.", drag: "Drag on the still.", play: "Play", stop: "Stop",
        clear: "Delete all gestures", remove: "Delete this gesture", still: "The still. Drag to pull; arrow keys move the mark, with Shift they flick.",
        line: "Gestures over time", gesture: "Gesture at", lost: "The still is no longer there. Run again to see it.",
        late: "A gesture lets go too late to be seen ringing: begin it earlier, or lengthen the clip.",
    },
    zh: {
        first: "先运行一次，静帧就会显示在这里，然后在上面拖动。", drag: "在静帧上拖动。", play: "播放", stop: "停止",
        clear: "删除所有手势", remove: "删除此手势", still: "静帧。拖动即拉动；方向键移动标记，按住 Shift 则轻弹。",
        line: "手势时间线", gesture: "手势，时间", lost: "静帧已不在，请重新运行。",
        late: "有手势松开得太晚，看不到回荡：请提前开始，或加长片段。",
    },
    ja: {
        first: "一度実行すると静止画がここに表示され、ドラッグできます。", drag: "静止画の上をドラッグしてください。", play: "再生", stop: "停止",
        clear: "すべてのジェスチャーを削除", remove: "このジェスチャーを削除", still: "静止画。ドラッグで引っ張ります。矢印キーで印を動かし、Shift と矢印で弾きます。",
        line: "時間に沿ったジェスチャー", gesture: "ジェスチャー", lost: "静止画がありません。もう一度実行してください。",
        late: "手を離すのが遅すぎて、揺れが見えません。早めに始めるか、クリップを長くしてください。",
    },
};
const STYLE = `
.gid-poke { display: flex; flex-direction: column; gap: 4px; box-sizing: border-box; width: 100%; height: 100%; min-height: 200px; font: 12px sans-serif; color: #ccc; user-select: none }
.gid-player { position: relative; flex: 1 1 auto; min-height: 120px; overflow: hidden; background: #1a1a1a; border-radius: 4px }
.gid-frame { position: absolute; inset: 0; margin: auto; max-width: 100%; max-height: 100%; touch-action: none; cursor: grab; outline: none }
.gid-frame:active { cursor: grabbing }
.gid-frame:focus-visible, .gid-bar button:focus-visible { outline: 2px solid #6af; outline-offset: -2px }
.gid-hint { position: absolute; inset: auto 0 0 0; padding: 6px 8px; background: #000a; text-align: center; pointer-events: none }
.gid-hint:empty { display: none }
.gid-spot { position: absolute; width: 14px; height: 14px; margin: -7px; border: 2px solid #fff; border-radius: 50%; box-shadow: 0 0 2px #000; pointer-events: none; visibility: hidden }
.gid-frame:focus-visible .gid-spot { visibility: visible }
.gid-marks { position: absolute; inset: 0; width: 100%; height: 100%; pointer-events: none; overflow: visible }
.gid-marks path { fill: none; stroke: #6a9; stroke-width: 2px; stroke-linecap: round; vector-effect: non-scaling-stroke }
.gid-marks .push { stroke: #b96 }
.gid-marks .chosen { stroke: #fff }
.gid-marks .dot { stroke-width: 9px }
.gid-bar { display: flex; flex: none; gap: 4px; height: 26px }
.gid-bar > button { width: 28px; padding: 0; border: 0; border-radius: 4px; background: #333; color: #ddd; cursor: pointer }
.gid-line { position: relative; flex: 1; background: #262626; border-radius: 4px; overflow: hidden; touch-action: none; cursor: pointer }
.gid-line button { position: absolute; height: 8px; min-width: 6px; padding: 0; border: 0; border-radius: 3px; background: #6a9; cursor: ew-resize; touch-action: none }
.gid-line button.push { background: #b96 }
.gid-line button[aria-pressed=true] { background: #fff }
.gid-now { position: absolute; top: 0; bottom: 0; width: 1px; background: #f66; pointer-events: none }`;

export class Panel {
    /** `owner` reads and writes the gestures' text, and knows its settings: owner.read(), owner.write(text), owner.settings(). */
    constructor(owner, language = "en") {
        this.owner = owner;
        this.words = WORDS[language.slice(0, 2)] ?? WORDS.en;
        this.element = made("div", "gid-poke");
        this.place = this.element.appendChild(made("div", "gid-player"));
        this.frame = this.place.appendChild(made("div", "gid-frame", { tabIndex: 0, role: "application", ariaLabel: this.words.still }));
        this.spot = made("i", "gid-spot");
        this.marks = document.createElementNS(SVG, "svg");
        for (const [name, value] of Object.entries({ class: "gid-marks", viewBox: "0 0 1 1", preserveAspectRatio: "none" }))
            this.marks.setAttribute(name, value);
        this.hint = this.place.appendChild(made("div", "gid-hint", { role: "status" }));
        const bar = this.element.appendChild(made("div", "gid-bar"));
        this.playing = bar.appendChild(made("button", "", { type: "button", onclick: () => this.toggle() }));
        this.line = bar.appendChild(made("div", "gid-line", { role: "group", ariaLabel: this.words.line }));
        this.now = this.line.appendChild(made("div", "gid-now"));
        this.bin = bar.appendChild(made("button", "", { type: "button", textContent: "✕", onclick: () => this.remove(this.selected) }));
        this.element.appendChild(made("style", "", { textContent: STYLE }));
        this.line.addEventListener("pointerdown", event => this.grasp(event));
        this.frame.addEventListener("keydown", event => {
            if (event.key === " ") taken(event, () => this.toggle());
        });
        this.resized = new ResizeObserver(() => this.fit());
        this.resized.observe(this.place);
        this.duration = 5;
        this.first = "[]"; // until a run says what it is for this still
        this.start = LEAD_S;
        this.selected = null;
        this.refresh();
    }

    /** Show a still. Parts: of `shown` in gid_player.js; settings: of the run that made them; first: what AUTO means. */
    load(parts, settings, first = "[]") {
        this.player?.dispose();
        Object.assign(this, { ran: settings, first });
        this.size = [parts.layer.width, parts.layer.height];
        this.fit();
        this.player = new Player(this.frame, parts, this);
        this.frame.append(this.marks, this.spot);
        this.refresh();
        this.start = this.next();
    }

    dispose() {
        this.gone = true;
        this.resized.disconnect();
        this.player?.dispose();
        this.player = null;
    }

    /** The largest frame of the still's shape that the place holds. */
    fit() {
        if (!this.size) return;
        const { clientWidth, clientHeight } = this.place, [width, height] = this.size;
        const scale = Math.min(clientWidth / width, clientHeight / height);
        Object.assign(this.frame.style, { width: `${width * scale}px`, height: `${height * scale}px` });
    }

    /** What is set now: by the owner, and what it does not know as in the last run. */
    settle() {
        const settings = { ...this.ran, ...this.owner.settings() }, seen = JSON.stringify(settings);
        if (seen === this.settled && this.player === this.settledOn) return;
        Object.assign(this, { settled: seen, settledOn: this.player, text: null }); // pushes are as far as the strength says
        this.duration = settings.duration ?? this.duration;
        this.player?.settle(settings);
    }

    /** The text or the settings have changed, or may have. */
    refresh() {
        this.settle();
        const written = this.owner.read(), text = written.trim() === AUTO ? this.first : written;
        if (text === this.text && this.player === this.shownOn) return;
        Object.assign(this, { text, shownOn: this.player, problem: "" });
        try {
            [this.list, this.gestures] = [readList(text), readGestures(text)];
        } catch (error) {
            [this.list, this.gestures, this.problem] = [null, [], error.message];
        }
        if (this.selected >= this.gestures.length) this.selected = null;
        this.player?.replace(this.gestures);
        this.lay();
        this.moved();
    }

    change(list) {
        this.owner.write(JSON.stringify(list));
        this.refresh();
    }

    say(text) {
        this.hint.textContent = text;
    }

    // --- what the player tells -------------------------------------------------------------------

    /** A hand comes down: if the clip does not run, it begins to. */
    coming() {
        this.refresh();
        if (!this.player.running && !this.player.hands.size && !this.problem) this.player.run(this.start);
    }

    recorded(gesture) {
        if (!this.list || gesture.t >= this.duration) return;
        this.selected = null;
        this.change([...this.list, gesture]);
        this.start = this.next();
    }

    /** Where the next take begins: after the last gesture, or anew where there is no time left. */
    next() {
        const last = Math.max(...this.gestures.map(endOf)) + PAUSE_S;
        return this.gestures.length && last < this.duration - LATEST_S ? Number(last.toFixed(2)) : Math.min(LEAD_S, this.duration / 10);
    }

    moved() {
        const { player, words } = this, running = player?.running ?? false;
        this.now.style.left = `${100 * Math.min(running ? player.motion.time / this.duration : this.start / this.duration, 1)}%`;
        if (player) [this.spot.style.left, this.spot.style.top] = player.spot.map(value => `${100 * value}%`);
        this.playing.textContent = running ? "■" : "▶";
        this.playing.title = this.playing.ariaLabel = running ? words.stop : words.play;
        this.playing.disabled = !player;
        this.bin.title = this.bin.ariaLabel = this.selected === null ? words.clear : words.remove;
        this.bin.disabled = !this.gestures.length;
        this.marks.style.opacity = running || player?.hands.size ? 0 : 1;
        const late = this.gestures.some(gesture => endOf(gesture) > this.duration - Math.min(LATE_S, this.duration / 4));
        const hint = this.gestures.length || player?.hands.size ? (late && !running ? words.late : "") : words.drag;
        this.say(this.problem || (player ? hint : this.missing ?? words.first));
    }

    // --- the timeline ----------------------------------------------------------------------------

    toggle() {
        if (!this.player) return;
        this.refresh();
        if (this.player.running) this.player.stop();
        else this.player.run(0);
        this.moved();
    }

    /** A bar for every gesture, those that overlap in lanes below each other. */
    lay() {
        const focused = document.activeElement?.gesture, lanes = [];
        for (const bar of [...this.line.querySelectorAll("button")]) bar.remove();
        this.gestures.forEach((gesture, i) => {
            const lane = lanes.findIndex(end => end <= gesture.t), row = (lane < 0 ? lanes.length : lane) % 3;
            lanes[lane < 0 ? lanes.length : lane] = endOf(gesture);
            const bar = made("button", gesture.push ? "push" : "", { type: "button", gesture: i, ariaPressed: String(i === this.selected) });
            bar.title = bar.ariaLabel = `${this.words.gesture} ${gesture.t.toFixed(2)} s`;
            Object.assign(bar.style, {
                left: `${100 * Math.min(gesture.t / this.duration, 0.99)}%`, top: `${1 + 8 * row}px`,
                width: `${100 * (endOf(gesture) - gesture.t) / this.duration}%`,
            });
            bar.addEventListener("focus", () => this.select(i));
            bar.addEventListener("keydown", event => this.steer(event, i));
            this.line.appendChild(bar);
            if (focused === i) bar.focus();
        });
        this.marks.replaceChildren(...this.gestures.flatMap(marksOf));
    }

    select(i) {
        this.selected = i;
        for (const [at, mark] of [...this.marks.children].entries()) mark.classList.toggle("chosen", at >> 1 === i);
        for (const bar of this.line.querySelectorAll("button")) bar.ariaPressed = String(bar.gesture === i);
        this.moved();
    }

    /** Keys on a gesture: arrows move it in time, Delete deletes it, Enter plays from it. */
    steer(event, i) {
        const by = { ArrowLeft: -1, ArrowRight: 1 }[event.key] * (event.shiftKey ? 10 : 1) * NUDGE_S;
        if (by) taken(event, () => this.shift(i, this.list[i].t + by));
        else if (event.key === "Delete" || event.key === "Backspace") taken(event, () => this.remove(i));
        else if (event.key === "Enter" || event.key === " ") taken(event, () => this.player?.run(this.list[i].t));
    }

    shift(i, t) {
        const within = Math.min(Math.max(t, 0), Math.max(this.duration - 0.05, 0));
        this.change(this.list.map((gesture, j) => j === i ? { ...gesture, t: Number(within.toFixed(3)) } : gesture));
    }

    remove(i) {
        if (!this.list) return;
        this.selected = null;
        this.change(i === null ? [] : this.list.filter((_, j) => j !== i));
        this.start = this.next();
        if (!this.player?.running) this.player?.seek(0);
        this.moved();
    }

    /** A pointer on the timeline: on a gesture it moves it, beside all it says where to go on from. */
    grasp(event) {
        if (event.button !== 0) return;
        const box = this.line.getBoundingClientRect(), seconds = this.duration / box.width;
        const i = event.target.gesture, from = event.clientX, at = i === undefined ? 0 : this.list[i].t;
        if (i === undefined) {
            this.selected = null;
            this.start = Number(((from - box.left) * seconds).toFixed(2));
            this.lay();
            if (!this.player?.running) this.player?.seek(this.start);
            this.moved();
            return;
        }
        const listening = new AbortController(), { signal } = listening;
        this.select(i);
        let t = at;
        const bar = event.target;
        bar.setPointerCapture(event.pointerId);
        bar.addEventListener("pointermove", moved => {
            t = Math.max(0, at + (moved.clientX - from) * seconds);
            bar.style.left = `${100 * Math.min(t / this.duration, 0.99)}%`;
        }, { signal });
        for (const name of ["pointerup", "pointercancel"])
            bar.addEventListener(name, () => {
                listening.abort();
                if (Math.abs(t - at) > 2 * seconds && !this.gone) this.shift(i, t);
            }, { signal });
    }
}

function made(kind, name, properties = {}) {
    return Object.assign(document.createElement(kind), { className: name }, properties);
}

function taken(event, act) {
    event.preventDefault();
    event.stopPropagation();
    act();
}

/** Two marks on the still for a gesture: a dot where it takes hold, and the way to where it lets go. */
function marksOf({ x, y, way, push }) {
    const path = way.map(([, dx, dy]) => `${x + dx} ${y + dy}`).join(" L ");
    return [["dot", `M ${x} ${y} l 0 0`], ["way", `M ${x} ${y} L ${path}`]].map(([kind, d]) => {
        const mark = document.createElementNS(SVG, "path");
        mark.setAttribute("class", push ? `${kind} push` : kind);
        mark.setAttribute("d", d);
        return mark;
    });
}
