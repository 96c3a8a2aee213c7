/* The only file that knows ComfyUI's page: it gives every Poke Dynamics node a panel over its text of gestures, and every
Flow Motion node one over its text of strokes, shows on every node of ours what it has to say, colours our nodes and
sockets, and fills the tokens in names of files that our nodes save, which the page does for its own nodes alone.

The text stays a stock widget: it is what is saved, copied, undone and queued. The panel is a view of it that is not
saved. Frontend API of 1.27.10 to 1.58, classic canvas and Nodes 2.0. */

import { app } from "../../scripts/app.js";
import { Panel } from "./gid_poke.js";
import { shown } from "./gid_player.js";
import { MARGIN_PX, Said } from "./gid_said.js";
import { Strokes } from "./gid_strokes.js";
import { everyNode, filled, SAVES } from "./gid_tokens.js";

const CATEGORY = "image dynamics";
const SOCKETS = { GID_MODEL: "#d9a441", GID_SPECTRUM: "#5fc28f", GID_DISPLACEMENT: "#5aa7d6" };
const SIZE_PX = 15, LOOK_MS = 300, LOOKS = 40; // the line below a picture; how long to wait for a picture
const FRAMES = ["$$comfy_animation_preview", "$$canvas-image-preview"], VIDEO = /\.(mp4|m4v|mov|webm|mkv)$/i;
const COLOUR = "#2b4a3d", BACKGROUND = "#223630"; // of our nodes, where the user has chosen none
const NODE = "PokeDynamics", FLOW = "FlowMotion", OUTPUT = "image_dynamics", HEIGHT = 260, WIDTH = 340;
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

function mount(node, element, kind = "poke") {
    const name = `${nameOf(node)} ${kind}`, before = elements.get(name);
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
        ...ownerOf(node, text),
        settings: () => Object.fromEntries(SETTINGS.filter(known).map(name => [name, Number(named(name).value)])),
    }, language());
    place(node, panel, "poke", "GID_POKE");
    let newest = null, files = "";
    async function show(output) {
        if (!output || output === newest) return;
        newest = output;
        const wanted = JSON.stringify(output.files);
        if (wanted === files && panel.player) { // the same still: a hand that is on it goes on
            Object.assign(panel, { ran: output.settings, first: output.first });
            panel.refresh();
            return;
        }
        try {
            const [modes, layer, plate] = await Promise.all(output.files.map(fileOf));
            const parts = await shown(modes, layer, plate);
            if (output !== newest || panel.gone) return;
            files = wanted;
            panel.load(parts, output.settings, output.first);
        } catch (error) {
            if (output !== newest || panel.gone) return;
            panel.missing = panel.words.lost;
            panel.moved();
            console.warn("Image Dynamics: the still of a Poke Dynamics node is not to be had.", error);
        }
    }
    after(node, "onExecuted", output => show(output?.[OUTPUT]?.[0]));
    follow(node, panel, [text, ...SETTINGS.map(named)], show);
}

function addStrokes(node) {
    const text = node.widgets?.find(widget => widget.name === "strokes");
    if (!text) return;
    const panel = new Strokes(ownerOf(node, text), language());
    place(node, panel, "draw", "GID_STROKES");
    let newest = "";
    async function show(output) {
        const wanted = JSON.stringify(output?.files ?? null);
        if (!output || wanted === newest) return;
        newest = wanted;
        const picture = new Image();
        try {
            picture.src = URL.createObjectURL(await fileOf(output.files[0]));
            await picture.decode();
            if (wanted === newest && !panel.gone) panel.load(picture);
        } catch (error) {
            if (wanted !== newest || panel.gone) return;
            newest = ""; // another run names its file by the content: the same, though it is there again
            panel.missing = panel.words.lost;
            panel.lay();
            console.warn("Image Dynamics: the still of a Flow Motion node is not to be had.", error);
        } finally {
            URL.revokeObjectURL(picture.src);
        }
    }
    after(node, "onExecuted", output => show(output?.[OUTPUT]?.[0]));
    follow(node, panel, [text], show);
}

const language = () => app.extensionManager?.setting?.get?.("Comfy.Locale") ?? "en";

/** How a panel reads and writes the text of a node. */
function ownerOf(node, text) {
    return {
        read: () => String(text.value ?? ""),
        write(value) {
            text.value = value;
            text.callback?.(value);
            node.graph?.setDirtyCanvas?.(true, true);
            const tracker = app.extensionManager?.workflow?.activeWorkflow?.changeTracker;
            (tracker?.captureCanvasState ?? tracker?.checkState)?.call(tracker);
        },
    };
}

/** Put a panel into a node. */
function place(node, panel, name, kind) {
    const widget = node.addDOMWidget(name, kind, panel.element, {
        serialize: false, hideOnZoom: false, getMinHeight: () => HEIGHT, getValue: () => "", setValue() {},
    });
    widget.serialize = false;
    // The wheel and the middle button are the canvas's, on the panel too.
    panel.element.addEventListener("wheel", event => app.canvas.processMouseWheel?.(event), { passive: false });
    panel.element.addEventListener("pointerdown", event => event.button === 1 && app.canvas.processMouseDown?.(event));
}

/** Let a panel follow the node's widgets and what the node shows of its last run. */
function follow(node, panel, widgets, show) {
    // Loading, undoing and pasting set the text behind the panel's back; the drawing that follows tells.
    after(node, "onConfigure", lookSoon);
    after(node, "onAdded", lookSoon);
    after(node, "onRemoved", () => panel.dispose());
    for (const widget of widgets) after(widget, "callback", () => panel.refresh());
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

/** Show the text of a node's last run under its widgets, from the first run that has any. */
function addSaid(node) {
    let said = null, widget = null, newest = null, grown = false;
    function show(output) {
        if (!output || output === newest) return;
        newest = output;
        const lines = (output.text ?? []).map(String), page = output.gid_page?.[0];
        if (!said && !lines.length) return;
        if (!said) {
            said = new Said(language());
            widget = node.addDOMWidget("said", "GID_SAID", said.element, {
                serialize: false, hideOnZoom: false, margin: MARGIN_PX, getValue: () => "", setValue() {},
            });
            // As high as its text, in both canvases: what is left of the node is for its pictures.
            Object.assign(widget, {
                serialize: false, computeLayoutSize: undefined, computeSize: () => [0, said.height(node.size[0])],
            });
            said.element.addEventListener("pointerdown", event => event.button === 1 && app.canvas.processMouseDown?.(event));
        }
        said.show(lines, page && (() => openPage(page)));
        mount(node, said.element, "said");
        grow(node.computeSize()[1] - node.size[1]);
        if (output.images?.length && !grown) setTimeout(growForPicture, LOOK_MS, LOOKS);
    }
    function grow(by) {
        if (!node.graph || by <= 0) return;
        node.setSize?.([node.size[0], node.size[1] + by]);
        node.graph.setDirtyCanvas?.(true, true);
    }
    /** Once: later the height is the user's. */
    function growForPicture(looks) {
        const by = missingHeight(node);
        if (by === null && looks > 1) setTimeout(growForPicture, LOOK_MS, looks - 1);
        if (by === null || grown) return;
        grown = true;
        grow(by);
    }
    function lookSoon() {
        setTimeout(() => node.graph && show(app.nodeOutputs?.[nameOf(node)]), 200);
    }
    after(node, "onExecuted", show);
    after(node, "onConfigure", lookSoon);
    after(node, "onAdded", lookSoon);
}

/** How much higher a node must be for its picture to be as wide as the node; null while the page has none in it. */
function missingHeight(node) {
    const high = (picture, width) => Math.ceil((picture.naturalHeight * width) / picture.naturalWidth);
    if (window.LiteGraph?.vueNodesMode) {
        const picture = document.querySelector(`[data-node-id="${node.id}"] img[src*="/view?"]`);
        return picture?.naturalWidth ? high(picture, picture.offsetWidth) - picture.offsetHeight : null;
    }
    const picture = node.imgs?.[0], widget = node.widgets?.find(({ name }) => FRAMES.includes(name));
    if (!picture?.naturalWidth || !widget) return null;
    const wanted = high(picture, Math.min(node.size[0], picture.naturalWidth)) + SIZE_PX;
    const counted = widget.computeLayoutSize?.(node).minHeight ?? 0; // among what the widgets need
    return node.computeSize()[1] + Math.max(0, wanted - counted) - node.size[1];
}

/**
 * Let a node show what it has made, and no longer the frames that it showed on the way: the page goes on showing those
 * until the node runs again. Frames are ours on nodes of others, too: what saves a video renders it.
 */
function showResults(node) {
    after(node, "onExecuted", output => {
        if (!output?.images?.length) return;
        const name = nameOf(node), frames = app.nodePreviewImages?.[name];
        if (Array.isArray(frames)) frames.length = 0; // all that the classic canvas looks at
        const page = document.getElementById("vue-app")?.__vue_app__; // Nodes 2.0 has to be told
        page?.config.globalProperties.$pinia?._s?.get("nodeOutput")?.revokePreviewsByLocatorId?.(name);
        if (!output.images.some(({ filename }) => VIDEO.test(filename))) return;
        for (const wait of [0, 300, 1500]) setTimeout(dropFrame, wait, node); // the last one may still be on its way
    });
}

/** Take a frame off a node of the classic canvas: a video does not take its place by itself. */
function dropFrame(node) {
    if (node.imgs?.length && !node.imgs[0].src?.startsWith("blob:")) return;
    node.imgs = undefined;
    for (const name of FRAMES) {
        const at = node.widgets?.findIndex(widget => widget.name === name) ?? -1;
        if (at >= 0) node.widgets.splice(at, 1)[0].onRemove?.();
    }
}

/** Open a saved page in a tab. The host serves HTML as a download only, so its text is fetched. */
async function openPage(file) {
    const tab = window.open("", "_blank");
    try {
        const page = new Blob([await fileOf(file)], { type: "text/html" });
        tab.location = URL.createObjectURL(page);
    } catch (error) {
        tab?.close();
        console.warn("Image Dynamics: the saved page cannot be opened.", error);
    }
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

/** Colours of our sockets and links, in both canvases. */
function colourSockets() {
    for (const [type, colour] of Object.entries(SOCKETS)) {
        document.documentElement.style.setProperty(`--color-datatype-${type}`, colour);
        const { constructor } = app.canvas ?? {};
        if (constructor?.link_type_colors) constructor.link_type_colors[type] = colour;
        if (app.canvas?.default_connection_color_byType) app.canvas.default_connection_color_byType[type] = colour;
    }
}

app.registerExtension({
    name: "image-dynamics.poke",
    setup: colourSockets,
    afterConfigureGraph: colourSockets, // the page takes back colours of types that its palette does not know
    beforeRegisterNodeDef(type, definition) {
        if (definition.category === CATEGORY) Object.assign(type, { color: COLOUR, bgcolor: BACKGROUND });
    },
    nodeCreated(node) {
        showResults(node);
        if (node.constructor.nodeData?.category === CATEGORY) addSaid(node);
        if (node.comfyClass === NODE) addPanel(node);
        if (node.comfyClass === FLOW) addStrokes(node);
        if (SAVES.includes(node.comfyClass)) fillTokens(node);
    },
});
