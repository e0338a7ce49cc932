// Log-probabilities of given tokens by the engine called directly, for comparisons with what a server says of them.
// Each line of standard input holds a number n and then token ids; each line of output the log-probabilities of the
// tokens from n on, each given all before it. loglikelihoods MODEL [--context N]
#include <cstdio>
#include <cstdlib>
#include <iostream>
#include <sstream>
#include <string>
#include <vector>

#include "freehold/base/error.h"
#include "freehold/engine/engine.h"
#include "freehold/engine/host.h"
#include "freehold/engine/loaded_model.h"
#include "freehold/engine/perplexity.h"

int main(int argc, char** argv) {
    using namespace freehold;
    if (argc < 2) {
        std::fputs("usage: loglikelihoods MODEL [--context N]\n", stderr);
        return 2;
    }
    try {
        EngineOptions options;
        if (argc > 3 && std::string(argv[2]) == "--context") options.context = std::atoi(argv[3]);
        Host host{HostOptions{}};
        const auto model = host.load(argv[1], LoadedModelOptions{});
        Engine engine(host, model, options);
        std::string line;
        while (std::getline(std::cin, line)) {
            std::istringstream words(line);
            std::size_t from = 0;
            words >> from;
            std::vector<Token> ids;
            for (Token id = 0; words >> id;) ids.push_back(id);
            if (from == 0 || from >= ids.size()) {
                std::puts("");
                continue;
            }
            const std::vector<float> logprobs = token_logprobs(engine, ids);
            for (std::size_t i = from; i < ids.size(); ++i)
                std::printf("%s%.17g", i == from ? "" : " ", static_cast<double>(logprobs[i - 1]));
            std::puts("");
        }
        return 0;
    } catch (const Error& error) {
        std::fprintf(stderr, "loglikelihoods: %s %s\n", error.message().c_str(), error.hint().c_str());
        return 1;
    }
}
