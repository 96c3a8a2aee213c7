/* The only file that knows ComfyUI's page: it gives every Poke Dynamics node a panel over its text of gestures, and
fills the tokens in names of files that our nodes save, which the page does for its own nodes alone.

The text stays a stock widget: it is what is saved, copied, undone and queued. The panel is a view of it that is not
saved. Frontend API of 1.28 to 1.58, classic canvas and Nodes 2.0. */

import { app } from "../../scripts/app.js";
import { Panel } from "./gid_poke.js";
import { shown } from "./gid_player.js";
import { everyNode, filled } from "./gid_tokens.js";

const SAVES = ["SaveMotionSpectrum", "SaveInteractivePage"];
const NODE = "PokeDynamics", OUTPUT = "image_dynamics", HEIGHT = 260, WIDTH = 340;
const SETTINGS = ["duration", "wind", "strength", "stiffness", "damping_ratio"]; // that are felt without a run

function fileOf({ filename, subfolder, type }) {
    const query = new URLSearchParams({ filename, subfolder, type });
    return app.api.fetchApi(`/view?${query}`).then(answer => {
        if (!answer.ok) throw new Error(answer.statusText);
        return answer.blob();
    });
}

/** The page's own name for a node, wherever it is. */
function nameOf(node) {
    const inside = node.graph && node.graph !== (app.rootGraph ?? app.graph);
    return inside ? `${node.graph.id}:${node.id}` : String(node.id);
}

// Undoing makes nodes anew, and Nodes 2.0 goes on showing the elements of the old ones: theirs are taken out.
const elements = new Map();

function mount(node, element) {
    const name = nameOf(node), before = elements.get(name);
    if (before !== element && before?.isConnected && !element.isConnected) before.replaceWith(element);
    elements.set(name, element);
}

function addPanel(node) {
    const text = node.widgets?.find(widget => widget.name === "gestures");
    if (!text) return;
    const named = name => node.widgets.find(widget => widget.name === name);
    // What comes over a link is not known before it is run.
    const known = name => named(name) && (node.inputs?.find(input => input.widget?.name === name)?.link ?? null) === null;
    const panel = new Panel({
        read: () => String(text.value ?? ""),
        settings: () => Object.fromEntries(SETTINGS.filter(known).map(name => [name, Number(named(name).value)])),
        write(value) {
            text.value = value;
            text.callback?.(value);
            node.graph?.setDirtyCanvas?.(true, true);
            const tracker = app.extensionManager?.workflow?.activeWorkflow?.changeTracker;
            (tracker?.captureCanvasState ?? tracker?.checkState)?.call(tracker);
        },
    }, app.extensionManager?.setting?.get?.("Comfy.Locale") ?? "en");
    const widget = node.addDOMWidget("poke", "GID_POKE", panel.element, {
        serialize: false, hideOnZoom: false, getMinHeight: () => HEIGHT, getValue: () => "", setValue() {},
    });
    widget.serialize = false;
    // The wheel and the middle button are the canvas's, on the panel too.
    panel.element.addEventListener("wheel", event => app.canvas.processMouseWheel?.(event), { passive: false });
    panel.element.addEventListener("pointerdown", event => event.button === 1 && app.canvas.processMouseDown?.(event));
    let newest = null, files = "";
    async function show(output) {
        if (!output || output === newest) return;
        newest = output;
        const wanted = JSON.stringify(output.files);
        if (wanted === files && panel.player) { // the same still: a hand that is on it goes on
            panel.ran = output.settings;
            panel.refresh();
            return;
        }
        try {
            const [modes, layer, plate] = await Promise.all(output.files.map(fileOf));
            const parts = await shown(modes, layer, plate);
            if (output !== newest || panel.gone) return;
            files = wanted;
            panel.load(parts, output.settings);
        } catch (error) {
            if (output !== newest || panel.gone) return;
            panel.missing = panel.words.lost;
            panel.moved();
            console.warn("Image Dynamics: the still of a Poke Dynamics node is not to be had.", error);
        }
    }
    after(node, "onExecuted", output => show(output?.[OUTPUT]?.[0]));
    // Loading, undoing and pasting set the text behind the panel's back; the drawing that follows tells.
    after(node, "onConfigure", lookSoon);
    after(node, "onAdded", lookSoon);
    after(node, "onRemoved", () => panel.dispose());
    for (const widget of [text, ...SETTINGS.map(named)]) after(widget, "callback", () => panel.refresh());
    function look() {
        if (panel.gone || !node.graph) return;
        mount(node, panel.element);
        panel.refresh();
        show(app.nodeOutputs?.[nameOf(node)]?.[OUTPUT]?.[0]); // what it made when it last ran, if the page still knows
    }
    function lookSoon() {
        requestAnimationFrame(look);
        setTimeout(look, 200);
    }
    node.imageDynamics = panel;
    node.setSize?.([Math.max(node.size[0], WIDTH), Math.max(node.size[1], node.computeSize()[1])]);
}

/** Fill the tokens of a name when a graph is queued; what is shown and saved keeps them. */
function fillTokens(node) {
    const prefix = node.widgets?.find(widget => widget.name === "filename_prefix");
    if (!prefix) return;
    prefix.serializeValue = () => filled(String(prefix.value ?? ""), everyNode(app.rootGraph ?? app.graph), new Date());
}

/** Let something happen after a method of a node or widget, whoever has had a hand in it before. */
function after(owner, method, act) {
    const before = owner[method];
    owner[method] = function (...values) {
        const result = before?.apply(this, values);
        act(...values);
        return result;
    };
}

app.registerExtension({
    name: "image-dynamics.poke",
    nodeCreated(node) {
        if (node.comfyClass === NODE) addPanel(node);
        if (SAVES.includes(node.comfyClass)) fillTokens(node);
    },
});
