/* What a poked still does, computed as `gid_core/poke.py` computes it; no DOM here.

A still has shapes S_k with an oscillator each, q'' + 2 zeta omega q' + omega^2 q = omega^2 s(t), which is
stepped exactly; what moves is D = Re sum_k S_k (q_k - i q'_k / omega_k). Law: the same gestures give the
same numbers as in Python (tests/golden/modal_response.json). */

import { endOf, isFlick, offsetAt } from "./gid_gestures.js";

const PUSH_S = 0.05, PACE_S = 0.02, FLICK_S = 0.1;
const SLIP = 0.03, FARTHEST_PULL = 0.25, ELSEWHERE = 1.5, COARSE = 4, NOTHING = 1e-3;
const PAUSE_S = 0.05; // after which a finger that pushes, and has not moved, does not push

// --- what can be poked ---------------------------------------------------------------------------

/** Read what `gid_core/packing.py` packs: a length, a JSON header, roots of the shapes in bytes, as differences. */
export async function unpack(deflated) {
    const stream = new Blob([deflated]).stream().pipeThrough(new DecompressionStream("deflate"));
    return parse(await new Response(stream).arrayBuffer());
}

export function parse(buffer) {
    const length = new DataView(buffer).getUint32(0, true);
    const head = JSON.parse(new TextDecoder().decode(new Uint8Array(buffer, 4, length)));
    if (head.version !== 1) throw new Error(`These modes have format version ${head.version}; reload the page.`);
    const bytes = new Int8Array(buffer, 4 + length), width = head.grid[1], values = new Float32Array(bytes.length);
    const each = bytes.length / head.omega.length;
    for (let i = 0; i < bytes.length; i++) {
        if (i % width) bytes[i] += bytes[i - 1];
        values[i] = bytes[i] * Math.abs(bytes[i]) / 16129 * head.largest[Math.floor(i / each)];
    }
    return new Body(head, values);
}

/** Shapes and their oscillators. Complex vectors over modes are {re, im}. */
export class Body {
    constructor(head, planes) {
        Object.assign(this, head);
        this.planes = planes; // of mode k: x, y; of complex ones: x real, x imaginary, y real, y imaginary
        this.count = head.omega.length;
        this.parts = head.complex ? 2 : 1;
        this.points = head.grid[0] * head.grid[1];
    }

    /** Its oscillators of another stiffness and damping ratio; 0 is its own, or by the law (alpha, beta). */
    tune({ stiffness = 1, damping_ratio = 0, law = null }) {
        const { omega, damping } = this.natural ??= { omega: this.omega.map(value => value / Math.sqrt(this.stiffness)), damping: this.damping };
        this.stiffness = stiffness;
        this.omega = omega.map(value => value * Math.sqrt(stiffness));
        this.damping = damping.map((own, k) => damping_ratio || (law ? (law[0] / this.omega[k] + law[1] * this.omega[k]) / 2 : own));
    }

    zeros() {
        return { re: new Float64Array(this.count), im: new Float64Array(this.count) };
    }

    /** {re, im}[x or y][k] of the shapes at a place in fractions of the picture. */
    at(x, y) {
        const [height, width] = this.grid;
        x = Math.min(Math.max(x * width - 0.5, 0), width - 1);
        y = Math.min(Math.max(y * height - 0.5, 0), height - 1);
        const left = Math.floor(x), top = Math.floor(y);
        const right = Math.min(left + 1, width - 1), bottom = Math.min(top + 1, height - 1);
        const fx = x - left, fy = y - top, found = [this.zeros(), this.zeros()];
        const near = [
            [top * width + left, (1 - fy) * (1 - fx)], [top * width + right, (1 - fy) * fx],
            [bottom * width + left, fy * (1 - fx)], [bottom * width + right, fy * fx],
        ];
        for (let k = 0; k < this.count; k++)
            for (let axis = 0; axis < 2; axis++)
                for (let part = 0; part < this.parts; part++) {
                    const plane = ((k * 2 + axis) * this.parts + part) * this.points;
                    let sum = 0;
                    for (const [i, weight] of near) sum += weight * this.planes[plane + i];
                    found[axis][part ? "im" : "re"][k] = sum;
                }
        return found;
    }

    /** Where a pull at a place holds every mode, {re, im}; null where there is nothing to pull. */
    pull(x, y, dx, dy) {
        const [sx, sy] = this.at(x, y), [height, width] = this.grid;
        let wx = dx * width, wy = dy * height;
        const far = Math.hypot(wx, wy) / (FARTHEST_PULL * Math.max(height, width));
        if (far > 0) [wx, wy] = [wx * Math.tanh(far) / far, wy * Math.tanh(far) / far];
        let xx = 0, xy = 0, yy = 0;
        for (let k = 0; k < this.count; k++) {
            xx += this.give[k] * (sx.re[k] ** 2 + sx.im[k] ** 2);
            yy += this.give[k] * (sy.re[k] ** 2 + sy.im[k] ** 2);
            xy += this.give[k] * (sx.re[k] * sy.re[k] + sx.im[k] * sy.im[k]);
        }
        if (xx + yy <= NOTHING * this.softest || xx + yy === 0) return null;
        xx += SLIP * this.softest;
        yy += SLIP * this.softest;
        let fx = (yy * wx - xy * wy) / (xx * yy - xy * xy), fy = (xx * wy - xy * wx) / (xx * yy - xy * xy);
        if (this.along) {
            const share = (wx * wx + wy * wy) / Math.max(wx * (xx * wx + xy * wy) + wy * (xy * wx + yy * wy), 1e-300);
            [fx, fy] = [wx * share, wy * share];
        }
        const state = this.zeros();
        for (let k = 0; k < this.count; k++) {
            state.re[k] = this.give[k] * (sx.re[k] * fx + sy.re[k] * fy);
            state.im[k] = -this.give[k] * (sx.im[k] * fx + sy.im[k] * fy);
        }
        const [mx, my] = this.field(state, COARSE);
        let elsewhere = 1e-12;
        for (let i = 0; i < mx.length; i++) elsewhere = Math.max(elsewhere, Math.hypot(mx[i], my[i]));
        return scaled(state, Math.min(1, ELSEWHERE * Math.hypot(wx, wy) / elsewhere));
    }

    /** [x, y] of the displacement in every so many points of the grid, px of the grid. */
    field(coords, step = 1, out = null) {
        const [height, width] = this.grid, rows = Math.ceil(height / step), columns = Math.ceil(width / step);
        out ??= [new Float32Array(rows * columns), new Float32Array(rows * columns)];
        out[0].fill(0);
        out[1].fill(0);
        for (let k = 0; k < this.count; k++)
            for (let part = 0; part < this.parts; part++) {
                const weight = part ? -coords.im[k] : coords.re[k];
                if (Math.abs(weight) * this.largest[k] < 1e-4) continue;
                for (let axis = 0; axis < 2; axis++) {
                    const plane = ((k * 2 + axis) * this.parts + part) * this.points, sum = out[axis], planes = this.planes;
                    if (step === 1) for (let i = 0; i < this.points; i++) sum[i] += weight * planes[plane + i];
                    else
                        for (let row = 0; row < rows; row++)
                            for (let column = 0; column < columns; column++)
                                sum[row * columns + column] += weight * planes[plane + (row * width + column) * step];
                }
            }
        return out;
    }

    /** How far every point of the grid gives way to a force, in no unit. */
    softness() {
        const sum = new Float32Array(this.points);
        for (let k = 0; k < this.count; k++)
            for (let plane = 2 * k * this.parts; plane < 2 * (k + 1) * this.parts; plane++)
                for (let i = 0; i < this.points; i++)
                    sum[i] += this.give[k] * this.planes[plane * this.points + i] ** 2;
        return sum;
    }

    /** What the wind does to the modes: in bands of their own, or played back. */
    ambient(time) {
        const coords = this.zeros(), wind = this.wind_bands;
        if (!wind) return coords;
        const turns = wind.hz.map(hz => { const cycles = hz * time; return 2 * Math.PI * (cycles - Math.floor(cycles)); });
        if (!wind.re)
            turns.forEach((turn, k) => { coords.re[k] = Math.cos(turn); coords.im[k] = Math.sin(turn); });
        else
            for (let k = 0; k < this.count; k++)
                turns.forEach((turn, m) => {
                    const c = Math.cos(turn), s = Math.sin(turn);
                    coords.re[k] += wind.re[k][m] * c - wind.im[k][m] * s;
                    coords.im[k] += wind.re[k][m] * s + wind.im[k][m] * c;
                });
        return coords;
    }
}

const scaled = (state, by) => ({ re: state.re.map(value => value * by), im: state.im.map(value => value * by) });

function add(to, state, by = 1) {
    for (let k = 0; k < to.re.length; k++) {
        to.re[k] += by * state.re[k];
        to.im[k] += by * state.im[k];
    }
}

// --- motion --------------------------------------------------------------------------------------

/** (c, s) of free motion over dt: see `propagator` in gid_core/dynamics.py. */
export function propagator(omega, zeta, dt) {
    const decay = zeta * omega, root = omega * Math.sqrt(Math.abs(1 - zeta * zeta));
    const turn = root * dt, fade = Math.exp(-decay * dt);
    const slow = Math.exp(-omega * omega / (decay + root) * dt), fast = Math.exp(-(decay + root) * dt);
    const c = zeta < 1 ? fade * Math.cos(turn) : (slow + fast) / 2;
    if (turn < 1e-4) return [c, fade * dt];
    return [c, (zeta < 1 ? fade * Math.sin(turn) : (slow - fast) / 2) / root];
}

/** A still in motion: recorded gestures as their times come, fingers that are there now, and wind. */
export class Motion {
    constructor(body, gestures = [], { strength = 1, wind = 0 } = {}) {
        Object.assign(this, { body, strength, wind });
        this.fingers = new Map();
        this.events = [];
        this.still();
        this.replace(gestures);
    }

    /** At rest, at a time; fingers stay. */
    still(time = 0) {
        this.time = time;
        this.q = this.body.zeros();
        this.velocity = this.body.zeros();
        this.next = this.events.filter(([when]) => when <= time).length;
    }

    /** Other recorded gestures, from now on. */
    replace(gestures) {
        this.held = gestures.filter(gesture => !gesture.push && !isFlick(gesture));
        this.forces = gestures.filter(gesture => gesture.push || isFlick(gesture)).map(gesture => this.force(gesture));
        const releases = this.held.map(gesture => [endOf(gesture), gesture]);
        const turns = this.forces.flatMap(places => places.map(([time]) => [time, null]));
        this.events = [...releases, ...turns].sort((a, b) => a[0] - b[0]);
        this.next = this.events.filter(([time]) => time <= this.time).length;
    }

    pull(x, y, dx, dy) {
        return this.body.pull(x, y, this.strength * dx, this.strength * dy);
    }

    /** [[time, force by where it would hold], ...] of a push or flick. */
    force({ t, x, y, way, push }) {
        const body = this.body, nothing = body.zeros();
        if (!push) {
            const state = this.pull(x, y, way[0][1], way[0][2]) ?? nothing, peak = body.zeros();
            for (let k = 0; k < body.count; k++) {
                const rate = 2 / (FLICK_S * body.omega[k] / Math.sqrt(body.stiffness) * body.stiffness);
                peak.re[k] = rate * state.re[k];
                peak.im[k] = rate * state.im[k];
            }
            return [[t, nothing], [t + FLICK_S / 2, peak], [t + FLICK_S, nothing]];
        }
        const places = [way[0]];
        for (let i = 1; i < way.length; i++) {
            const [a, ax, ay] = way[i - 1], [b, bx, by] = way[i];
            const count = Math.max(1, Math.ceil((b - a) / PACE_S));
            for (let j = 1; j <= count; j++)
                places.push([a + (b - a) * j / count, ax + (bx - ax) * j / count, ay + (by - ay) * j / count]);
        }
        return places.map(([s, dx, dy], i) => {
            if (i === 0 || i === places.length - 1) return [t + s, nothing];
            const [a, ax, ay] = places[i - 1], [b, bx, by] = places[i + 1];
            return [t + s, this.pushed(x + dx, y + dy, (bx - ax) / (b - a), (by - ay) / (b - a))];
        });
    }

    /** The force of a finger that passes a place at a speed. */
    pushed(x, y, speedX, speedY) {
        const [cx, cy] = [Math.min(Math.max(x, 0), 1), Math.min(Math.max(y, 0), 1)];
        const state = this.pull(cx, cy, PUSH_S * speedX, PUSH_S * speedY) ?? this.body.zeros();
        return scaled(state, 1 / this.body.stiffness);
    }

    /** Go on to a time, exactly, through all that happens until then. */
    advance(time) {
        for (const finger of this.fingers.values())
            if (finger.push && time - finger.last[0] > PAUSE_S) finger.now = this.body.zeros();
        while (this.next < this.events.length && this.events[this.next][0] <= time) {
            const [when, released] = this.events[this.next++];
            this.stretch(when);
            if (released) add(this.q, this.grip(released, released.way.at(-1)[0]));
        }
        this.stretch(time);
        for (const finger of this.fingers.values()) finger.before = finger.now;
    }

    grip(gesture, s) {
        return this.pull(gesture.x, gesture.y, ...offsetAt(gesture.way, s)) ?? this.body.zeros();
    }

    /** Step over a stretch in which every force is a straight line. */
    stretch(end) {
        const dt = end - this.time;
        if (dt <= 0) return;
        const first = this.body.zeros(), last = this.body.zeros();
        let forced = false;
        for (const places of this.forces)
            for (let i = 1; i < places.length; i++) {
                const [a, from] = places[i - 1], [b, to] = places[i];
                if (a > this.time || end > b || a === b) continue;
                forced = true;
                for (const [sum, time] of [[first, this.time], [last, end]]) {
                    add(sum, from, (b - time) / (b - a));
                    add(sum, to, (time - a) / (b - a));
                }
                break;
            }
        for (const finger of this.fingers.values())
            if (finger.push) {
                forced = true;
                add(first, finger.before);
                add(last, finger.now);
            }
        for (let k = 0; k < this.body.count; k++) {
            const omega = this.body.omega[k], zeta = this.body.damping[k], [c, s] = propagator(omega, zeta, dt);
            for (const part of ["re", "im"]) {
                let q = this.q[part][k], v = this.velocity[part][k];
                const slope = forced ? (last[part][k] - first[part][k]) / dt : 0, lag = 2 * zeta / omega * slope;
                if (forced) [q, v] = [q - first[part][k] + lag, v - slope];
                this.q[part][k] = (c + zeta * omega * s) * q + s * v + (forced ? last[part][k] - lag : 0);
                this.velocity[part][k] = (c - zeta * omega * s) * v - omega * omega * s * q + (forced ? slope : 0);
            }
        }
        this.time = end;
    }

    /** Modal coordinates now, {re, im}. */
    coords() {
        const coords = this.body.zeros();
        for (let k = 0; k < this.body.count; k++) {
            coords.re[k] = this.q.re[k] + this.velocity.im[k] / this.body.omega[k];
            coords.im[k] = this.q.im[k] - this.velocity.re[k] / this.body.omega[k];
        }
        for (const gesture of this.held)
            if (gesture.t <= this.time && this.time < endOf(gesture)) add(coords, this.grip(gesture, this.time - gesture.t));
        for (const finger of this.fingers.values()) if (!finger.push && finger.state) add(coords, finger.state);
        if (this.wind) add(coords, this.body.ambient(this.time), this.wind);
        return coords;
    }

    /** How far anything still swings by itself, px of the grid at most. */
    swing() {
        let sum = 0;
        for (let k = 0; k < this.body.count; k++) {
            const v = Math.hypot(this.velocity.re[k], this.velocity.im[k]) / this.body.omega[k];
            sum += this.body.largest[k] * Math.hypot(this.q.re[k], this.q.im[k], v);
        }
        return sum;
    }

    /** A finger comes down. Where there is nothing to take hold of, it pushes what it will pass. */
    touch(id, x, y) {
        const push = !this.body.pull(x, y, 0.01, 0.01), nothing = this.body.zeros();
        this.fingers.set(id, { x, y, push, state: null, before: nothing, now: nothing, last: [this.time, x, y] });
        return push;
    }

    /** It is elsewhere now, in fractions of the picture. */
    move(id, x, y) {
        const finger = this.fingers.get(id);
        if (!finger) return;
        if (!finger.push) finger.state = this.pull(finger.x, finger.y, x - finger.x, y - finger.y);
        else if (this.time - finger.last[0] > 1e-3) {
            const [time, lx, ly] = finger.last, dt = this.time - time;
            finger.now = this.pushed(x, y, (x - lx) / dt, (y - ly) / dt);
            finger.last = [this.time, x, y];
        }
    }

    /** It lets go: what it held rings from there. */
    release(id) {
        const finger = this.fingers.get(id);
        if (finger?.state) add(this.q, finger.state);
        this.fingers.delete(id);
    }
}

/** Modal coordinates at rising times from 0, as `respond` in gid_core/poke.py. */
export function respond(body, gestures, times, options = {}) {
    const motion = new Motion(body, gestures, options);
    return times.map(time => {
        motion.advance(time);
        return motion.coords();
    });
}
