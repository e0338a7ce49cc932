// Runs the peer's benchmark and reads its JSON. Its log may stand before the JSON, so the array is looked for.
#include "peer_bench.h"

#include <fmt/format.h>

#include <sstream>

#include "freehold/base/error.h"
#include "freehold/base/printable.h"
#include "freehold/base/value.h"
#include "freehold/store/process.h"
#include "interrupt.h"

namespace freehold::cli {
namespace {

std::string last_words(const std::string& output) {
    constexpr std::size_t kMost = 300;
    return printable(output.size() > kMost ? output.substr(output.size() - kMost) : output, kMost);
}

double rate_in(const std::string& output) {
    // "[" begins a line; a log line may begin with one as well, so the last array that reads as JSON counts.
    const auto end = output.rfind(']');
    for (auto at = output.rfind("[\n"); end != std::string::npos && at != std::string::npos && at < end;
         at = at == 0 ? std::string::npos : output.rfind("[\n", at - 1)) {
        if (at != 0 && output[at - 1] != '\n') continue;
        try {
            const Value value = parse_json(output.substr(at, end + 1 - at), "the peer's output");
            const auto* list = value.get<ValueList>();
            if (list == nullptr || list->empty()) continue;
            const auto* map = list->back().get<ValueMap>();
            const Value* rate = map == nullptr ? nullptr : map->find("avg_ts");
            if (rate != nullptr && rate->as_double()) return *rate->as_double();
        } catch (const Error&) {
            continue;
        }
    }
    return 0;
}

}  // namespace

PeerBench::PeerBench(const std::string& command, std::string model_file) : model_file_(std::move(model_file)) {
    std::istringstream words(command);
    for (std::string word; words >> word;) command_.push_back(word);
    if (command_.empty()) throw Error(ErrorKind::usage, "--compare names no program.", "Give the path of llama-bench.");
}

double PeerBench::measure(const PeerCase& what) const {
    std::vector<std::string> arguments = command_;
    for (const auto& [flag, value] : {std::pair{"-p", what.n_prompt}, {"-n", what.n_gen}, {"-t", what.threads}}) {
        arguments.emplace_back(flag);
        arguments.push_back(std::to_string(value));
    }
    if (what.depth > 0) arguments.insert(arguments.end(), {"-d", std::to_string(what.depth)});
    arguments.insert(arguments.end(), {"-m", model_file_, "-r", "1", "-o", "json"});
    const process::Result result = process::run(arguments, {}, [] { check_interrupt(); });
    if (result.exit_code == 127)
        throw Error(ErrorKind::not_found, fmt::format("{} cannot be run.", program()),
                    "Give the path of the llama-bench program that you have built.");
    const double rate = result.exit_code == 0 ? rate_in(result.output) : 0;
    if (rate <= 0)
        throw Error(
            ErrorKind::io,
            fmt::format("{} gave no figure (exit code {}): {}", program(), result.exit_code, last_words(result.output)),
            "Try the same command by hand; --compare wants llama-bench, which prints JSON with -o json.");
    return rate;
}

}  // namespace freehold::cli
