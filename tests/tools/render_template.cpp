// Renders chat templates for the oracle scripts: each line of standard input is {"template": ..., "context": {...},
// "now": seconds}, or the template is a file given as argument; each line of output is {"text": ...} or {"error": ...}.
#include <chrono>
#include <fstream>
#include <iostream>
#include <iterator>
#include <string>

#include "freehold/base/error.h"
#include "freehold/base/value.h"
#include "freehold/text/chat_template.h"

namespace {

std::string read_file(const char* path) {
    std::ifstream in(path, std::ios::binary);
    return {std::istreambuf_iterator<char>(in), {}};
}

freehold::ValueMap answer(const std::string& line, const char* file) {
    using namespace freehold;
    try {
        const Value request = parse_json(line, "request");
        const auto* map = request.get<ValueMap>();
        if (map == nullptr) throw Error(ErrorKind::usage, "a request is an object");
        const Value* source = map->find("template");
        const Value* context = map->find("context");
        const Value* now = map->find("now");
        const auto parsed =
            ChatTemplate::parse(source != nullptr ? std::string(source->as_string().value_or("")) : read_file(file));
        const ValueMap empty;
        const ValueMap& given =
            context != nullptr && context->get<ValueMap>() != nullptr ? *context->get<ValueMap>() : empty;
        const auto begin = std::chrono::steady_clock::now();
        std::string text = parsed->render(given, now != nullptr ? now->as_int().value_or(0) : 0);
        const auto took = std::chrono::steady_clock::now() - begin;
        return {{"text", Value(std::move(text))},
                {"microseconds", Value(std::chrono::duration_cast<std::chrono::microseconds>(took).count())}};
    } catch (const Error& error) {
        return {{"error", Value(error.message())}, {"kind", Value(kind_name(error.kind()))}};
    }
}

}  // namespace

int main(int argc, char** argv) {
    std::string line;
    while (std::getline(std::cin, line)) {
        std::cout << freehold::to_json(freehold::Value(answer(line, argc > 1 ? argv[1] : ""))) << '\n';
    }
    std::cout.flush();
    return 0;
}
