"""ICC profiles, made by ICC.1:2010 (version 2.4): matrix and curve, grey, and CMYK by a table."""

import struct

import numpy as np

D50 = np.array([0.9642, 1.0, 0.8249])
P3 = (0.680, 0.320, 0.265, 0.690, 0.150, 0.060, 0.3127, 0.3290)
ADOBE_RGB = (0.640, 0.330, 0.210, 0.710, 0.150, 0.060, 0.3127, 0.3290)
PROPHOTO = (0.7347, 0.2653, 0.1596, 0.8404, 0.0366, 0.0001, 0.3457, 0.3585)
SRGB = (0.640, 0.330, 0.300, 0.600, 0.150, 0.060, 0.3127, 0.3290)
STEPS = np.arange(1024) / 1023
SRGB_CURVE = np.where(STEPS <= 0.04045, STEPS / 12.92, ((STEPS + 0.055) / 1.055) ** 2.4)
BRADFORD = np.array(
    [[0.8951, 0.2664, -0.1614], [-0.7502, 1.7135, 0.0367], [0.0389, -0.0685, 1.0296]]
)


def fixed(values):
    return struct.pack(f">{len(values)}i", *(round(float(v) * 65536) for v in values))


def place(values):
    return b"XYZ \0\0\0\0" + fixed(values)


def curve(gamma_or_table):
    if np.ndim(gamma_or_table):
        table = np.round(np.asarray(gamma_or_table) * 65535).astype(">u2")
        return b"curv\0\0\0\0" + struct.pack(">I", len(table)) + table.tobytes()
    return b"curv\0\0\0\0" + struct.pack(">IH", 1, round(gamma_or_table * 256))


def text(kind, words):
    data = words.encode("ascii") + b"\0"
    if kind == b"text":
        return b"text\0\0\0\0" + data
    return b"desc\0\0\0\0" + struct.pack(">I", len(data)) + data + bytes(8 + 3 + 67)


def profile(space, tags, words="made for a test", pcs=b"XYZ ", device=b"mntr"):
    """A profile of a colour space, such as b"RGB ", from tags by signature."""
    tags = {
        b"desc": text(b"desc", words),
        b"cprt": text(b"text", "none"),
        b"wtpt": place(D50),
    } | tags
    offset, table, body = 128 + 4 + 12 * len(tags), b"", b""
    for signature, data in tags.items():
        data += bytes(-len(data) % 4)
        table += signature + struct.pack(">II", offset + len(body), len(data))
        body += data
    head = struct.pack(">I4sI", offset + len(body), b"lcms", 0x02400000) + device + space + pcs
    head += struct.pack(">6H", 2020, 1, 1, 0, 0, 0) + b"acsp" + bytes(28) + fixed(D50)
    return head.ljust(128, b"\0") + struct.pack(">I", len(tags)) + table + body


def adapted(primaries):
    """Columns: XYZ of red, green and blue, adapted to D50."""
    x, y = np.array(primaries).reshape(4, 2).T
    columns = np.stack([x / y, np.ones(4), (1 - x - y) / y])
    matrix, white = columns[:, :3], columns[:, 3]
    matrix = matrix * np.linalg.solve(matrix, white)
    scale = np.diag((BRADFORD @ D50) / (BRADFORD @ white))
    return np.linalg.inv(BRADFORD) @ scale @ BRADFORD @ matrix


def rgb(primaries, gamma, words="made for a test", **more):
    matrix = adapted(primaries)
    tags = {f"{c}XYZ".encode(): place(matrix[:, i]) for i, c in enumerate("rgb")}
    tags |= {f"{c}TRC".encode(): curve(gamma) for c in "rgb"}
    return profile(b"RGB ", tags | {k.encode(): v for k, v in more.items()}, words)


def grey(gamma):
    return profile(b"GRAY", {b"kTRC": curve(gamma)})


def cmyk():
    """Ink by a table of two steps for each: paper white, black at (0, 0, 0, 1), red at (0, 1, 1,
    0)."""
    corners = []
    for c, m, y, k in np.ndindex(2, 2, 2, 2):
        light = (1 - k) * (100 - 30 * c - 35 * m - 10 * y)
        a, b = (1 - k) * (60 * m - 35 * c), (1 - k) * (55 * y - 45 * c)
        corners += [light / 100 * 255, a + 128, b + 128]
    table = bytes(int(np.clip(round(v), 0, 255)) for v in corners)
    ramp = bytes(range(256))
    lut = b"mft1\0\0\0\0" + bytes([4, 3, 2, 0]) + fixed(np.eye(3).ravel())
    lut += ramp * 4 + table + ramp * 3
    return profile(b"CMYK", {b"A2B0": lut}, pcs=b"Lab ", device=b"prtr")
