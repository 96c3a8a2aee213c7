/* A still that is poked: what moves (gid_modal.js), what shows it (gid_view.js), and the hands that do it.

Time is that of the clip. It goes on while there is something to see, exactly, however long a frame takes. */

import { writeGesture } from "./gid_gestures.js";
import { Motion, unpack } from "./gid_modal.js";
import { View } from "./gid_view.js";

const CALM_PX = 0.05; // of the grid: nothing is seen to move
const LONGEST_FRAME_S = 0.1; // after which a page was away, not slow
const STEP = 0.02, FLICK = 0.06; // of the picture, by the keyboard

/** What a player shows, of files that are there: modes, deflated, and the two pictures as blobs. */
export async function shown(modes, layer, plate) {
    return { body: await unpack(modes), layer: await createImageBitmap(layer), plate: await createImageBitmap(plate) };
}

export class Player {
    /** `told` is called as told.recorded(gesture) when a hand lets go, and as told.moved() with every frame. */
    constructor(container, { body, layer, plate }, told, settings = {}) {
        Object.assign(this, { container, body, told });
        this.duration = settings.duration ?? Infinity;
        this.view = new View(container, body, layer, plate);
        this.motion = new Motion(body, [], settings);
        this.hands = new Map();
        this.spot = [0.5, 0.5];
        this.running = this.watched = false;
        this.cost = { script: 0, draw: 0, frames: 0 }; // ms, of frames since they were last set to 0
        this.listening = new AbortController();
        for (const name of ["pointerdown", "pointermove", "pointerup", "pointercancel", "pointerenter", "pointerleave", "keydown"])
            container.addEventListener(name, event => this[name](event), { signal: this.listening.signal });
        this.draw();
    }

    dispose() {
        this.gone = true;
        this.listening.abort();
        cancelAnimationFrame(this.frame);
        this.view.dispose();
    }

    /** Other settings, from now on: those of the clip, and those of the body's oscillators. */
    settle({ duration = Infinity, wind = 0, strength = 1, ...oscillators }) {
        this.duration = duration;
        Object.assign(this.motion, { wind, strength });
        this.body.tune(oscillators);
        this.wake();
    }

    /** Other recorded gestures. */
    replace(gestures) {
        this.motion.replace(gestures);
    }

    /** As the still is at a time of the clip, by what is recorded. */
    seek(time) {
        this.motion.still();
        this.motion.advance(time);
        this.draw();
    }

    /** Let the clip run from a time to its end. */
    run(time) {
        this.seek(time);
        this.running = true;
        this.wake();
    }

    stop() {
        this.running = false;
    }

    wake() {
        if (this.frame || this.gone) return;
        this.last = performance.now();
        this.frame = requestAnimationFrame(now => this.tick(now));
    }

    tick(now) {
        this.frame = 0;
        const dt = Math.min(Math.max(now - this.last, 0) / 1000, LONGEST_FRAME_S), motion = this.motion;
        motion.advance(motion.time + dt);
        if (this.running && motion.time >= this.duration && !this.hands.size) this.running = false;
        this.draw();
        this.told.moved();
        const windy = motion.wind > 0 && this.watched;
        const coming = this.duration === Infinity && motion.next < motion.events.length; // where no clip has to run for it
        if (this.running || this.hands.size || windy || coming || motion.swing() > CALM_PX) {
            this.last = now;
            this.frame = requestAnimationFrame(then => this.tick(then));
        }
    }

    draw() {
        const begun = performance.now();
        this.field = this.body.field(this.motion.coords(), 1, this.field);
        const computed = performance.now();
        this.view.draw(this.field);
        this.cost.script += computed - begun;
        this.cost.draw += performance.now() - computed;
        this.cost.frames++;
    }

    // --- hands -----------------------------------------------------------------------------------

    /** Where in the picture a pointer is, 0 to 1 inside; the page may be zoomed. */
    place(event) {
        const box = this.view.canvas.getBoundingClientRect();
        return [(event.clientX - box.left) / box.width, (event.clientY - box.top) / box.height];
    }

    pointerdown(event) {
        const [x, y] = this.place(event);
        if (event.button !== 0 || x < 0 || x > 1 || y < 0 || y > 1) return;
        this.told.coming?.();
        this.container.setPointerCapture(event.pointerId);
        this.spot = [x, y];
        const push = this.motion.touch(event.pointerId, x, y);
        this.hands.set(event.pointerId, { t: this.motion.time, x, y, push, samples: [[0, 0, 0]] });
        this.wake();
    }

    pointermove(event) {
        const hand = this.hands.get(event.pointerId);
        if (!hand) return;
        const within = value => Math.min(Math.max(value, -1), 1);
        const [x, y] = this.place(event), dx = within(x - hand.x), dy = within(y - hand.y), s = this.motion.time - hand.t;
        if (s === hand.samples.at(-1)[0] && hand.samples.length > 1) hand.samples.pop();
        hand.samples.push([s, dx, dy]);
        this.motion.move(event.pointerId, hand.x + dx, hand.y + dy);
        this.wake();
    }

    pointerup(event) {
        const hand = this.hands.get(event.pointerId);
        if (!hand) return;
        this.pointermove(event);
        this.motion.release(event.pointerId);
        this.hands.delete(event.pointerId);
        const [, dx, dy] = hand.samples.at(-1);
        if (dx || dy) this.told.recorded(writeGesture(hand.t, hand.x, hand.y, hand.samples, hand.push));
    }

    pointercancel(event) {
        if (this.hands.delete(event.pointerId)) this.motion.release(event.pointerId);
    }

    pointerenter() {
        this.watched = true;
        if (this.motion.wind > 0) this.wake();
    }

    pointerleave() {
        this.watched = false;
    }

    /** Arrows move the spot, with shift they flick what is there. */
    keydown(event) {
        const way = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] }[event.key];
        if (!way || event.target !== this.container || event.ctrlKey || event.metaKey || event.altKey) return;
        event.preventDefault();
        event.stopPropagation();
        if (event.shiftKey) {
            this.told.coming?.();
            const [x, y] = this.spot.map(value => Number(value.toFixed(4))), t = Math.ceil(1000 * this.motion.time) / 1000;
            this.told.recorded({ t, x, y, dx: FLICK * way[0], dy: FLICK * way[1], hold: 0 });
            this.wake();
        } else this.spot = this.spot.map((value, i) => Math.min(Math.max(value + STEP * way[i], 0), 1));
        this.told.moved();
    }
}
