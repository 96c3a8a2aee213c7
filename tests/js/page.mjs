// As much of a browser's page as the panels need in tests.
class Element extends EventTarget {
    children = [];
    style = {};
    captured = new Set();

    appendChild(child) { this.children.push(child); return child; }
    replaceChildren(...children) { this.children = children; }
    remove() {}
    setAttribute(name, value) { this[name] = value; }
    getBoundingClientRect() { return { left: 0, top: 0, width: 100, height: 100 }; }
    setPointerCapture(id) { this.captured.add(id); }
    hasPointerCapture(id) { return this.captured.has(id); }
}

class Picture extends Element {
    naturalWidth = 40;
    naturalHeight = 30;

    async decode() {}
}

class Observer {
    observe() {}
    disconnect() {}
}

const create = () => new Element();
Object.assign(globalThis, {
    document: { createElement: create, createElementNS: create }, Image: Picture, ResizeObserver: Observer,
});

/** A pointer does something on an element, at a place of the picture. */
export function point(element, type, pointerId, x, y) {
    element.dispatchEvent(Object.assign(new Event(type), { pointerId, button: 0, clientX: 100 * x, clientY: 100 * y }));
    if (type === "pointerup") element.captured.delete(pointerId);
}
