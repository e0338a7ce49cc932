# Makes tests/golden/samplers/local.json: what top-n-sigma, XTC, DRY, dynamic temperature and mirostat 2 leave of random
# rows, from their definitions in float64 (numpy), with random numbers of Philox4x32-10 written out once more here.
# Run: python3 tests/oracle/samplers_local_make.py tests/golden/samplers/local.json   (needs numpy)
import json
import sys

import numpy as np

VOCAB = 60
XTC_USE, SAMPLE_USE = 6, 1


def philox(key, counter):
    c, k = list(counter), [key & 0xFFFFFFFF, key >> 32]
    for _ in range(10):
        a, b = 0xD2511F53 * c[0], 0xCD9E8D57 * c[2]
        c = [(b >> 32) ^ c[1] ^ k[0], b & 0xFFFFFFFF, (a >> 32) ^ c[3] ^ k[1], a & 0xFFFFFFFF]
        k = [(k[0] + 0x9E3779B9) & 0xFFFFFFFF, (k[1] + 0xBB67AE85) & 0xFFFFFFFF]
    return c


def uniform(seed, use, choice, position):
    words = philox(seed, [0, choice, position, use])
    return (((words[0] >> 5) << 26) | (words[1] >> 6)) * 2.0**-53


def softmax(x):
    e = np.exp(x - x.max())
    return e / e.sum()


def dry(x, history, o):
    last_n = o.get("dry_last_n", -1)
    past = history if last_n < 0 else history[max(0, len(history) - last_n) :]
    breakers = set(o.get("dry_breakers", []))
    longest = {}
    for end in range(len(past) - 1):  # a repetition that ended at `end`, and what came after it
        length = 0
        while length <= end and past[end - length] == past[len(past) - 1 - length]:
            if past[end - length] in breakers:
                break
            length += 1
        after = past[end + 1]
        if length >= o.get("dry_allowed_length", 2) and length > 0 and after not in breakers:
            longest[after] = max(longest.get(after, 0), length)
    for token, length in longest.items():
        x[token] -= o["dry_multiplier"] * o.get("dry_base", 1.75) ** (length - o.get("dry_allowed_length", 2))
    return x


def chain(logits, history, o, seed, mu=None):
    x = np.array(logits, dtype=np.float64)
    if o.get("dry_multiplier", 0) > 0:
        x = dry(x, history, o)
    if o.get("top_n_sigma", 0) > 0:
        x = np.where(x >= x.max() - o["top_n_sigma"] * x.std(), x, -np.inf)
    t = o.get("temperature", 1.0)
    if o.get("dynatemp_range", 0) > 0:
        p = softmax(x)
        p = p[p > 0]
        share = -(p * np.log(p)).sum() / np.log(np.isfinite(x).sum())
        low, high = max(0.0, t - o["dynatemp_range"]), t + o["dynatemp_range"]
        t = low + (high - low) * share ** o.get("dynatemp_exponent", 1.0)
    x = x / t
    if o.get("xtc_probability", 0) > 0 and uniform(seed, XTC_USE, 0, len(history)) < o["xtc_probability"]:
        p = softmax(x)
        above = [i for i in np.argsort(-p, kind="stable") if p[i] >= o.get("xtc_threshold", 0.1)]
        if len(above) >= 2:
            x[above[:-1]] = -np.inf
    if mu is not None:
        p = softmax(x)
        with np.errstate(divide="ignore"):
            keep = -np.log2(p) <= mu
        if not keep.any():
            keep[np.argmax(p)] = True
        x = np.where(keep, x, -np.inf)
    p = softmax(x)
    return np.where(p < p.max() * np.exp(-87.3365), 0, p)  # below it exp() of a float is nothing


def row(rng, scale, size=VOCAB):
    """Logits with three decimals, so that the file stays small and both sides read the same floats."""
    return np.round(rng.standard_normal(size) * scale, 3).tolist()


def short(x):
    return float(f"{x:.9g}")


def main():
    rng = np.random.default_rng(5)
    cases = [
        {"top_n_sigma": 1.0},
        {"top_n_sigma": 2.5, "temperature": 0.7},
        {"top_n_sigma": 0.1},
        {"dynatemp_range": 0.5, "temperature": 0.8},
        {"dynatemp_range": 1.5, "temperature": 0.9, "dynatemp_exponent": 1.7},
        {"dynatemp_range": 0.3, "dynatemp_exponent": 0.5, "top_n_sigma": 1.5},
        {"xtc_probability": 1.0, "xtc_threshold": 0.05},
        {"xtc_probability": 0.5, "xtc_threshold": 0.02},
        {"xtc_probability": 0.5, "xtc_threshold": 0.1, "temperature": 1.4},
        {"xtc_probability": 1.0, "xtc_threshold": 0.5},
        {"dry_multiplier": 0.8},
        {"dry_multiplier": 0.5, "dry_base": 1.2, "dry_allowed_length": 1},
        {"dry_multiplier": 2.0, "dry_allowed_length": 4},
        {"dry_multiplier": 0.8, "dry_last_n": 12},
        {"dry_multiplier": 0.8, "dry_breakers": [3, 1]},
        {"dry_multiplier": 0.8, "dry_breakers": [0], "dry_allowed_length": 0, "dry_last_n": 20},
        {"dry_multiplier": 1.1, "xtc_probability": 0.7, "xtc_threshold": 0.04, "top_n_sigma": 2.0, "temperature": 1.2},
    ]
    histories = [
        [0, 1, 2, 2, 1, 2, 24, 0, 1, 2],
        rng.integers(0, 3, 50).tolist(),
        [7] * 12,
        rng.integers(0, VOCAB, 40).tolist(),
        (rng.integers(0, 8, 9).tolist() * 4)[:33],
        [5],
    ]
    rows = []
    for r, history in enumerate(histories):
        logits = row(rng, 0.5 + r)
        seed = 1000 + r
        rows.append(
            {
                "logits": logits,
                "history": history,
                "seed": seed,
                "cases": [
                    {
                        "options": o,
                        "kept": {
                            str(i): short(p)
                            for i, p in enumerate(chain(np.float32(logits), history, o, seed).tolist())
                            if p > 0
                        },
                    }
                    for o in cases
                ],
            }
        )
    walks = []
    for tau, eta, scale in ((3.0, 0.1, 2.0), (1.0, 0.5, 1.0), (5.0, 0.2, 4.0)):
        mu, history, seed, steps = 2 * tau, [1, 2, 3], 77, []
        for _ in range(15):
            logits = row(rng, scale, 30)
            p = chain(np.float32(logits), history, {"temperature": 0.9}, seed, mu)
            at = uniform(seed, SAMPLE_USE, 0, len(history))
            token = int(np.searchsorted(np.cumsum(p), at, side="right"))
            mu -= eta * (-np.log2(p[token]) - tau)
            history = history + [token]
            steps.append({"logits": logits, "token": token, "mu": short(mu)})
        walks.append({"tau": tau, "eta": eta, "seed": seed, "history": [1, 2, 3], "temperature": 0.9, "steps": steps})
    with open(sys.argv[1], "w", encoding="ascii") as out:
        json.dump({"made_by": "tests/oracle/samplers_local_make.py, numpy", "rows": rows, "mirostat": walks}, out, separators=(",", ":"))


main()
