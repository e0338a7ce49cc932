// Panels that are kept in a file: made weight by weight, and held against what the model's files give. Both go through
// the builder that load() uses, so that what is compared is what a run maps.
#include <algorithm>
#include <cstring>
#include <set>

#include "decoder_impl.h"

namespace freehold {
namespace {

// Makes the panels of all weights, one after another, and hands each to `sink`.
void make_panels(std::shared_ptr<const ModelFiles> files, Profile profile, ThreadPool& threads, const char* what,
                 const Progress& progress, const PanelSink& sink) {
    LoadOptions options;
    options.profile = profile;
    std::uint64_t total = 0, done = 0;
    for (const auto& [name, tensor] : files->tensors()) total += tensor.nbytes();
    static_cast<void>(build_decoder(std::move(files), options, threads, false,
                                    [&](const PanelFacts& facts, std::span<const std::byte> panels) {
                                        sink(facts, panels);
                                        done += panels.size();
                                        if (progress) progress({what, std::min(done, total), total, "B"});
                                    }));
}

}  // namespace

std::uint64_t write_panels(std::shared_ptr<const ModelFiles> files, Profile profile, const std::filesystem::path& path,
                           std::string_view key, ThreadPool& threads, const Progress& progress) {
    PanelFileWriter writer(path, key);
    make_panels(std::move(files), profile, threads, "repacking", progress,
                [&](const PanelFacts& facts, std::span<const std::byte> panels) { writer.add(facts, panels); });
    return writer.finish();
}

PanelComparison compare_panels(std::shared_ptr<const ModelFiles> files, Profile profile, const PanelFile& kept,
                               ThreadPool& threads, const Progress& progress) {
    PanelComparison out;
    std::set<std::string, std::less<>> seen;
    make_panels(std::move(files), profile, threads, "comparing panels", progress,
                [&](const PanelFacts& facts, std::span<const std::byte> panels) {
                    ++out.weights;
                    out.bytes += panels.size();
                    seen.insert(facts.name);
                    const auto there = kept.find(facts);
                    if (there == nullptr || std::memcmp(there.get(), panels.data(), panels.size()) != 0)
                        out.wrong.push_back(facts.name);
                });
    for (const std::string& name : kept.names())
        if (!seen.contains(name)) out.wrong.push_back(name);
    return out;
}

}  // namespace freehold
