# Makes tests/golden/samplers/chains.json: what transformers' logits processors leave of random rows, as probabilities.
# Run: python3 tests/oracle/samplers_make.py tests/golden/samplers/chains.json   (needs torch and transformers)
import json
import sys

import torch
from transformers.generation.logits_process import (
    MinPLogitsWarper,
    RepetitionPenaltyLogitsProcessor,
    TemperatureLogitsWarper,
    TopKLogitsWarper,
    TopPLogitsWarper,
    TypicalLogitsWarper,
)

VOCAB = 120


def counts_penalty(scores, history, presence, frequency):
    """OpenAI's definition, which transformers does not have: logit -= frequency * count + presence * (count > 0)."""
    count = torch.bincount(history[0], minlength=VOCAB).to(scores.dtype)
    return scores - frequency * count - presence * (count > 0).to(scores.dtype)


def run(case, logits, history):
    scores = logits.clone()
    if case.get("repetition_penalty", 1.0) != 1.0:
        scores = RepetitionPenaltyLogitsProcessor(case["repetition_penalty"])(history, scores)
    scores = counts_penalty(scores, history, case.get("presence_penalty", 0.0), case.get("frequency_penalty", 0.0))
    if case.get("temperature", 1.0) != 1.0:
        scores = TemperatureLogitsWarper(case["temperature"])(history, scores)
    if case.get("top_k", 0):
        scores = TopKLogitsWarper(case["top_k"], min_tokens_to_keep=case.get("min_keep", 1))(history, scores)
    if case.get("top_p", 1.0) < 1.0:
        scores = TopPLogitsWarper(case["top_p"], min_tokens_to_keep=case.get("min_keep", 1))(history, scores)
    if case.get("min_p", 0.0) > 0.0:
        scores = MinPLogitsWarper(case["min_p"], min_tokens_to_keep=case.get("min_keep", 1))(history, scores)
    if case.get("typical_p", 1.0) < 1.0:
        scores = TypicalLogitsWarper(case["typical_p"], min_tokens_to_keep=case.get("min_keep", 1))(history, scores)
    return torch.softmax(scores.double(), dim=-1)[0]


def main():
    generator = torch.Generator().manual_seed(11)
    cases = [
        {},
        {"temperature": 0.7},
        {"temperature": 1.8},
        {"top_k": 1},
        {"top_k": 7},
        {"top_k": 1000},
        {"top_k": 3, "min_keep": 5},
        {"top_p": 0.1},
        {"top_p": 0.5},
        {"top_p": 0.95},
        {"top_p": 0.05, "min_keep": 3},
        {"min_p": 0.02},
        {"min_p": 0.3},
        {"min_p": 1.0, "min_keep": 4},
        {"typical_p": 0.2},
        {"typical_p": 0.9},
        {"typical_p": 0.1, "min_keep": 6},
        {"repetition_penalty": 1.3},
        {"repetition_penalty": 0.8},
        {"presence_penalty": 0.9},
        {"frequency_penalty": 0.4},
        {"frequency_penalty": -0.4, "presence_penalty": -0.2},
        {"repetition_penalty": 1.2, "presence_penalty": 0.5, "frequency_penalty": 0.3, "temperature": 0.6, "top_k": 30},
        {"temperature": 0.8, "top_k": 40, "top_p": 0.9, "min_p": 0.03},
        {"temperature": 1.3, "top_p": 0.8, "typical_p": 0.7},
    ]
    rows = []
    for scale in (1.0, 4.0, 12.0):
        logits = torch.randn(1, VOCAB, generator=generator) * scale
        history = torch.randint(0, VOCAB, (1, 60), generator=generator)
        rows.append(
            {
                "logits": logits[0].tolist(),
                "history": history[0].tolist(),
                "cases": [
                    {
                        "options": case,
                        "kept": {str(i): p for i, p in enumerate(run(case, logits, history).tolist()) if p > 0},
                    }
                    for case in cases
                ],
            }
        )
    with open(sys.argv[1], "w", encoding="ascii") as out:
        json.dump({"made_by": "tests/oracle/samplers_make.py, transformers 5", "rows": rows}, out)


main()
