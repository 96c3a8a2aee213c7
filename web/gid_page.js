/* The page that `gid_core/poke/page.py` writes: a still that a visitor pokes, while a gentle wind blows. */

import { readGestures } from "./gid_gestures.js";
import { Player, shown } from "./gid_player.js";

const bytes = text => Uint8Array.from(atob(text), letter => letter.charCodeAt(0));

/** The pictures are those that the page shows without scripts: the plate, and the layer over it. */
export async function openPage(document, { modes, pictures: [plate, layer], wind }) {
    const frame = document.getElementById("player"), button = document.getElementById("wind");
    await Promise.all([plate.decode(), layer.decode()]);
    const parts = await shown(bytes(modes), layer, plate);
    frame.replaceChildren();
    const calm = matchMedia("(prefers-reduced-motion: reduce)").matches;
    const player = new Player(frame, parts, {
        recorded(gesture) { // hands are felt as they come; only the keyboard's flicks are to happen yet
            if (gesture.hold === 0) player.replace(readGestures(JSON.stringify([gesture])));
        },
        moved() {
            spot.style.left = `${100 * player.spot[0]}%`;
            spot.style.top = `${100 * player.spot[1]}%`;
        },
    }, { wind: calm ? 0 : wind });
    const spot = frame.appendChild(document.createElement("i"));
    const blow = on => {
        player.motion.wind = on ? wind : 0;
        player.watched = on;
        button.setAttribute("aria-pressed", String(on));
        player.wake();
    };
    player.pointerleave = player.pointerenter = () => {}; // the wind blows whether a pointer is there or not
    button.hidden = !wind;
    button.addEventListener("click", () => blow(player.motion.wind === 0));
    player.told.moved();
    blow(!calm && wind > 0);
    return player;
}
