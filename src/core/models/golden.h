// The tiny models of tests/golden/models (made by tests/oracle/make_tiny_models.py) and what transformers computed with
// them.
#pragma once

#include <cstring>
#include <string>
#include <vector>

#include "freehold/base/file.h"
#include "freehold/models/decoder.h"

namespace freehold::test {

inline std::string golden_folder(const std::string& name) {
    return std::string(FREEHOLD_SOURCE_DIR) + "/tests/golden/models/" + name;
}
inline std::string golden_gguf(const std::string& name) {
    return golden_folder(name) + "/" + name + ".gguf";
}

inline std::vector<float> read_floats(const std::string& path) {
    const auto file = MappedFile::open(path);
    std::vector<float> values(file->bytes().size() / sizeof(float));
    std::memcpy(values.data(), file->bytes().data(), values.size() * sizeof(float));
    return values;
}

template <class T>
std::vector<T> numbers(const Value& list) {
    std::vector<T> out;
    for (std::size_t i = 0; i < list.size(); ++i) out.push_back(static_cast<T>(*list.at(i).as_double()));
    return out;
}

struct Golden {
    Value expected;
    std::vector<Token> tokens;
    std::vector<float> logits;  // [tokens][vocab]
};

inline Golden read_golden(const std::string& name) {
    Golden g;
    g.expected = parse_json(read_text(golden_folder(name) + "/expected.json"), name + "/expected.json");
    g.tokens = numbers<Token>(*find(*g.expected.get<ValueMap>(), "tokens"));
    g.logits = read_floats(golden_folder(name) + "/expected.bin");
    return g;
}

}  // namespace freehold::test
