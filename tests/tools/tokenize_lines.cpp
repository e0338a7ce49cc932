// Encodes lines for comparisons with other programs: each line of standard input is a JSON string (or, with --bytes,
// the hexadecimal of any bytes); each line of output has the ids, a tab, and the decoded bytes in hexadecimal.
// tokenize_lines FILE [--config tokenizer_config.json] [--add] [--parse] [--bytes] [--stream] [--time]
#include <cstdio>
#include <ctime>
#include <filesystem>
#include <iostream>
#include <optional>
#include <string>
#include <vector>

#include "freehold/base/error.h"
#include "freehold/base/file.h"
#include "freehold/formats/model_files.h"
#include "freehold/text/tokenizer.h"

namespace {

using freehold::Tokenizer;

std::string from_hex(const std::string& line) {
    std::string out;
    for (std::size_t i = 0; i + 1 < line.size(); i += 2)
        out.push_back(static_cast<char>(std::stoi(line.substr(i, 2), nullptr, 16)));
    return out;
}

std::string to_hex(const std::string& bytes) {
    std::string out;
    for (const char c : bytes) {
        constexpr const char* kDigits = "0123456789abcdef";
        out += kDigits[static_cast<unsigned char>(c) >> 4U];
        out += kDigits[static_cast<unsigned char>(c) & 15U];
    }
    return out;
}

std::shared_ptr<const Tokenizer> load(const std::filesystem::path& file,
                                      const std::optional<std::string>& config_file) {
    std::optional<freehold::Value> config;
    if (config_file) config = freehold::parse_json(freehold::read_text(*config_file), *config_file);
    const freehold::ValueMap* map = config ? config->get<freehold::ValueMap>() : nullptr;
    if (file.extension() == ".json") return Tokenizer::from_hf(freehold::read_text(file), map);
    if (file.extension() == ".model") return Tokenizer::from_sentencepiece(freehold::read_text(file), map);
    return Tokenizer::from_gguf(freehold::ModelFiles::open(file)->meta());
}

// Processor time, so that a loaded machine measures the same.
double seconds_since(std::clock_t begin) {
    return static_cast<double>(std::clock() - begin) / CLOCKS_PER_SEC;
}

int run(const std::vector<std::string>& args) {
    std::optional<std::string> file, config;
    bool add = false, parse = false, bytes = false, stream = false, time = false;
    for (std::size_t i = 0; i < args.size(); ++i) {
        if (args[i] == "--config" && i + 1 < args.size()) {
            config = args[++i];
        } else if (args[i] == "--add") {
            add = true;
        } else if (args[i] == "--parse") {
            parse = true;
        } else if (args[i] == "--bytes") {
            bytes = true;
        } else if (args[i] == "--stream") {
            stream = true;
        } else if (args[i] == "--time") {
            time = true;
        } else {
            file = args[i];
        }
    }
    if (!file) {
        std::fputs("tokenize_lines FILE [--config FILE] [--add] [--parse] [--bytes] [--stream] [--time] < lines\n",
                   stderr);
        return 2;
    }
    const auto begin = std::clock();
    const auto tokenizer = load(*file, config);
    if (time) std::fprintf(stderr, "load %.3f s\n", seconds_since(begin));
    double encoding = 0.0, decoding = 0.0;
    std::size_t n_bytes = 0, n_ids = 0;
    for (std::string line; std::getline(std::cin, line);) {
        std::string text;
        if (bytes) {
            text = from_hex(line);
        } else {
            const freehold::Value value = freehold::parse_json(line, "a line of input");
            text = std::string(value.as_string().value_or(""));
        }
        const auto t0 = std::clock();
        const auto ids = tokenizer->encode(text, {.add_special = add, .parse_special = parse});
        encoding += seconds_since(t0);
        const auto t1 = std::clock();
        std::string back;
        if (stream) {
            freehold::StreamDecoder decoder(tokenizer, true);
            for (const auto id : ids) back += decoder.push(id);
            back += decoder.finish();
        } else {
            back = tokenizer->decode(ids, true);
        }
        decoding += seconds_since(t1);
        n_bytes += text.size();
        n_ids += ids.size();
        if (time) continue;
        std::string out;
        for (const auto id : ids) out += (out.empty() ? "" : " ") + std::to_string(id);
        std::cout << out << '\t' << to_hex(back) << '\n';
    }
    if (time) {
        const double mb = static_cast<double>(n_bytes) / 1e6;
        std::fprintf(stderr, "%.3f MB, %zu ids: encode %.3f s (%.2f MB/s), decode %.3f s (%.2f MB/s)\n", mb, n_ids,
                     encoding, mb / encoding, decoding, mb / decoding);
    }
    return 0;
}

}  // namespace

int main(int argc, char** argv) {
    try {
        return run({argv + 1, argv + argc});
    } catch (const freehold::Error& e) {
        std::fprintf(stderr, "%s\n%s\n", e.message().c_str(), e.hint().c_str());
        return freehold::exit_code(e.kind());
    }
}
