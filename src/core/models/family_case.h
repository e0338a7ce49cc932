// A tiny model of tests/golden/models in one of its containers, as the tests of families load it.
#pragma once

#include <functional>
#include <memory>
#include <ostream>
#include <string>

#include "golden.h"

namespace freehold::test {

struct Case {
    const char* name;
    bool gguf;
    int context = 0;  // LoadOptions::context
};
// NOLINTNEXTLINE(readability-identifier-naming): the name that googletest calls
inline void PrintTo(const Case& c, std::ostream* out) {
    *out << c.name << (c.gguf ? ".gguf" : " folder");
}

inline std::string path_of(const Case& c) {
    return c.gguf ? golden_gguf(c.name) : golden_folder(c.name);
}

inline LoadOptions options_of(const Case& c, Profile profile, bool repack = true,
                              std::function<void(DecoderSpec&)> adjust = {}) {
    LoadOptions options{profile, repack, std::move(adjust)};
    options.context = c.context;
    return options;
}

inline std::shared_ptr<const Decoder> load(const Case& c, ThreadPool& threads,
                                           std::function<void(DecoderSpec&)> adjust = {}, bool repack = true) {
    return Decoder::load(ModelFiles::open(path_of(c)), options_of(c, Profile::f32, repack, std::move(adjust)), threads);
}

}  // namespace freehold::test
