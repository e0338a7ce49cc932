#!/usr/bin/env python3
"""Writes the table of families in docs/families.md from what the tests said, and nothing that they did not.

  build/release/src/core/models/test_models --gtest_output=json:models.json
  build/release/tests/tokenizers/test_tokenizers --gtest_output=json:tokenizers.json
  build/release/src/core/text/test_text --gtest_output=json:text.json
  python3 tests/families_table.py models.json tokenizers.json text.json

A container counts when prefill, chunks, single steps and a ragged batch agreed with transformers (the largest difference
of logits over the largest logit is beside it) and the bits did not depend on kernels, threads and panels; gradients when
every parameter's agreed with PyTorch (the largest relative difference of a parameter is beside it). Tokenizers and
templates are those of the family's published models: the kind of splitting that they use, and the template's own text.
"""
import json
import pathlib
import re
import sys

DOC = pathlib.Path(__file__).resolve().parent.parent / "docs" / "families.md"
BEGIN, END = "<!-- made by tests/families_table.py -->", "<!-- end of what is made -->"

# Which kind of tests/golden/tokenizers the published models use (models of one family differ), and which texts of
# tests/golden/templates are theirs.
TOKENIZERS = {
    "llama": ["sp_bpe", "spm_prepend", "llama3"], "mistral": ["metaspace_first", "tekken"], "qwen2": ["qwen"], "qwen3": ["qwen"],
    "smollm3": ["llama3"], "olmo": ["neox"], "olmo2": ["inverted"], "phi3": ["sp_bpe", "spm_prepend"], "gemma2": ["spm_gemma"],
    "gemma3": ["spm_gemma"], "apertus": ["tekken"], "gpt2": ["gpt2"], "gptneo": ["gpt2"], "gptj": ["gpt2"], "gptneox": ["neox"],
    "opt": ["gpt2"], "mpt": ["neox"], "bloom": ["bloom"], "falcon": ["falcon"], "bert": ["bert"],
    "roberta": ["gpt2"], "xlm-roberta": ["sp_unigram", "unigram"], "gpt-oss": ["o200k"],
    "t5": ["sp_unigram", "unigram"],
}
TEMPLATES = {"llama": "meta-llama-Llama-3.1-8B-Instruct", "qwen2": "Qwen-Qwen2.5-7B-Instruct", "qwen3": "Qwen-Qwen3-0.6B",
             "gemma2": "google-gemma-2-2b-it"}


def results(paths):
    for path in paths:
        for suite in json.loads(pathlib.Path(path).read_text())["testsuites"]:
            for test in suite["testsuite"]:
                if test.get("result") == "COMPLETED":
                    yield suite["name"], test["name"].split("/")[0], test, "failures" not in test


def main():
    cases, grads, golden, templates, tokenizers = {}, {}, {}, [], []
    for suite, name, test, passed in results(sys.argv[1:]):
        if suite.endswith("Families") or suite.endswith("Encoders") or suite.endswith("Translators"):
            cases.setdefault(test["value_param"], []).append(passed)
            if "worst" in test:
                golden[test["value_param"]] = (test["family"], float(test["worst"]))
        if suite.endswith("FamilyGradients") or suite.endswith("TranslatorGradients") or suite.endswith("Training"):
            key = re.sub(r'^.*"(.*)".*$', r"\1", test["value_param"])
            kept = grads.setdefault(key, [True, 0.0, ""])
            kept[0] &= passed
            kept[1] = max(kept[1], float(test.get("worst", 0)))
            kept[2] = test.get("family", kept[2])
        if suite == "TokenizerGolden":
            tokenizers.append(passed)
        if suite.startswith("ChatTemplateGolden") or "TemplateGolden" in suite:
            templates.append(passed)
    rows = {}
    for case, all_passed in cases.items():
        if case not in golden or not all(all_passed):
            continue
        family, worst = golden[case]
        if case.startswith("mistral"):  # whose GGUF files call themselves llama
            family = "mistral"
        if case.startswith(("roberta", "xlm-roberta")):  # which share BERT's page, and its name in GGUF files
            family = "xlm-roberta" if case.startswith("xlm") else "roberta"
        kind = "gguf" if case.endswith(".gguf") else "hf"
        rows.setdefault(family, {}).setdefault(kind, []).append((case.removesuffix(".gguf").removesuffix(" folder"), worst))
    lines = ["| family | HF folder | GGUF | tokenizer | template | gradients |", "|-|-|-|-|-|-|"]
    names = {"olmo3": "olmo2"}  # families that share a page and a tokenizer
    for family in sorted(rows):
        def cell(kind):
            tried = rows[family].get(kind, [])
            return f"{len(tried)} ({max(w for _, w in tried):.0e})" if tried else ""
        trained = [g for g in grads.values() if g[0] and g[2] == family]
        kinds = TOKENIZERS.get(names.get(family, family), []) if tokenizers and all(tokenizers) else []
        template = TEMPLATES.get(family, "") if templates and all(templates) else ""
        lines.append(f"| {family} | {cell('hf')} | {cell('gguf')} | {', '.join(kinds)} | {template} | "
                     + (f"{max(g[1] for g in trained):.0e}" if trained else "") + " |")
    text = DOC.read_text()
    a, b = text.index(BEGIN) + len(BEGIN), text.index(END)
    DOC.write_text(text[:a] + "\n" + "\n".join(lines) + "\n" + text[b:])


main()
