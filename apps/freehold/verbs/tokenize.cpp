// freehold tokenize: text to ids and back, exactly as the model does it.
#include <fmt/format.h>

#include <algorithm>

#include "../console.h"
#include "../input.h"
#include "../session.h"
#include "verbs.h"

namespace freehold::cli {
namespace {

struct Options {
    std::string model;
    std::vector<std::string> words;
    bool decode = false, json = false, pieces = false, no_special = false, parse_special = false, jsonl = false;
};

// A stored name goes through the store; everything else is a path, also of bare tokenizer files.
std::shared_ptr<const Tokenizer> find_tokenizer(const std::string& model) {
    std::error_code ignored;
    if (std::filesystem::is_regular_file(model, ignored)) return open_tokenizer(model);
    return open_tokenizer(locate_model(Store::open(), model).path);
}

ValueList id_list(const std::vector<std::int32_t>& ids) {
    ValueList list;
    for (const auto id : ids) list.emplace_back(std::int64_t{id});
    return list;
}

// Each line of the input is one JSON value: a string to encode, or a list of ids to decode. For checks in bulk.
int each_json_line(const Tokenizer& tokenizer, const Options& o) {
    const std::string input = o.words.empty() ? read_stdin() : fmt::format("{}", fmt::join(o.words, "\n"));
    const EncodeOptions encode{!o.no_special, o.parse_special};
    std::string result;
    std::size_t at = 0;
    for (int number = 1; at < input.size(); ++number) {
        const std::size_t end = std::min(input.find('\n', at), input.size());
        const std::string_view line = std::string_view(input).substr(at, end - at);
        at = end + 1;
        if (line.find_first_not_of(" \t\r") == std::string_view::npos) continue;
        const Value value = parse_json(line, fmt::format("line {} of the input", number));
        if (o.decode) {
            std::vector<std::int32_t> ids;
            for (std::size_t i = 0; i < value.size(); ++i)
                ids.push_back(static_cast<std::int32_t>(value.at(i).as_int().value_or(-1)));
            result += to_json(Value(valid_utf8(tokenizer.decode(ids, o.parse_special))));
        } else {
            if (!value.as_string())
                throw Error(ErrorKind::usage, fmt::format("Line {} of the input is no JSON string.", number),
                            "With --jsonl each line is one JSON string.");
            result += to_json(Value(id_list(tokenizer.encode(*value.as_string(), encode))));
        }
        result += '\n';
        if (result.size() > (1U << 16U)) {
            out(result);
            result.clear();
        }
    }
    out(result);
    return 0;
}

void check_ids(const Tokenizer& tokenizer, const std::vector<std::int32_t>& ids) {
    for (const auto id : ids) {
        if (id >= tokenizer.size()) {
            throw Error(ErrorKind::usage, fmt::format("Token id {} does not exist.", id),
                        fmt::format("This vocabulary has {} tokens, 0 to {}.", tokenizer.size(), tokenizer.size() - 1));
        }
    }
}

int tokenize_verb(const Options& o) {
    const auto tokenizer = find_tokenizer(o.model);
    if (o.jsonl) return each_json_line(*tokenizer, o);
    const std::string input = o.words.empty() ? read_stdin() : fmt::format("{}", fmt::join(o.words, " "));
    std::vector<std::int32_t> ids;
    std::string text = input;
    if (o.decode) {
        ids = parse_ids(input);
        check_ids(*tokenizer, ids);
        text = tokenizer->decode(ids, !o.no_special);
    } else {
        ids = tokenizer->encode(input, {!o.no_special, o.parse_special});
    }
    if (o.json) {
        ValueMap map;
        map.set("text", valid_utf8(text));
        map.set("tokens", id_list(ids));
        ValueList pieces;
        for (const auto id : ids) pieces.emplace_back(valid_utf8(tokenizer->piece(id, true)));
        map.set("pieces", std::move(pieces));
        map.set("count", std::uint64_t{ids.size()});
        out(to_json(Value(std::move(map)), 2) + "\n");
    } else if (o.pieces) {
        std::string lines;
        for (const auto id : ids)
            lines += fmt::format("{:>8}  {}\n", id, to_json(Value(valid_utf8(tokenizer->piece(id, true)))));
        out(lines);
    } else if (o.decode) {
        out(text);
        if (stdout_is_terminal() && !text.ends_with('\n')) out("\n");
    } else {
        out(fmt::format("{}\n", fmt::join(ids, " ")));
    }
    return 0;
}

}  // namespace

Action setup_tokenize(CLI::App& app) {
    auto o = std::make_shared<Options>();
    app.add_option("MODEL", o->model,
                   "A stored name, a model file or folder, a vocabulary-only GGUF, a tokenizer.json or tokenizer.model")
        ->required()
        ->type_name("MODEL");
    app.add_option("TEXT", o->words, "What to tokenize, or ids with --decode (default: standard input, as it is)")
        ->type_name("TEXT");
    app.add_flag("-d,--decode", o->decode, "Turn ids into text");
    app.add_flag("-p,--pieces", o->pieces, "One token a line, with its text");
    app.add_flag("--no-special", o->no_special, "Add no BOS or EOS; with --decode leave control tokens out");
    app.add_flag("--parse-special", o->parse_special, "Special tokens written in the text become their ids");
    app.add_flag("--jsonl", o->jsonl,
                 "Each line of the input is a JSON string (or list of ids), each line of the output its answer");
    add_json_flag(app, o->json);
    app.footer(
        "Examples\n"
        "  freehold tokenize smollm2:135m \"Hello, world\"\n"
        "  freehold tokenize smollm2:135m --pieces < notes.txt\n"
        "  freehold tokenize tokenizer.json --decode 19556 28 905");
    return [o] { return tokenize_verb(*o); };
}

}  // namespace freehold::cli
