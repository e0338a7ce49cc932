// MaskBench: compiles the schemas of a file, walks their instances token by token, and prints verdicts and times.
// Usage: maskbench SCHEMAS.jsonl TOKENIZER.json|MODEL.gguf [--compact] [--only NAME] [--verbose] [--suite]
#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <fstream>
#include <map>
#include <sstream>

#include "freehold/base/error.h"
#include "freehold/formats/model_files.h"
#include "freehold/grammar/matcher.h"

namespace {

using namespace freehold;
using Clock = std::chrono::steady_clock;

double micros(Clock::time_point a) {
    return std::chrono::duration<double, std::micro>(Clock::now() - a).count();
}

// As Python's json.dumps(ensure_ascii=False) writes a value: ", " and ": ".
void dumps(const Value& v, bool compact, std::string& out) {
    if (const auto* map = v.get<ValueMap>()) {
        out += '{';
        bool first = true;
        for (const auto& [key, value] : *map) {
            if (!first) out += compact ? "," : ", ";
            first = false;
            out += to_json(Value(key)) + (compact ? ":" : ": ");
            dumps(value, compact, out);
        }
        out += '}';
    } else if (const auto* list = v.get<ValueList>()) {
        out += '[';
        for (std::size_t i = 0; i < list->size(); ++i) {
            if (i > 0) out += compact ? "," : ", ";
            dumps((*list)[i], compact, out);
        }
        out += ']';
    } else if (const auto* d = v.get<double>(); d != nullptr && std::abs(*d) >= 1e-4 && std::abs(*d) < 1e16) {
        // Python writes these without exponent.
        std::string text = fmt::format("{:.17f}", *d);
        for (int p = 0; p < 40; ++p) {
            text = fmt::format("{:.{}f}", *d, p);
            if (std::stod(text) == *d) break;
        }
        if (text.find('.') == std::string::npos) text += ".0";
        out += text;
    } else {
        out += to_json(v);
    }
}

double percentile(std::vector<double>& v, double p) {
    if (v.empty()) return 0;
    const auto at = std::min(v.size() - 1, static_cast<std::size_t>(p * static_cast<double>(v.size())));
    std::nth_element(v.begin(), v.begin() + static_cast<std::ptrdiff_t>(at), v.end());
    return v[at];
}

std::shared_ptr<const Tokenizer> load(const std::string& path) {
    if (path.ends_with(".gguf")) {
        return Tokenizer::from_gguf(ModelFiles::open(path)->meta());
    }
    std::ifstream in(path, std::ios::binary);
    std::stringstream text;
    text << in.rdbuf();
    return Tokenizer::from_hf(text.str(), nullptr);
}

struct Case {
    std::string name;
    Value schema;
    std::vector<std::pair<Value, bool>> tests;
};

std::vector<Case> read(const std::string& path, bool suite) {
    std::vector<Case> cases;
    std::ifstream in(path);
    if (suite) {
        std::stringstream text;
        text << in.rdbuf();
        const Value groups = parse_json(text.str(), path);
        for (const Value& g : *groups.get<ValueList>()) {
            const auto& m = *g.get<ValueMap>();
            Case c{std::string(*m.find("description")->as_string()), *m.find("schema"), {}};
            for (const Value& t : *m.find("tests")->get<ValueList>()) {
                const auto& tm = *t.get<ValueMap>();
                c.tests.emplace_back(*tm.find("data"), *tm.find("valid")->as_bool());
            }
            cases.push_back(std::move(c));
        }
        return cases;
    }
    std::string line;
    int number = 0;
    while (std::getline(in, line)) {
        ++number;
        Case c;
        try {
            const Value row = parse_json(line, fmt::format("line {}", number));
            const auto& m = *row.get<ValueMap>();
            c.name = std::string(m.find("name")->as_string().value_or(""));
            c.schema = *m.find("schema");
            for (const Value& t : *m.find("tests")->get<ValueList>()) {
                const auto& tm = *t.get<ValueMap>();
                c.tests.emplace_back(*tm.find("data"), *tm.find("valid")->as_bool());
            }
        } catch (const Error& e) {
            fmt::print("unreadable line {}: {}\n", number, e.message());
            continue;
        }
        cases.push_back(std::move(c));
    }
    return cases;
}

}  // namespace

int main(int argc, char** argv) {
    if (argc < 3) {
        fmt::print("usage: maskbench SCHEMAS.jsonl TOKENIZER [--compact] [--only NAME] [--verbose] [--suite]\n");
        return 2;
    }
    bool compact = false, verbose = false, suite = false;
    std::string only;
    for (int i = 3; i < argc; ++i) {
        const std::string a = argv[i];
        compact = compact || a == "--compact";
        verbose = verbose || a == "--verbose";
        suite = suite || a == "--suite";
        if (a == "--only" && i + 1 < argc) only = argv[++i];
    }
    try {
        const auto tokenizer = load(argv[2]);
        const auto begin = Clock::now();
        const auto trie = make_token_trie(*tokenizer);
        fmt::print("vocabulary {} tokens, tree built in {:.1f} ms\n", trie->vocab(), micros(begin) / 1000);
        const std::vector<std::int32_t> ends = tokenizer->stop_ids();
        std::vector<std::uint32_t> bits((static_cast<std::size_t>(trie->vocab()) + 31) / 32);
        std::vector<double> compile_us, mask_us;
        std::size_t passed = 0, refused = 0, wrong_valid = 0, wrong_invalid = 0, errors = 0, total = 0;
        std::size_t untested = 0, valid = 0, invalid = 0;
        std::map<std::string, int> reasons;
        for (const Case& c : read(argv[1], suite)) {
            if (!only.empty() && c.name != only) continue;
            ++total;
            std::shared_ptr<const Grammar> grammar;
            const auto from = Clock::now();
            try {
                grammar = Grammar::from_json_schema(c.schema);
            } catch (const Error& e) {
                ++refused;
                fmt::print("REFUSED {} [{}]: {}\n", c.name, kind_name(e.kind()), e.message());
                continue;
            }
            const double spent = micros(from);
            compile_us.push_back(spent);
            if (verbose && spent > 200'000) fmt::print("SLOW {}: {:.0f} ms\n", c.name, spent / 1000);
            if (c.tests.empty()) ++untested;
            bool bad = false;
            for (std::size_t t = 0; t < c.tests.size(); ++t) {
                const auto& [data, want] = c.tests[t];
                (want ? valid : invalid) += 1;
                std::string text;
                dumps(data, compact, text);
                bool got = false;
                std::string at;
                try {
                    Matcher m(grammar, trie, ends);
                    got = true;
                    std::size_t done = 0;
                    for (const std::int32_t id : tokenizer->encode(text, {false, false})) {
                        const auto t0 = Clock::now();
                        m.mask(bits);
                        const bool in_mask = (bits[static_cast<std::size_t>(id) / 32] >> (id % 32) & 1) != 0;
                        const bool took = m.accept(id);
                        const double us = micros(t0);
                        mask_us.push_back(us);
                        if (verbose && us > 5000)
                            fmt::print("SLOWMASK {} {:.0f} us after {}\n", c.name, us,
                                       text.substr(0, done).substr(done > 60 ? done - 60 : 0));
                        if (in_mask != took) throw Error(ErrorKind::internal, "Mask and matcher differ.");
                        if (!took) {
                            got = false;
                            break;
                        }
                        done += tokenizer->piece(id).size();
                    }
                    at = text.substr(done > 40 ? done - 40 : 0, 60);
                    if (got && !m.may_end()) got = false;
                } catch (const Error& e) {
                    fmt::print("ERROR {} test {}: {}\n", c.name, t, e.message());
                    ++errors;
                    bad = true;
                    continue;
                }
                if (got != want) {
                    bad = true;
                    (want ? wrong_valid : wrong_invalid) += 1;
                    fmt::print("WRONG {} test {}: {} instance {}: {}\n", c.name, t, want ? "valid" : "invalid",
                               want ? "stopped" : "let through", want ? at : text.substr(0, 200));
                }
            }
            if (!bad) ++passed;
        }
        fmt::print("{} schemas, {} passed ({:.1f} %), {} refused, {} without tests; instances {} valid, {} invalid\n",
                   total, passed,
                   100.0 * static_cast<double>(passed) / static_cast<double>(std::max<std::size_t>(total, 1)), refused,
                   untested, valid, invalid);
        fmt::print("wrong: {} valid stopped, {} invalid let through, {} errors\n", wrong_valid, wrong_invalid, errors);
        fmt::print("compile us: p50 {:.0f} p90 {:.0f} p99 {:.0f} max {:.0f}\n", percentile(compile_us, 0.5),
                   percentile(compile_us, 0.9), percentile(compile_us, 0.99), percentile(compile_us, 1));
        double sum = 0;
        for (const double x : mask_us) sum += x;
        fmt::print(
            "mask us over {} tokens: mean {:.1f} p25 {:.1f} p50 {:.1f} p75 {:.1f} p90 {:.1f} p95 {:.1f} p99 {:.1f} "
            "p99.9 {:.1f} max {:.0f}\n",
            mask_us.size(), sum / static_cast<double>(std::max<std::size_t>(mask_us.size(), 1)),
            percentile(mask_us, 0.25), percentile(mask_us, 0.5), percentile(mask_us, 0.75), percentile(mask_us, 0.9),
            percentile(mask_us, 0.95), percentile(mask_us, 0.99), percentile(mask_us, 0.999), percentile(mask_us, 1));
        return wrong_valid + wrong_invalid + errors == 0 ? 0 : 1;
    } catch (const Error& e) {
        fmt::print(stderr, "{} {}\n", e.message(), e.hint());
        return 1;
    }
}
