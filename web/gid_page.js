/* The page that `gid_core/page.py` writes: a still that a visitor pokes, while a gentle wind blows. */

import { readGestures } from "./gid_gestures.js";
import { Stage, shown } from "./gid_stage.js";

const bytes = text => Uint8Array.from(atob(text), letter => letter.charCodeAt(0));

/** The pictures are those that the page shows without scripts: the plate, and the layer over it. */
export async function openPage(document, { modes, pictures: [plate, layer], wind }) {
    const frame = document.getElementById("stage"), button = document.getElementById("wind");
    await Promise.all([plate.decode(), layer.decode()]);
    const parts = await shown(bytes(modes), layer, plate);
    frame.replaceChildren();
    const calm = matchMedia("(prefers-reduced-motion: reduce)").matches;
    const stage = new Stage(frame, parts, {
        recorded(gesture) { // hands are felt as they come; only the keyboard's flicks are to happen yet
            if (gesture.hold === 0) stage.replace(readGestures(JSON.stringify([gesture])));
        },
        moved() {
            spot.style.left = `${100 * stage.spot[0]}%`;
            spot.style.top = `${100 * stage.spot[1]}%`;
        },
    }, { wind: calm ? 0 : wind });
    const spot = frame.appendChild(document.createElement("i"));
    const blow = on => {
        stage.motion.wind = on ? wind : 0;
        stage.watched = on;
        button.setAttribute("aria-pressed", String(on));
        stage.wake();
    };
    stage.pointerleave = stage.pointerenter = () => {}; // the wind blows whether a pointer is there or not
    button.hidden = !wind;
    button.addEventListener("click", () => blow(stage.motion.wind === 0));
    stage.told.moved();
    blow(!calm && wind > 0);
    return stage;
}
