// What ComfyUI's page is told, with a page that is pretended.
import assert from "node:assert/strict";
import { register } from "node:module";
import { test } from "node:test";
import "./page.mjs";

const PAGE = "data:text/javascript,export const app = globalThis.app";
const hook = `export const resolve = (name, given, next) => name.endsWith("/scripts/app.js")
    ? { url: "${PAGE}", shortCircuit: true } : next(name, given)`;
register(`data:text/javascript,${encodeURIComponent(hook)}`);
const app = globalThis.app = { registerExtension(extension) { this.extension = extension; }, nodeOutputs: {} };
await import("../../web/image_dynamics.js");

function created(comfyClass, ...widgets) {
    const node = { comfyClass, constructor: {}, id: 3, size: [300, 300], widgets, computeSize: () => [300, 300] };
    node.addDOMWidget = () => ({});
    app.extension.nodeCreated(node);
    return node;
}

test("a still that was lost is shown after the next run, though its file has the same name", async () => {
    const node = created("FlowMotion", { name: "strokes", value: "[]" }), panel = node.imageDynamics;
    const output = { image_dynamics: [{ files: [{ filename: "a.webp", subfolder: "", type: "temp" }] }] };
    const { warn } = console;
    console.warn = () => {};
    for (const ok of [false, true]) {
        app.api = { fetchApi: async () => ({ ok, blob: async () => new Blob(["still"]) }) };
        node.onExecuted(output);
        await new Promise(resolve => setTimeout(resolve, 5));
        assert.equal(panel.hint.textContent, ok ? panel.words.draw : panel.words.lost);
    }
    console.warn = warn;
    assert.equal(panel.missing, null);
});

test("a name with tokens is filled when the graph is queued, and shown as it is", () => {
    app.graph = { nodes: [{ title: "Still", widgets: [{ name: "image", value: "oak.png" }] }] };
    const widget = { name: "filename_prefix", value: "maps/%Still.image%" };
    created("SaveMotionMaps", widget);
    assert.equal(widget.serializeValue(), "maps/oak.png");
    assert.equal(widget.value, "maps/%Still.image%");
});
