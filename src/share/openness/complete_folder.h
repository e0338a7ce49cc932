// One folder in which every component of an open release lies, made small for the tests: each in a file of its own, so
// that one can be removed, emptied or put under other terms without touching another.
#pragma once

#include <fmt/format.h>

#include <map>
#include <string>

#include "freehold/base/file.h"
#include "freehold/openness/mof.h"
#include "support/scratch.h"

namespace freehold::openness {

inline std::string licence_file(const std::string& id) {
    return read_text(std::filesystem::path(FREEHOLD_SOURCE_DIR) / "src/share/licence/texts" / (id + ".txt"));
}

inline std::string json_lines(std::size_t n, const std::string& word) {
    std::string out;
    for (std::size_t i = 0; i < n; ++i) out += fmt::format("{{\"id\": {}, \"text\": \"{} number {}\"}}\n", i, word, i);
    return out;
}

inline std::string prose(std::size_t sentences) {
    std::string out;
    for (std::size_t i = 0; i < sentences; ++i)
        out += fmt::format(
            "In step {} the loss fell a little and the gradients stayed within the bounds that were set before.\n", i);
    return out;
}

// The file of every component. Licences: code MIT by root LICENSE-CODE, weights Apache-2.0, data CDLA-Permissive-2.0,
// documents CC-BY-4.0.
inline std::map<Component, std::string> complete_files() {
    using C = Component;
    return {{C::architecture_code, "model.py"},
            {C::parameters_final, "model.safetensors"},
            {C::evaluation_results, "results.json"},
            {C::model_card, "README.md"},
            {C::data_card, "DATA_CARD.md"},
            {C::technical_report, "technical_report.md"},
            {C::sample_outputs, "samples.txt"},
            {C::training_code, "train.py"},
            {C::inference_code, "generate.py"},
            {C::evaluation_code, "evaluate.py"},
            {C::evaluation_data, "eval/test.jsonl"},
            {C::supporting_tools, "requirements.txt"},
            {C::datasets, "corpus/train.jsonl"},
            {C::data_code, "prepare_corpus.py"},
            {C::parameters_intermediate, "checkpoint-500/model.safetensors"},
            {C::research_paper, "paper.md"},
            {C::model_metadata, "config.json"},
            {C::optimiser_state, "optimizer.safetensors"},
            {C::tokenizer, "tokenizer.json"}};
}

inline void write_complete(const std::filesystem::path& folder) {
    const auto put = [&](const std::string& name, const std::string& text) {
        std::filesystem::create_directories((folder / name).parent_path());
        testing::write_file(folder / name, text);
    };
    put("LICENSE-CODE", licence_file("MIT"));
    put("LICENSE-MODEL", licence_file("Apache-2.0"));
    put("LICENSE-DATA", licence_file("CDLA-Permissive-2.0"));
    put("LICENSE-DOCS", licence_file("CC-BY-4.0"));
    put("model.py",
        "import torch\nfrom torch import nn\n\n\nclass Small(nn.Module):\n    def __init__(self, width):\n        "
        "super().__init__()\n"
        "        self.embed = nn.Embedding(256, width)\n        self.out = nn.Linear(width, 256)\n\n    def "
        "forward(self, x):\n"
        "        h = self.embed(x)\n        return self.out(h)\n");
    put("train.py",
        "import torch\nfrom model import Small\n\n\ndef run(train_dataset):\n    model = Small(32)\n"
        "    optimizer = torch.optim.AdamW(model.parameters(), lr=3e-4)\n    for batch in train_dataset:\n"
        "        loss = model(batch).mean()\n        loss.backward()\n        optimizer.step()\n        "
        "optimizer.zero_grad()\n");
    put("generate.py",
        "import torch\nfrom model import Small\n\n\ndef answer(path, prompt):\n    model = Small(32)\n"
        "    model.load_state_dict(torch.load(path))\n    logits = model(prompt)\n    return logits.argmax(-1)\n");
    put("evaluate.py",
        "import json\n\n\ndef accuracy(model, test_rows):\n    right = 0\n    for row in test_rows:\n"
        "        right += int(model(row) == row)\n    return right / len(test_rows)\n\n\nprint(json.dumps({'accuracy': "
        "0}))\n");
    put("prepare_corpus.py",
        "import json\n\n\ndef main(source, target):\n    seen = set()\n    with open(source) as lines, open(target, "
        "'w') as out:\n"
        "        for line in lines:\n            text = line.strip()\n            if text in seen:\n                "
        "continue\n"
        "            seen.add(text)\n            out.write(json.dumps({'text': text}))\n");
    put("requirements.txt", "torch==2.4.0\nnumpy==1.26.4\n");
    for (const char* name : {"model.safetensors", "checkpoint-500/model.safetensors", "optimizer.safetensors"})
        put(name, testing::tiny_safetensors(static_cast<unsigned>(std::string(name).size())));
    put("config.json", "{\"model_type\": \"small\", \"hidden_size\": 32, \"vocab_size\": 256, \"num_layers\": 1}\n");
    put("tokenizer.json",
        "{\"version\": \"1.0\", \"model\": {\"type\": \"BPE\", \"vocab\": {\"a\": 0, \"b\": 1}, \"merges\": []}}\n");
    put("corpus/train.jsonl", json_lines(40, "a sentence about rivers"));
    put("eval/test.jsonl", json_lines(20, "a held back sentence"));
    put("results.json", "{\"results\": {\"rivers\": {\"accuracy\": 0.71, \"perplexity\": 12.5}}}\n");
    put("samples.txt",
        "Prompt: The river\nAnswer: The river runs from the hills to the sea and takes the rain of three valleys with "
        "it.\n"
        "Prompt: In spring\nAnswer: In spring the water is high and cold, and the boats stay at home until the banks "
        "are dry.\n");
    put("README.md",
        "# Small\n\nA model for tests. Its intended use is to be looked at by a program that looks for components; how "
        "to use it is "
        "said in the file generate.py, and it can be used for nothing else.\n\n## Limitations\n\nIt has a risk of "
        "being taken for "
        "a real one. It was trained for an hour on a small corpus, and what it scored stands in the file of measures "
        "beside it.\n");
    put("DATA_CARD.md",
        "# The corpus\n\nThe sentences were collected by hand from three guide books, which are listed at "
        "https://example.org/books "
        "with their editions.\n\nThere are 40 records in English, about rivers only. They were selected by two people "
        "who excluded "
        "everything that named a person, so there is no personal data in it. Duplicates were removed and the text was "
        "normalised "
        "by the program that lies beside this card.\n\nNo labels were made and nothing was generated by a model. The "
        "books are in "
        "the public domain; the collection has the licence of the data.\n");
    put("technical_report.md", "# Technical report\n\n" + prose(20));
    put("paper.md", "# A small model of rivers\n\n## Abstract\n\n" + prose(20) + "\n## References\n");
}

}  // namespace freehold::openness
