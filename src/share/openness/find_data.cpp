// Training and test data, results and samples: told by path, format and how much is in them. That it is all the data,
// and the very data, no file can show; a person may attest it.
#include <fmt/format.h>

#include <algorithm>
#include <array>

#include "freehold/base/error.h"
#include "freehold/base/file.h"
#include "look.h"

namespace freehold::openness {
namespace {

constexpr std::uint64_t kFewest = 10;  // records; less is a sample

struct Content {
    std::uint64_t records = 0;
    std::string unit;     // "records", "lines", "words"
    std::string fault;    // why it is none
    bool closed = false;  // compressed or columnar: not looked into
};

std::uint64_t count_lines(const File& f) {
    const auto mapped = MappedFile::open(f.at);
    const auto bytes = mapped->bytes();
    auto lines = static_cast<std::uint64_t>(std::ranges::count(bytes, std::byte{'\n'}));
    if (!bytes.empty() && bytes.back() != std::byte{'\n'}) ++lines;
    return lines;
}

Content look_into(const File& f) {
    Content out;
    if (f.size == 0) return {0, "", "the file is empty", false};
    if (f.pointer) return {0, "", "it is a pointer to a file that lies elsewhere (Git LFS)", false};
    if (f.ext == ".jsonl" || f.ext == ".ndjson") {
        const std::vector<std::string_view> lines = lines_of(f.text);
        std::size_t seen = 0;
        for (const std::string_view line : lines) {
            if (trimmed(line).empty()) continue;
            // The last line of a head may be cut.
            if (seen == 20 || (!f.whole && &line == &lines.back())) break;
            try {
                static_cast<void>(parse_json(line, f.name));
            } catch (const Error&) {
                return {0, "", "its lines are no JSON", false};
            }
            ++seen;
        }
        return {count_lines(f), "records", "", false};
    }
    if (f.ext == ".csv" || f.ext == ".tsv") {
        const std::uint64_t lines = count_lines(f);
        return {lines > 0 ? lines - 1 : 0, "rows", "", false};
    }
    if (f.ext == ".json") {
        try {
            const Value root = parse_json(f.text, f.name);
            if (root.get<ValueMap>() == nullptr) return {root.size(), "records", "", false};
            const auto& map = *root.get<ValueMap>();
            std::uint64_t most = 0;
            for (const auto& [key, value] : map)
                if (value.get<ValueMap>() == nullptr) most = std::max<std::uint64_t>(most, value.size());
            return {most, "records", "", false};
        } catch (const Error&) {
            return {0, "", "it is no JSON", false};
        }
    }
    if (f.ext == ".txt" || f.ext == ".md") {
        if (is_placeholder(f.text)) return {0, "", "it holds a placeholder", false};
        return {count_lines(f), "lines", "", false};
    }
    out.closed = true;
    if (f.size < 64) out.fault = "it is too short to hold data";
    return out;
}

// A list of where data is from rather than the data: every record has an address.
std::size_t addresses(const File& f) {
    std::size_t n = 0;
    for (const std::string_view line : lines_of(f.text))
        if (line.find("http://") != std::string_view::npos || line.find("https://") != std::string_view::npos ||
            line.find("doi:") != std::string_view::npos)
            ++n;
    return n;
}

bool is_data_format(const File& f) {
    constexpr auto kEndings =
        std::to_array<std::string_view>({".jsonl", ".ndjson", ".csv", ".tsv", ".json", ".txt", ".parquet", ".arrow",
                                         ".zst", ".gz", ".xz", ".bin", ".npy", ".tar", ".warc", ".mds"});
    return std::ranges::find(kEndings, std::string_view(f.ext)) != kEndings.end();
}

bool is_no_data(const File& f) {
    constexpr auto kNames = std::to_array<std::string_view>(
        {"config.json", "tokenizer.json", "tokenizer_config.json", "special_tokens_map.json", "added_tokens.json",
         "generation_config.json", "vocab.txt", "vocab.json", "merges.txt", "modules.json", "package.json",
         "params.json", "croissant.json", "trainer_state.json", "cmakelists.txt"});
    return std::ranges::find(kNames, std::string_view(f.base)) != kNames.end() || f.base.ends_with(".index.json") ||
           f.base.starts_with("requirements") || f.base.find("license") != std::string::npos ||
           f.base.find("licence") != std::string::npos || f.base.find("config") != std::string::npos ||
           (f.ext == ".json" && f.base_has("summary|form|template|schema|bom|lineage|recipe|bundle"));
}

void look_at_data(const File& f, Component c, Findings& out) {
    const Content content = look_into(f);
    if (!content.fault.empty()) {
        out.add(c, f, Presence::hollow, Sureness::certain,
                fmt::format("by its place {}, but {}", lower(info(c).title), content.fault));
        return;
    }
    if (content.closed) {
        out.add(c, f, Presence::here, Sureness::hint,
                fmt::format("{} bytes in a form that was not looked into", f.size));
        return;
    }
    const std::size_t links = f.is_text ? addresses(f) : 0;
    if (c == Component::datasets && links > 0 && f.has("sources|manifest|urls|list|index")) {
        out.add(c, f, Presence::pointed, Sureness::likely, fmt::format("a list of {} sources with addresses", links));
        return;
    }
    if (content.records < kFewest || (c == Component::datasets && f.has("sample|samples|example|examples|toy|demo"))) {
        out.add(c, f, Presence::hollow, Sureness::certain,
                fmt::format("{} {}: a sample, not the data", content.records, content.unit));
        return;
    }
    out.add(c, f, Presence::here, Sureness::likely,
            fmt::format("{} {}; that this is all of it, no file can show", content.records, content.unit));
}

// Numbers under names of measures anywhere in a JSON file.
std::size_t measures(const Value& value, int depth) {
    constexpr auto kNames = std::to_array<std::string_view>(
        {"acc", "accuracy", "f1", "perplexity", "ppl", "bleu", "rouge", "score", "loss", "exact_match", "em", "pass@1",
         "pearson", "spearman", "mrr", "ndcg", "map", "bits_per_byte"});
    const auto* map = value.get<ValueMap>();
    if (depth > 8) return 0;
    std::size_t n = 0;
    if (map == nullptr) {
        if (value.get<ValueList>() != nullptr)
            for (const Value& v : *value.get<ValueList>()) n += measures(v, depth + 1);
        return n;
    }
    for (const auto& [key, entry] : *map) {
        const std::string name = lower(key);
        const bool named = std::ranges::any_of(kNames, [&](std::string_view k) {
            return name == k || name.starts_with(std::string(k) + ",") || name.ends_with("_" + std::string(k)) ||
                   name.starts_with(std::string(k) + "_");
        });
        if (named && entry.as_double()) ++n;
        n += measures(entry, depth + 1);
    }
    return n;
}

void look_at_results(const File& f, Findings& out) {
    std::size_t numbers = 0;
    if (f.ext == ".json") {
        try {
            numbers = measures(parse_json(f.text, f.name), 0);
        } catch (const Error&) {
            numbers = 0;
        }
    } else {
        for (const std::string_view line : lines_of(f.text))
            if (line.find_first_of("0123456789") != std::string_view::npos &&
                line.find_first_of("|,\t") != std::string_view::npos)
                ++numbers;
    }
    if (numbers > 0)
        out.add(Component::evaluation_results, f, Presence::here, Sureness::certain,
                fmt::format("{} {} of measures", numbers, f.ext == ".json" ? "values" : "lines"));
    else
        out.add(Component::evaluation_results, f, Presence::hollow, Sureness::certain,
                f.size == 0 ? "by its name results, but the file is empty"
                            : "by its name results, but it holds no measure");
}

void look_at_samples(const File& f, Findings& out) {
    const bool good = count_words(f.text) >= 20 && !is_placeholder(f.text);
    out.add(Component::sample_outputs, f, good ? Presence::here : Presence::hollow,
            good ? Sureness::likely : Sureness::certain,
            good ? fmt::format("{} lines of text", lines_of(f.text).size()) : "by its name samples, but it holds none");
}

}  // namespace

void find_data(const std::vector<File>& files, Findings& out) {
    for (const File& f : files) {
        if (is_no_data(f)) continue;
        try {
            const bool text =
                f.ext == ".json" || f.ext == ".md" || f.ext == ".csv" || f.ext == ".tsv" || f.ext == ".txt";
            const bool evaluation = f.has("eval*|test|tests|benchmark*|valid|validation|heldout|holdout");
            const bool results =
                text && f.base_has("result|results|metrics|scores|eval_results|all_results|leaderboard");
            const bool samples = f.base_has("sample|samples|output|outputs|generation|generations|completions") &&
                                 (f.ext == ".txt" || f.ext == ".md" || f.ext == ".jsonl" || f.ext == ".json");
            if (results)
                look_at_results(f, out);
            else if (samples && !f.has("data|dataset|corpus|train"))
                look_at_samples(f, out);
            else if (!is_data_format(f) || f.base_has("readme|card|log|logs|args") ||
                     ((f.ext == ".bin" || f.ext == ".npy") && !f.has("data|dataset|datasets|corpus")))
                continue;
            else if (evaluation && (f.has("data|dataset|datasets|test|heldout|holdout|valid|validation|benchmark*") ||
                                    f.ext == ".jsonl"))
                look_at_data(f, Component::evaluation_data, out);
            else if (f.has("train|training|corpus|pretrain|pretraining|dataset|datasets|data") && f.ext != ".md")
                look_at_data(f, Component::datasets, out);
        } catch (const Error& e) {
            out.note(fmt::format("{} could not be read: {}", f.name, e.message()));
        }
    }
}

}  // namespace freehold::openness
