/* Draws a still that is bent: a layer, as a mesh in WebGL2, over the plate behind it. Without WebGL, or when its
context is lost, as triangles on a 2D canvas.

Convention: displacement is in px of the grid, whose point i lies at (i + 1/2) / n of the picture. Larger motion is
in front: quads are drawn in the order of how far their corners give way. Past the border the layer is mirrored. */

const MARGIN = 0.15; // of the picture, that can come in from outside
const COARSE = 4; // points of the grid to a triangle's side, without WebGL

const SHADERS = [
    `#version 300 es
    in vec2 place, shift;
    uniform vec2 grid;
    out vec2 at;
    void main() {
        at = place;
        vec2 seen = place + shift / grid;
        gl_Position = vec4(2.0 * seen.x - 1.0, 1.0 - 2.0 * seen.y, 0.0, 1.0);
    }`,
    `#version 300 es
    precision mediump float;
    in vec2 at;
    uniform sampler2D picture;
    out vec4 colour;
    void main() { colour = texture(picture, at); }`,
];

export class View {
    /** Pictures of one size, as bitmaps; the canvas is put at the beginning of the container. */
    constructor(container, body, layer, plate) {
        Object.assign(this, { container, body, layer, plate });
        this.opaque = opacities(layer, body.grid);
        this.give = body.softness();
        this.begin(this.webgl() ?? this.triangles());
    }

    begin({ canvas, draw, kind }) {
        this.canvas?.remove();
        Object.assign(this, { canvas, draw, kind });
        canvas.style.cssText = "display:block;width:100%;height:100%";
        this.container.prepend(canvas);
    }

    canvasOfOurs() {
        const canvas = document.createElement("canvas");
        [canvas.width, canvas.height] = [this.layer.width, this.layer.height];
        return canvas;
    }

    webgl() {
        const canvas = this.canvasOfOurs();
        const gl = canvas.getContext("webgl2", { antialias: false, depth: false });
        const program = gl && linked(gl);
        if (!program) return null;
        const [height, width] = this.body.grid, mesh = meshOf(this.body.grid, 1);
        const points = mesh.places.length / 2, indices = ordered(mesh, this.body.grid, this.opaque, this.give);
        const buffers = [mesh.places, new Float32Array(8).map((_, i) => [0, 0, 1, 0, 0, 1, 1, 1][i])].map(data => {
            const buffer = gl.createBuffer();
            gl.bindBuffer(gl.ARRAY_BUFFER, buffer);
            gl.bufferData(gl.ARRAY_BUFFER, data, gl.STATIC_DRAW);
            return buffer;
        });
        const shifts = new Float32Array(2 * points), shiftBuffer = gl.createBuffer();
        gl.bindBuffer(gl.ARRAY_BUFFER, shiftBuffer);
        gl.bufferData(gl.ARRAY_BUFFER, shifts.byteLength, gl.DYNAMIC_DRAW);
        gl.bindBuffer(gl.ELEMENT_ARRAY_BUFFER, gl.createBuffer());
        gl.bufferData(gl.ELEMENT_ARRAY_BUFFER, indices, gl.STATIC_DRAW);
        const textures = [this.layer, this.plate].map(picture => textured(gl, picture));
        const [place, shift] = ["place", "shift"].map(name => gl.getAttribLocation(program, name));
        gl.useProgram(program);
        gl.uniform2f(gl.getUniformLocation(program, "grid"), width, height);
        gl.blendFunc(gl.ONE, gl.ONE_MINUS_SRC_ALPHA);
        gl.enableVertexAttribArray(place);
        canvas.addEventListener("webglcontextlost", event => {
            event.preventDefault();
            if (this.canvas !== canvas || this.gone) return;
            this.begin(this.triangles());
            if (this.last) this.draw(this.last);
        });
        const draw = field => {
            this.last = field;
            if (gl.isContextLost()) return;
            spread(field, mesh, shifts);
            gl.viewport(0, 0, canvas.width, canvas.height);
            gl.disable(gl.BLEND);
            gl.disableVertexAttribArray(shift);
            gl.vertexAttrib2f(shift, 0, 0);
            gl.bindBuffer(gl.ARRAY_BUFFER, buffers[1]);
            gl.vertexAttribPointer(place, 2, gl.FLOAT, false, 0, 0);
            gl.bindTexture(gl.TEXTURE_2D, textures[1]);
            gl.drawArrays(gl.TRIANGLE_STRIP, 0, 4);
            gl.enable(gl.BLEND);
            gl.bindBuffer(gl.ARRAY_BUFFER, buffers[0]);
            gl.vertexAttribPointer(place, 2, gl.FLOAT, false, 0, 0);
            gl.enableVertexAttribArray(shift);
            gl.bindBuffer(gl.ARRAY_BUFFER, shiftBuffer);
            gl.bufferSubData(gl.ARRAY_BUFFER, 0, shifts);
            gl.vertexAttribPointer(shift, 2, gl.FLOAT, false, 0, 0);
            gl.bindTexture(gl.TEXTURE_2D, textures[0]);
            gl.drawElements(gl.TRIANGLES, indices.length, gl.UNSIGNED_INT, 0);
        };
        this.gl = gl;
        return { canvas, draw, kind: "webgl2" };
    }

    triangles() {
        const canvas = this.canvasOfOurs(), context = canvas.getContext("2d"), { width, height } = canvas;
        const mesh = meshOf(this.body.grid, COARSE), indices = ordered(mesh, this.body.grid, this.opaque, this.give);
        const shifts = new Float32Array(mesh.places.length), [rows, columns] = this.body.grid;
        const draw = field => {
            this.last = field;
            spread(field, mesh, shifts);
            context.setTransform(1, 0, 0, 1, 0, 0);
            context.clearRect(0, 0, width, height);
            context.drawImage(this.plate, 0, 0, width, height);
            for (let i = 0; i < indices.length; i += 3) {
                const from = [], to = [];
                for (let j = i; j < i + 3; j++) {
                    const n = 2 * indices[j], x = mesh.places[n] * width, y = mesh.places[n + 1] * height;
                    from.push(x, y);
                    to.push(x + shifts[n] * width / columns, y + shifts[n + 1] * height / rows);
                }
                triangle(context, this.layer, from, to);
            }
        };
        return { canvas, draw, kind: "2d" };
    }

    dispose() {
        this.gone = true;
        this.gl?.getExtension("WEBGL_lose_context")?.loseContext();
        this.canvas.remove();
    }
}

function linked(gl) {
    const program = gl.createProgram();
    [gl.VERTEX_SHADER, gl.FRAGMENT_SHADER].forEach((kind, i) => {
        const shader = gl.createShader(kind);
        gl.shaderSource(shader, SHADERS[i].trim());
        gl.compileShader(shader);
        gl.attachShader(program, shader);
    });
    gl.linkProgram(program);
    return gl.getProgramParameter(program, gl.LINK_STATUS) ? program : null;
}

function textured(gl, picture) {
    const texture = gl.createTexture();
    gl.bindTexture(gl.TEXTURE_2D, texture);
    gl.pixelStorei(gl.UNPACK_PREMULTIPLY_ALPHA_WEBGL, true);
    gl.texImage2D(gl.TEXTURE_2D, 0, gl.RGBA, gl.RGBA, gl.UNSIGNED_BYTE, picture);
    for (const side of [gl.TEXTURE_WRAP_S, gl.TEXTURE_WRAP_T]) gl.texParameteri(gl.TEXTURE_2D, side, gl.MIRRORED_REPEAT);
    gl.texParameteri(gl.TEXTURE_2D, gl.TEXTURE_MIN_FILTER, gl.LINEAR);
    gl.texParameteri(gl.TEXTURE_2D, gl.TEXTURE_MAG_FILTER, gl.LINEAR);
    return texture;
}

/** Vertices at every so many points of the grid and around it: {places, points, columns, rows}. */
function meshOf([height, width], step) {
    const along = n => {
        const inner = [];
        for (let i = 0; i < n; i += step) inner.push(i);
        if (inner.at(-1) !== n - 1) inner.push(n - 1);
        return [[-MARGIN, 0], ...inner.map(i => [(i + 0.5) / n, i]), [1 + MARGIN, n - 1]];
    };
    const xs = along(width), ys = along(height), places = [], points = [];
    for (const [y, row] of ys)
        for (const [x, column] of xs) {
            places.push(x, y);
            points.push(row * width + column);
        }
    return { places: new Float32Array(places), points, columns: xs.length, rows: ys.length };
}

/** Displacement of the grid's points to the mesh's vertices. */
function spread([x, y], { points }, shifts) {
    for (let i = 0; i < points.length; i++) {
        shifts[2 * i] = x[points[i]];
        shifts[2 * i + 1] = y[points[i]];
    }
}

/** Two triangles for every quad that shows something, those that give way most last. */
function ordered({ points, columns, rows }, [, width], opaque, give) {
    const quads = [];
    for (let row = 0; row + 1 < rows; row++)
        for (let column = 0; column + 1 < columns; column++) {
            const a = row * columns + column, corners = [a, a + 1, a + columns, a + columns + 1];
            const [first, last] = [points[corners[0]], points[corners[3]]];
            let seen = 0, most = 0;
            for (let r = first - first % width; r <= last; r += width)
                for (let i = r + first % width; i <= r + last % width; i++) {
                    seen |= opaque[i];
                    most = Math.max(most, give[i]);
                }
            if (seen) quads.push([corners, most]);
        }
    quads.sort((one, other) => one[1] - other[1]);
    return new Uint32Array(quads.flatMap(([[a, b, c, d]]) => [a, b, c, b, d, c]));
}

/** Whether anything of the layer is seen in the cells around each point of the grid. */
function opacities(layer, [height, width]) {
    const canvas = document.createElement("canvas");
    [canvas.width, canvas.height] = [layer.width, layer.height];
    const context = canvas.getContext("2d", { willReadFrequently: true });
    context.drawImage(layer, 0, 0);
    const alpha = context.getImageData(0, 0, layer.width, layer.height).data, found = new Uint8Array(height * width);
    for (let y = 0; y < layer.height; y++)
        for (let x = 0; x < layer.width; x++) {
            if (!alpha[4 * (y * layer.width + x) + 3]) continue;
            const row = (y + 0.5) * height / layer.height - 0.5, column = (x + 0.5) * width / layer.width - 0.5;
            for (const r of [Math.floor(row), Math.ceil(row)])
                for (const c of [Math.floor(column), Math.ceil(column)])
                    if (r >= 0 && c >= 0 && r < height && c < width) found[r * width + c] = 1;
        }
    return found;
}

/** One triangle of a picture, moved: the affine map that takes three places to three others. */
function triangle(context, picture, [ax, ay, bx, by, cx, cy], [px, py, qx, qy, rx, ry]) {
    const area = (bx - ax) * (cy - ay) - (cx - ax) * (by - ay);
    if (!area) return;
    const map = (p, q, r) => {
        const x = ((q - p) * (cy - ay) - (r - p) * (by - ay)) / area, y = ((r - p) * (bx - ax) - (q - p) * (cx - ax)) / area;
        return [x, y, p - x * ax - y * ay];
    };
    const [a, c, e] = map(px, qx, rx), [b, d, f] = map(py, qy, ry);
    // A little over its edges, or the gaps between triangles are seen.
    const mx = (px + qx + rx) / 3, my = (py + qy + ry) / 3, over = v => v + Math.sign(v) * 0.6;
    context.save();
    context.setTransform(1, 0, 0, 1, 0, 0);
    context.beginPath();
    for (const [x, y] of [[px, py], [qx, qy], [rx, ry]]) context.lineTo(mx + over(x - mx), my + over(y - my));
    context.clip();
    context.setTransform(a, b, c, d, e, f);
    context.drawImage(picture, 0, 0);
    context.restore();
}
