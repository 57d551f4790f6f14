#!/usr/bin/env python3
"""Makes the synthetic data set, trains the small network of the QEMU DUT on it and quantises it to int8.

Run it in this folder; it writes test-set/, jm_net_weights.h and weights.json, which are committed. The data set is made
with integers alone and is the same everywhere; training uses floats, so another NumPy may give other weights.
Needs Python 3 and NumPy; nothing else of the project does.

Inputs have the shape of keyword spotting (49 frames of 10 features, int8) and 12 classes, so that every tool that can
drive a `kws01` DUT can drive this one. They are no speech: each class is a path of a bump through the features.
"""

import json
import os
import shutil

import numpy as np

FRAMES, FEATURES, CLASSES = 49, 10, 12
TRAIN_PER_CLASS, TEST_PER_CLASS = 1200, 10
CONV1 = dict(kernel=8, stride=2, channels=12)
CONV2 = dict(kernel=3, stride=2, channels=16)


class Xorshift32:
    """G. Marsaglia, "Xorshift RNGs", J. Stat. Softw. 8(14), 2003; shifts 13, 17, 5."""

    def __init__(self, seed):
        self.state = seed

    def next(self):
        x = self.state
        x ^= (x << 13) & 0xFFFFFFFF
        x ^= x >> 17
        x ^= (x << 5) & 0xFFFFFFFF
        self.state = x
        return x

    def below(self, n):
        return (self.next() >> 8) % n


def class_path(label):
    """Feature (times 256) at which the bump of a class stands in each of its 24 frames: start, middle and end point."""
    random = Xorshift32(0x5EED0000 + 7919 * label)
    points = [256 * random.below(FEATURES) for _ in range(3)]
    path = []
    for t in range(24):
        a, b, u = (points[0], points[1], t) if t < 12 else (points[1], points[2], t - 12)
        path.append(a + (b - a) * u // 12)
    return path


PATHS = [class_path(label) for label in range(CLASSES)]


def sample(label, random):
    """One input: the path of its class, shifted in time and in frequency, in noise, beside a bump of another class."""
    out = np.zeros((FRAMES, FEATURES), dtype=np.int64)
    for path, gain in ((PATHS[label], 70 + random.below(40)), (PATHS[random.below(CLASSES)], 10 + random.below(36))):
        start, bend = random.below(FRAMES - 24), random.below(385) - 192
        for t, centre in enumerate(path):
            for f in range(FEATURES):
                distance = abs(256 * f - centre - bend)
                if distance < 512:
                    out[start + t, f] += gain * (512 - distance) // 512
    for t in range(FRAMES):
        for f in range(FEATURES):
            out[t, f] += random.below(49) - 24 + random.below(49) - 24
    return np.clip(out, -128, 127).astype(np.int8)


def data_set(per_class, seed):
    random = Xorshift32(seed)
    labels = [k % CLASSES for k in range(per_class * CLASSES)]
    return np.stack([sample(label, random) for label in labels]), np.array(labels)


def unfold(x, kernel, stride):
    """(n, time, channels) to (n, outputs, kernel * channels)."""
    outputs = (x.shape[1] - kernel) // stride + 1
    index = stride * np.arange(outputs)[:, None] + np.arange(kernel)[None, :]
    return x[:, index, :].reshape(x.shape[0], outputs, -1)


def fold(gradient, shape, kernel, stride):
    out = np.zeros(shape)
    outputs = gradient.shape[1]
    parts = gradient.reshape(shape[0], outputs, kernel, shape[2])
    for o in range(outputs):
        out[:, stride * o : stride * o + kernel, :] += parts[:, o]
    return out


def forward(p, x):
    u1 = unfold(x, CONV1["kernel"], CONV1["stride"])
    a1 = np.maximum(0, u1 @ p["w1"] + p["b1"])
    u2 = unfold(a1, CONV2["kernel"], CONV2["stride"])
    a2 = np.maximum(0, u2 @ p["w2"] + p["b2"])
    flat = a2.reshape(len(x), -1)
    return u1, a1, u2, a2, flat, flat @ p["w3"] + p["b3"]


def train(x, labels):
    rng = np.random.RandomState(1)
    n1, n2 = CONV1["kernel"] * FEATURES, CONV2["kernel"] * CONV1["channels"]
    outputs1 = (FRAMES - CONV1["kernel"]) // CONV1["stride"] + 1
    outputs2 = (outputs1 - CONV2["kernel"]) // CONV2["stride"] + 1
    n3 = outputs2 * CONV2["channels"]
    p = {
        "w1": rng.randn(n1, CONV1["channels"]) * np.sqrt(2 / n1),
        "b1": np.zeros(CONV1["channels"]),
        "w2": rng.randn(n2, CONV2["channels"]) * np.sqrt(2 / n2),
        "b2": np.zeros(CONV2["channels"]),
        "w3": rng.randn(n3, CLASSES) * np.sqrt(1 / n3),
        "b3": np.zeros(CLASSES),
    }
    m = {k: np.zeros_like(v) for k, v in p.items()}
    v2 = {k: np.zeros_like(v) for k, v in p.items()}
    step, batch = 0, 48
    for epoch in range(20):
        order = rng.permutation(len(x))
        rate = 3e-3 * (0.1 if epoch >= 15 else 1)
        for s in range(0, len(x), batch):
            pick = order[s : s + batch]
            xb = x[pick]
            u1, a1, u2, a2, flat, logits = forward(p, xb)
            e = np.exp(logits - logits.max(1, keepdims=True))
            d = e / e.sum(1, keepdims=True)
            d[np.arange(len(pick)), labels[pick]] -= 1
            d /= len(pick)
            g = {"w3": flat.T @ d, "b3": d.sum(0)}
            d2 = (d @ p["w3"].T).reshape(a2.shape) * (a2 > 0)
            g["w2"] = np.einsum("nok,noc->kc", u2, d2)
            g["b2"] = d2.sum((0, 1))
            d1 = fold(d2 @ p["w2"].T, a1.shape, CONV2["kernel"], CONV2["stride"]) * (a1 > 0)
            g["w1"] = np.einsum("nok,noc->kc", u1, d1)
            g["b1"] = d1.sum((0, 1))
            step += 1
            for k in p:
                grad = g[k] + 1e-3 * p[k]
                m[k] = 0.9 * m[k] + 0.1 * grad
                v2[k] = 0.999 * v2[k] + 0.001 * grad * grad
                p[k] -= rate * (m[k] / (1 - 0.9**step)) / (np.sqrt(v2[k] / (1 - 0.999**step)) + 1e-8)
    return p


def fixed_point(ratio):
    """multiplier (15 bits) and shift with multiplier / 2^shift = ratio, nearly."""
    shift = 0
    while ratio * (1 << shift) < 16384:
        shift += 1
    return int(round(ratio * (1 << shift))), shift


def quantise(p, x):
    """All zero points are 0; activations after a ReLU use 0..127."""
    _, a1, _, a2, _, logits = forward(p, x)
    scales = [1 / 128, np.quantile(a1.max((1, 2)), 0.99) / 127, np.quantile(a2.max((1, 2)), 0.99) / 127]
    scales.append(np.quantile(np.abs(logits).max(1), 0.99) / 127)
    layers = []
    for k in range(3):
        w, b = p[f"w{k + 1}"], p[f"b{k + 1}"]
        ws = np.abs(w).max() / 127
        multiplier, shift = fixed_point(scales[k] * ws / scales[k + 1])
        layers.append(
            {
                # One row an output channel: the inner loop of the firmware then runs along memory.
                "weights": np.round(w.T / ws).astype(int).flatten().tolist(),
                "bias": np.round(b / (scales[k] * ws)).astype(int).tolist(),
                "multiplier": multiplier,
                "shift": shift,
            }
        )
    table = [int(round(65535 * np.exp(-d * scales[3]))) for d in range(256)]
    return layers, table


def write_c(path, layers, table):
    def array(kind, name, values):
        rows = [", ".join(str(v) for v in values[k : k + 24]) for k in range(0, len(values), 24)]
        return f"static const {kind} {name}[{len(values)}] = {{\n  " + ",\n  ".join(rows) + "\n};\n"

    text = "/* Written by make_network.py. int8 weights, one row an output channel. */\n"
    text += "#ifndef JM_NET_WEIGHTS_H\n#define JM_NET_WEIGHTS_H\n\n#include <stdint.h>\n\n"
    for k, layer in enumerate(layers, 1):
        text += f"#define JM_NET_MULTIPLIER_{k} {layer['multiplier']}\n#define JM_NET_SHIFT_{k} {layer['shift']}\n"
        text += array("int8_t", f"jm_net_weights_{k}", layer["weights"])
        text += array("int32_t", f"jm_net_bias_{k}", layer["bias"]) + "\n"
    text += "/* 65535 * exp(-d * scale) for the softmax, d = distance of a logit to the largest one. */\n"
    text += array("uint16_t", "jm_net_exp", table) + "\n#endif\n"
    with open(path, "w") as file:
        file.write(text)


def main():
    train_x, train_y = data_set(TRAIN_PER_CLASS, 0x1234567)
    test_x, test_y = data_set(TEST_PER_CLASS, 0x7654321)
    p = train(train_x / 128, train_y)
    top1 = lambda x, y: float((forward(p, x / 128)[-1].argmax(1) == y).mean())
    print(f"float: train {top1(train_x, train_y):.4f}, test {top1(test_x, test_y):.4f}")
    layers, table = quantise(p, train_x / 128)
    write_c("jm_net_weights.h", layers, table)
    shape = {"frames": FRAMES, "features": FEATURES, "classes": CLASSES, "conv1": CONV1, "conv2": CONV2}
    with open("weights.json", "w") as file:
        json.dump({"shape": shape, "layers": layers, "exp": table}, file, separators=(",", ":"))
        file.write("\n")
    shutil.rmtree("test-set", ignore_errors=True)
    os.mkdir("test-set")
    with open("test-set/y_labels.csv", "w", newline="\n") as labels:
        for k, (x, y) in enumerate(zip(test_x, test_y)):
            name = f"synthetic_{k:03d}_{y}.bin"
            labels.write(f"{name}, {CLASSES}, {y}\n")
            with open(f"test-set/{name}", "wb") as file:
                file.write(x.tobytes())


if __name__ == "__main__":
    main()
