// freehold template: what a chat template makes of given messages, byte for byte.
#include <fmt/format.h>

#include <ctime>

#include "../console.h"
#include "../input.h"
#include "../session.h"
#include "../template_settings.h"
#include "freehold/engine/chat.h"
#include "verbs.h"

namespace freehold::cli {
namespace {

struct Options {
    std::string model, messages, tools, now, name;
    std::vector<std::string> settings;
    bool no_generation_prompt = false, json = false;
};

// A Unix time, or an RFC 3339 time in UTC.
std::int64_t parse_time(const std::string& text) {
    std::tm when{};
    for (const char* format : {"%Y-%m-%dT%H:%M:%SZ", "%Y-%m-%d"}) {
        const char* end = ::strptime(text.c_str(), format, &when);
        if (end != nullptr && *end == '\0') return ::timegm(&when);
        when = {};
    }
    const Value number = [&] {
        try {
            return parse_json(text, "--now");
        } catch (const Error&) {
            return Value();
        }
    }();
    if (const auto seconds = number.as_int()) return *seconds;
    throw Error(ErrorKind::usage, fmt::format("\"{}\" is no time.", text),
                "Write seconds since 1970, 2026-01-31, or 2026-01-31T12:00:00Z.");
}

ValueList list_of(const Value& value, const std::string& what) {
    const auto* list = value.get<ValueList>();
    if (list == nullptr)
        throw Error(ErrorKind::usage, fmt::format("{} is no JSON list.", what),
                    "Write [{\"role\": \"user\", \"content\": \"Hello\"}].");
    return *list;
}

// A template without a model around it: what the caller gives is defined, and tools and documents, which are null when
// nobody gives any, as beside a model (render_chat).
std::string render_bare(const TemplateSources& sources, const ValueList& messages, const TemplateInputs& inputs) {
    const std::string name = inputs.template_name.empty() ? "default" : inputs.template_name;
    const auto source = sources.find(name);
    if (source == sources.end())
        throw Error(ErrorKind::not_found, fmt::format("There is no template named \"{}\" here.", name));
    ValueMap context;
    context.set("messages", messages);
    context.set("tools", inputs.tools.empty() ? Value() : Value(inputs.tools));
    context.set("documents", Value());
    context.set("add_generation_prompt", inputs.add_generation_prompt);
    for (const char* token : {"bos_token", "eos_token"}) context.set(token, std::string());
    for (const auto& [key, value] : inputs.extra) context.set(key, value);
    return ChatTemplate::parse(source->second)->render(context, inputs.now.value_or(std::time(nullptr)));
}

bool is_bare(const std::filesystem::path& path) {
    std::error_code ignored;
    if (!std::filesystem::is_regular_file(path, ignored)) return false;
    return path.extension() == ".jinja" || path.extension() == ".j2" || path.extension() == ".json";
}

int template_verb(const Options& o) {
    TemplateInputs inputs;
    inputs.add_generation_prompt = !o.no_generation_prompt;
    inputs.template_name = o.name;
    if (!o.now.empty()) inputs.now = parse_time(o.now);
    const Value input = parse_json(read_input(o.messages), o.messages);
    ValueList messages;
    if (const auto* map = input.get<ValueMap>()) {
        // A whole request: messages, perhaps tools, perhaps more variables.
        for (const auto& [key, value] : *map) {
            if (key == "messages") {
                messages = list_of(value, "\"messages\"");
            } else if (key == "tools") {
                if (!value.is_null()) inputs.tools = list_of(value, "\"tools\"");
            } else if (key == "add_generation_prompt") {
                inputs.add_generation_prompt = value.as_bool().value_or(true) && !o.no_generation_prompt;
            } else {
                inputs.extra.set(key, value);
            }
        }
    } else {
        messages = list_of(input, o.messages);
    }
    if (!o.tools.empty()) inputs.tools = list_of(parse_json(read_input(o.tools), o.tools), o.tools);
    for (const auto& setting : o.settings) add_template_setting(inputs.extra, setting);

    std::string text;
    std::shared_ptr<const LoadedModel> model;
    if (is_bare(o.model)) {
        text = render_bare(open_templates(o.model), messages, inputs);
    } else {
        Host host(HostOptions{.threads = 1});
        LoadedModelOptions options;
        options.weights = false;
        model = host.load(locate_model(Store::open(), o.model).path, options);
        text = render_chat(*model, messages, inputs);
    }
    if (o.json) {
        ValueMap map;
        map.set("text", valid_utf8(text));
        if (model && model->tokenizer()) {
            ValueList ids;
            for (const Token id : encode_chat(*model, text)) ids.emplace_back(std::int64_t{id});
            map.set("tokens", std::move(ids));
        }
        out(to_json(Value(std::move(map)), 2) + "\n");
    } else {
        out(text);
        if (stdout_is_terminal() && !text.ends_with('\n')) out("\n");
    }
    return 0;
}

}  // namespace

Action setup_template(CLI::App& app) {
    auto o = std::make_shared<Options>();
    app.add_option("MODEL", o->model,
                   "A stored name, a model file or folder, a .jinja file, or a tokenizer_config.json")
        ->required()
        ->type_name("MODEL");
    app.add_option("-m,--messages", o->messages,
                   "A JSON file with a list of messages, or a request with \"messages\" in it; - for standard input")
        ->required()
        ->type_name("FILE");
    app.add_option("--tools", o->tools, "A JSON file with a list of tools")->type_name("FILE");
    app.add_option("--set", o->settings,
                   "Define one more variable, k=v, v as JSON where it is JSON; may be given several times")
        ->type_name("K=V")
        ->expected(1)
        ->multi_option_policy(CLI::MultiOptionPolicy::TakeAll);
    app.add_flag("--no-generation-prompt", o->no_generation_prompt, "Do not open the answer");
    app.add_option("--name", o->name,
                   "Which of the model's templates (default: \"default\", or \"tool_use\" with tools)")
        ->type_name("NAME");
    app.add_option("--now", o->now, "The time that the template sees, so that the text can be repeated")
        ->type_name("TIME");
    add_json_flag(app, o->json);
    app.footer(
        "The text is printed as it is, without a newline of its own unless a terminal shows it.\n\n"
        "Examples\n"
        "  echo '[{\"role\":\"user\",\"content\":\"Hi\"}]' | freehold template smollm2:135m -m -\n"
        "  freehold template chat.jinja -m messages.json --set bos_token='<s>' --now 2026-01-31");
    return [o] { return template_verb(*o); };
}

}  // namespace freehold::cli
