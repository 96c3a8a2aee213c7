/* Tokens in the names of new files, filled as ComfyUI's page fills them for its own save nodes:
%date:yyyy-MM-dd% by the clock, %Load Image.image% by a widget of another node. What is no token of these, such as
%width% or %year%, is left for the host. No DOM in here: tested by `node --test`. */

export const SAVES = ["SaveMotionSpectrum", "SaveInteractivePage", "SaveMotionMaps"]; // our nodes that save files
const UNSAFE = /[/?<>\\:*|"\p{C}\p{Zl}\p{Zp}]|(?! )\p{Zs}/gu; // in a file name, on any system
const MOST_BYTES = 150; // of a value in a file name: texts of prompts are longer

/** A value as part of a file name: what some system refuses becomes _, and its ends are no dots or spaces. */
function safe(value) {
    const bytes = new TextEncoder().encode(String(value ?? "").replace(UNSAFE, "_")).slice(0, MOST_BYTES);
    return new TextDecoder().decode(bytes).replace(/\ufffd$/, "").replace(/^[. ]+|[. ]+$/g, "") || "_";
}

/** A date by a format of d, dd, M, MM, yy, yyyy, h, hh, m, mm, s, ss. */
export function dated(format, now) {
    const parts = { d: now.getDate(), M: now.getMonth() + 1, h: now.getHours(), m: now.getMinutes(), s: now.getSeconds() };
    return format.replace(/dd?|MM?|yyy?y?|hh?|mm?|ss?/g, token => token[0] === "y"
        ? String(now.getFullYear()).slice(token.length > 2 ? 0 : -2)
        : String(parts[token[0]]).padStart(token.length, "0"));
}

/** A text with its tokens filled. Nodes have properties, a title, and widgets with names and values. */
export function filled(text, nodes, now) {
    return text.replace(/%([^%]+)%/g, (whole, token) => {
        if (token.startsWith("date:")) return safe(dated(token.slice(5), now));
        const [name, field, ...rest] = token.split(".");
        if (field === undefined || rest.length) return whole;
        const node = nodes.find(each => each.properties?.["Node name for S&R"] === name)
            ?? nodes.find(each => each.title === name);
        const widget = node?.widgets?.find(each => each.name === field);
        return widget ? safe(widget.value) : whole;
    });
}

/** All nodes of a graph, those inside subgraphs too. */
export function everyNode(graph) {
    return (graph?.nodes ?? []).flatMap(node => [node, ...everyNode(node.subgraph)]);
}
