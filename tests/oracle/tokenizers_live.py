# Holds our tokenizers against Hugging Face's `tokenizers` on lines that nobody chose: code, emoji, CJK, right-to-left,
# control characters, odd spaces, long runs, combining marks, special tokens in the text; encoding and decoding.
#
#   python tests/oracle/tokenizers_live.py --tool build/release/tests/tools/tokenize_lines [--lines 10000] [--seed 1]
#          [--text FILE ...] tokenizer.json [more.json ...]
#
# Needs: pip install tokenizers. Prints one row a file and ends with 1 if there was any difference.
import argparse
import json
import random
import subprocess
import sys
import unicodedata

from tokenizers import Tokenizer

RANGES = [(0x20, 0x7E)] * 6 + [
    (0x00, 0x1F), (0x7F, 0xFF), (0x100, 0x24F), (0x250, 0x2FF), (0x300, 0x36F), (0x370, 0x3FF), (0x400, 0x52F),
    (0x530, 0x58F), (0x590, 0x5FF), (0x600, 0x6FF), (0x700, 0x74F), (0x900, 0x97F), (0x980, 0x9FF), (0xB80, 0xBFF),
    (0xE00, 0xE7F), (0xF00, 0xFFF), (0x1000, 0x109F), (0x10A0, 0x10FF), (0x1100, 0x11FF), (0x1780, 0x17FF),
    (0x1E00, 0x1EFF), (0x1F00, 0x1FFF), (0x2000, 0x206F), (0x2070, 0x209F), (0x20A0, 0x20CF), (0x2100, 0x214F),
    (0x2150, 0x218F), (0x2190, 0x23FF), (0x2460, 0x24FF), (0x2500, 0x27BF), (0x2E80, 0x2FDF), (0x3000, 0x303F),
    (0x3040, 0x30FF), (0x3100, 0x318F), (0x3200, 0x33FF), (0x3400, 0x4DBF), (0x4E00, 0x9FFF), (0xA640, 0xA7FF),
    (0xAC00, 0xD7AF), (0xE000, 0xF8FF), (0xF900, 0xFAFF), (0xFB00, 0xFDFF), (0xFE00, 0xFE6F), (0xFF00, 0xFFEF),
    (0x10000, 0x1018F), (0x10400, 0x104FF), (0x1D400, 0x1D7FF), (0x1F100, 0x1F1FF), (0x1F300, 0x1F6FF),
    (0x1F900, 0x1FAFF), (0x20000, 0x2A6DF), (0xE0000, 0xE01EF), (0xF0000, 0xF00FF), (0x100000, 0x10FFFF)]
SPACES = [" ", " ", " ", "  ", "   ", "\t", "\n", "\r", "\r\n", "\u00a0", "\u2003", "\u3000", "\u200b", "\u2028", "\u0085",
          "\u180e", "\u202f", "\ufeff", "\v", "\f", "\x1c"]
WORDS = ["don't", "I'VE", "we'll", "it\u2019s", "'S", "'\u017f", "'\u212a", "y'all'd", "caf\u00e9", "cafe\u0301", "na\u00efve",
         "\u0130stanbul", "stra\u00dfe", "\ufb01sh", "\u212b", "\u2460\u2461", "x\u00b2", "\u00bd", "3.14159", "1,000,000", "007",
         "123456789", "\u0663\u0664", "\u4e00\u4e8c\u4e09", "\u65e5\u672c\u8a9e", "\u30ab\u30bf\u30ab\u30ca", "\ud55c\uad6d\uc5b4",
         "\u0645\u0631\u062d\u0628\u0627", "\u05e9\u05dc\u05d5\u05dd", "\u0939\u093f\u0928\u094d\u0926\u0940", "\u0e44\u0e17\u0e22",
         "\u041f\u0440\u0438\u0432\u0435\u0442", "HelloWorld", "camelCaseXMLParser", "snake_case_name", "__init__", "\u2581", "\u2581\u2581a",
         "\u0120", "\u010a", "<0x0A>", "<s>", "</s>", "<unk>", "<pad>", "[CLS]", "##ing", "</w>", "<|endoftext|>", "<|im_start|>",
         "<|im_end|>", "<|eot_id|>", "<|begin_of_text|>", "<bos>", "<eos>", "<start_of_turn>", "<table>", "<h1>",
         "<\uff5cbegin\u2581of\u2581sentence\uff5c>", "|||IP_ADDRESS|||"]
CODE = ["def f(x):\n    return x**2\n", "for (int i = 0; i < n; ++i) {\n\ta[i] = b[i];\n}", "#include <vector>\r\n",
        "SELECT * FROM t WHERE a='b';", "<div class=\"x\">&nbsp;</div>", "{\"k\": [1, 2.5e-3, null]}", "\\begin{align} x_i &= \\frac{1}{2} \\\\",
        "if __name__ == '__main__':\n\n\n    pass", "a=>b||c&&!d??e", "0xDEADBEEF 1e10 .5 5. 1_000", "http://example.org/a?b=c&d=%20#e",
        "\t\t\t\tif (x)\n\t\t\t\t\ty();", "    \n    \n  \n\n", "$%^&*()_+-=[]{};':\",./<>?`~", "//////\n/*  */"]
EMOJI = ["\U0001f600", "\U0001f468\u200d\U0001f469\u200d\U0001f467", "\U0001f1e9\U0001f1ea", "\U0001f44d\U0001f3fd", "\u2764\ufe0f",
         "\U0001f999", "\U0001f636\u200d\U0001f32b\ufe0f", "1\ufe0f\u20e3", "\u2705"]


def character(r):
    while True:
        low, high = r.choice(RANGES)
        code = r.randint(low, high)
        if not 0xD800 <= code <= 0xDFFF:
            return chr(code)


def line(r, texts, specials):
    parts = []
    for _ in range(r.choice([0, 1, 1, 2, 3, 5, 8, 13, 21])):
        kind = r.randrange(14)
        if kind < 3 and texts:
            text = r.choice(texts)
            at = r.randrange(max(1, len(text) - 120))
            parts.append(text[at:at + r.randint(1, 120)])
        elif kind == 3:
            parts.append(r.choice(CODE))
        elif kind == 4:
            parts.append(r.choice(EMOJI) * r.choice([1, 1, 2, 5]))
        elif kind == 5:
            parts.append("".join(character(r) for _ in range(r.randint(1, 12))))
        elif kind == 6:
            low, high = r.choice(RANGES)
            parts.append("".join(chr(c) for c in (r.randint(low, high) for _ in range(r.randint(1, 10))) if not 0xD800 <= c <= 0xDFFF))
        elif kind == 7:
            parts.append(r.choice(SPACES) * r.choice([1, 1, 2, 3, 7, 40]))
        elif kind == 8:
            parts.append(character(r) * r.choice([2, 3, 10, 100, 700]))
        elif kind == 9:
            parts.append(r.choice("aeoun ") + "".join(chr(r.randint(0x300, 0x36F)) for _ in range(r.randint(1, 6))))
        elif kind == 10:
            parts.append(str(r.randrange(10 ** r.randint(1, 18))))
        elif kind == 11 and specials:
            parts.append(r.choice(specials))
        else:
            word = r.choice(WORDS)
            parts.append(r.choice([word, word.upper(), unicodedata.normalize("NFD", word), unicodedata.normalize("NFKC", word)]))
        if r.random() < 0.4:
            parts.append(r.choice(SPACES))
    return "".join(parts)


def run_tool(tool, file, lines, extra):
    text = "\n".join(json.dumps(l) for l in lines) + "\n"
    done = subprocess.run([tool, file, *extra], input=text, capture_output=True, text=True)
    if done.returncode:
        raise SystemExit(f"{file}: {done.stderr}")
    rows = []
    for row in done.stdout.split("\n")[:-1]:
        ids, text = row.split("\t")
        rows.append(([int(i) for i in ids.split()], bytes.fromhex(text)))
    return rows


def around_difference(text, ours, theirs):
    at = next((i for i, (a, b) in enumerate(zip(ours, theirs)) if a != b), min(len(ours), len(theirs)))
    return text[:300], at, ours[max(0, at - 8):at + 12], theirs[max(0, at - 8):at + 12]


def main():
    p = argparse.ArgumentParser()
    p.add_argument("files", nargs="+")
    p.add_argument("--tool", required=True)
    p.add_argument("--lines", type=int, default=10000)
    p.add_argument("--seed", type=int, default=1)
    p.add_argument("--text", nargs="*", default=[])
    p.add_argument("--show", type=int, default=3)
    a = p.parse_args()
    texts = [open(t, encoding="utf-8").read() for t in a.text]
    failed = False
    for file in a.files:
        hf = Tokenizer.from_file(file)
        hf.no_truncation()
        hf.no_padding()
        specials = sorted(t.content for t in hf.get_added_tokens_decoder().values())
        r = random.Random(a.seed)
        lines = [line(r, texts, specials) for _ in range(a.lines)]
        wrong = {}
        for mode, extra in (("plain", []), ("parse", ["--parse"]), ("add", ["--add", "--parse"]), ("stream", ["--parse", "--stream"])):
            ours = run_tool(a.tool, file, lines, extra)
            assert len(ours) == len(lines), (len(ours), len(lines))
            hf.encode_special_tokens = mode == "plain"
            theirs = hf.encode_batch(lines, add_special_tokens=mode == "add")
            decoded = hf.decode_batch([e.ids for e in theirs], skip_special_tokens=False)
            for text, (ids, back), e, d in zip(lines, ours, theirs, decoded):
                if ids != e.ids:
                    wrong.setdefault(mode + " ids", []).append((text, ids, e.ids))
                elif back.decode("utf-8", "replace") != d:
                    wrong.setdefault(mode + " text", []).append((text, back, d))
        failed = failed or bool(wrong)
        print(file, len(lines), "lines x 4 ways:", {k: len(v) for k, v in wrong.items()} or "no difference", flush=True)
        for k, v in wrong.items():
            for case in sorted(v, key=lambda c: len(c[0]))[:a.show]:
                print("  ", k, *(ascii(c) for c in around_difference(*case)), sep="\n     ")
    sys.exit(1 if failed else 0)


if __name__ == "__main__":
    main()
