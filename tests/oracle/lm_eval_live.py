# lm-evaluation-harness against the live server: its local-completions (echo with log-probabilities of the prompt,
# tokenizer by /tokenize) on items of LAMBADA, PIQA and ARC-easy, with the harness's own task definitions over local files.
# Every log-likelihood must be the one that the engine gives when it is called directly (tests/tools/loglikelihoods.cpp),
# and accuracy must be off chance. Needs lm_eval[api] and datasets (0.4.13 was used).
#   cmake --build build/release --target freehold loglikelihoods
#   python3 tests/oracle/lm_eval_live.py --data DIR --model smollm2.gguf [--limit 200]
# DIR: lambada/lambada_test.jsonl, piqa/valid.jsonl and valid-labels.lst, arc/arc_easy.jsonl (query, choices, gold).
import argparse
import json
import math
import os
import pathlib
import re
import signal
import subprocess
import tempfile
import time

os.environ.setdefault("HF_HUB_OFFLINE", "1")
os.environ.setdefault("HF_DATASETS_OFFLINE", "1")

from lm_eval import simple_evaluate  # noqa: E402
from lm_eval.models.openai_completions import LocalCompletionsAPI  # noqa: E402

ROOT = pathlib.Path(__file__).resolve().parents[2]
METRICS = [{"metric": "acc", "aggregation": "mean", "higher_is_better": True}]


class Recorder(LocalCompletionsAPI):
    """Keeps what was asked, as ids, and what came."""

    def __init__(self, **settings):
        super().__init__(**settings)
        self.asked = []

    def _loglikelihood_tokens(self, requests, **more):
        out = super()._loglikelihood_tokens(requests, **more)
        self.asked += [(r[1], r[2], o[0]) for r, o in zip(requests, out)]
        return out


def tasks(data, scratch):
    piqa = [json.loads(line) for line in (data / "piqa/valid.jsonl").open()]
    labels = [int(line) for line in (data / "piqa/valid-labels.lst").open()]
    merged = scratch / "piqa.jsonl"
    merged.write_text("".join(json.dumps({**row, "label": label}) + "\n" for row, label in zip(piqa, labels)))

    def task(name, file, **more):
        return {"task": name, "dataset_path": "json", "dataset_kwargs": {"data_files": {"test": str(file)}},
                "test_split": "test", "metric_list": METRICS, "metadata": {"version": 1.0}, **more}
    return [
        task("lambada_openai_local", data / "lambada/lambada_test.jsonl", output_type="loglikelihood",
             doc_to_text="{{text.split(' ')[:-1]|join(' ')}}", doc_to_target="{{' '+text.split(' ')[-1]}}",
             metric_list=METRICS + [{"metric": "perplexity", "aggregation": "perplexity", "higher_is_better": False}]),
        task("piqa_local", merged, output_type="multiple_choice", doc_to_text="Question: {{goal}}\nAnswer:",
             doc_to_target="label", doc_to_choice="{{[sol1, sol2]}}"),
        task("arc_easy_local", data / "arc/arc_easy.jsonl", output_type="multiple_choice",
             doc_to_text="{{query}}\nAnswer:", doc_to_target="{{gold}}", doc_to_choice="{{choices}}")]


def start(program, model, home):
    log = home / "log"
    process = subprocess.Popen([program, "serve", "--models", model, "--listen", "127.0.0.1:0", "--context", "2048"],
                               stdout=log.open("w"), stderr=subprocess.STDOUT, env={**os.environ, "FREEHOLD_HOME": str(home)})
    for _ in range(600):
        found = re.search(r"serves at (http://\S+)", log.read_text())
        if found and "loaded in" in log.read_text():
            return process, found.group(1)
        assert process.poll() is None, log.read_text()
        time.sleep(0.1)
    raise SystemExit(log.read_text())


def main():
    options = argparse.ArgumentParser()
    options.add_argument("--program", default=str(ROOT / "build/release/apps/freehold/freehold"))
    options.add_argument("--tool", default=str(ROOT / "build/release/tests/tools/loglikelihoods"))
    options.add_argument("--data", type=pathlib.Path, required=True)
    options.add_argument("--model", required=True)
    options.add_argument("--limit", type=int, default=200)
    o = options.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        process, url = start(o.program, o.model, pathlib.Path(folder))
        try:
            lm = Recorder(model=pathlib.Path(o.model).stem, base_url=url + "/v1/completions", batch_size=8,
                          max_length=2048, num_concurrent=1, timeout=600)
            assert lm.tokenizer_backend == "remote", "the server's tokenizer was not found"
            results = simple_evaluate(model=lm, tasks=tasks(o.data, pathlib.Path(folder)), limit=o.limit,
                                      bootstrap_iters=0, log_samples=False)["results"]
        finally:
            process.send_signal(signal.SIGTERM)
            process.wait(60)
    lines = "".join(f"{len(context)} {' '.join(map(str, context + continuation))}\n" for context, continuation, _ in lm.asked)
    direct = subprocess.run([o.tool, o.model, "--context", "2048"], input=lines, capture_output=True, text=True, check=True)
    sums = [sum(float(x) for x in line.split()) for line in direct.stdout.splitlines()]
    assert len(sums) == len(lm.asked)
    different = [(a[2], s) for a, s in zip(lm.asked, sums) if a[2] != s]
    widest = max((abs(a - b) for a, b in different), default=0)
    print(f"{len(sums)} log-likelihoods over {sum(len(a[1]) for a in lm.asked)} tokens: {len(different)} differ from the "
          f"engine called directly, by {widest:g} at most")
    fine = not different
    for name, chance in (("lambada_openai_local", 0.0), ("piqa_local", 0.5), ("arc_easy_local", 0.25)):
        accuracy = results[name]["acc,none"]
        error = math.sqrt(accuracy * (1 - accuracy) / o.limit)
        more = f", perplexity {results[name]['perplexity,none']:.2f}" if "perplexity,none" in results[name] else ""
        off = accuracy - 2 * error > chance
        fine = fine and off
        print(f"{name}: accuracy {accuracy:.3f} +- {error:.3f} (chance {chance:g}){more}{'' if off else ': NOT OFF CHANCE'}")
    raise SystemExit(0 if fine else 1)


if __name__ == "__main__":
    main()
