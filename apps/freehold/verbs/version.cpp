// freehold version: what was built, and from what.
#include <fmt/format.h>

#include "../console.h"
#include "../session.h"
#include "freehold/kernels/kernels.h"
#include "verbs.h"

namespace freehold::cli {

int print_version(bool json) {
    const char* build =
#ifdef NDEBUG
        "release";
#else
        "debug";
#endif
    if (json) {
        ValueMap map;
        map.set("version", std::string(FREEHOLD_VERSION));
        map.set("build", std::string(build));
        map.set("compiler", std::string(__VERSION__));
        ValueList isas;
        for (const Kernels* kernels : available_kernels()) isas.emplace_back(std::string(kernels->name));
        map.set("isa", std::move(isas));
        out(to_json(Value(std::move(map)), 2) + "\n");
    } else {
        out(fmt::format("freehold {} ({}, compiler {})\n", FREEHOLD_VERSION, build, __VERSION__));
    }
    return 0;
}

Action setup_version(CLI::App& app) {
    auto json = std::make_shared<bool>(false);
    add_json_flag(app, *json);
    return [json] { return print_version(*json); };
}

}  // namespace freehold::cli
