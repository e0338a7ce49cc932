// POST /api/generate and /api/chat: Ollama's dialect onto the internal request. Streams are lines of JSON, on unless
// the request says otherwise; times are nanoseconds.
#include "ollama.h"

#include <fmt/chrono.h>
#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <cmath>
#include <map>

#include "chat_messages.h"
#include "common.h"
#include "created_model.h"
#include "freehold/engine/chat.h"
#include "freehold/server/owner.h"

namespace freehold::server {

std::string ollama_error(const ErrorFacts& facts) {
    return to_json(ValueMap{{"error", facts.message}});
}

std::string ollama_time(std::chrono::system_clock::time_point when) {
    const auto since = std::chrono::duration_cast<std::chrono::nanoseconds>(when.time_since_epoch()).count();
    const std::time_t seconds = since / 1'000'000'000;
    std::tm parts{};
    gmtime_r(&seconds, &parts);
    return fmt::format("{:%Y-%m-%dT%H:%M:%S}.{:09}Z", parts, since % 1'000'000'000);
}

namespace {

KeepAlive wanted_keep_alive(const Fields& fields) {
    const Value* value = fields.find("keep_alive");
    if (value == nullptr) return {};
    const auto seconds = [&](double n) -> KeepAlive {
        if (!(std::abs(n) < 1e9)) fields.fail("keep_alive", "keep_alive is longer than any time.");
        if (n < 0) return kKeepForever;
        return std::chrono::milliseconds(static_cast<std::int64_t>(n * 1000));
    };
    if (const auto number = value->as_double()) return seconds(*number);
    const auto text = value->as_string();
    if (!text || text->empty()) fields.fail("keep_alive", "keep_alive is neither a number of seconds nor a time.");
    // Go's durations: a sign, then numbers with units.
    double total = 0;
    std::string_view rest = *text;
    const bool negative = rest.front() == '-';
    if (negative || rest.front() == '+') rest.remove_prefix(1);
    static const std::map<std::string_view, double> units = {{"ns", 1e-9}, {"us", 1e-6}, {"ms", 1e-3}, {"s", 1},
                                                             {"m", 60},    {"h", 3600},  {"", 1}};
    bool any = false;
    while (!rest.empty()) {
        const std::size_t digits = std::min(rest.find_first_not_of("0123456789."), rest.size());
        std::size_t letters = digits;
        while (letters < rest.size() && std::isalpha(static_cast<unsigned char>(rest[letters])) != 0) ++letters;
        const auto unit = units.find(rest.substr(digits, letters - digits));
        double number = 0;
        const auto parsed = std::from_chars(rest.data(), rest.data() + digits, number);
        if (digits == 0 || digits > 20 || unit == units.end() || parsed.ptr != rest.data() + digits) {
            fields.fail("keep_alive", fmt::format("keep_alive is \"{}\".", text->substr(0, 40)),
                        "Write 30s, 5m, 2h, 0 or -1.");
        }
        total += number * unit->second;
        rest.remove_prefix(letters);
        any = true;
    }
    if (!any) fields.fail("keep_alive", "keep_alive has no number.", "Write 30s, 5m, 2h, 0 or -1.");
    return seconds(negative ? -total : total);
}

}  // namespace

KeepAlive ollama_keep_alive(const Fields& fields, const Service& service, const Principal& who) {
    const KeepAlive wanted = wanted_keep_alive(fields);
    const bool runs_it = !who.keyed || who.role == Role::operator_;
    return wanted && !runs_it ? KeepAlive(std::min(*wanted, service.longest_keep_alive)) : wanted;
}

std::string ollama_model(const Fields& fields) {
    if (const auto model = fields.string("model"); model && !model->empty()) return *model;
    if (const auto name = fields.string("name"); name && !name->empty()) return *name;
    fields.fail("model", "model is missing.", "Name a model; GET /api/tags lists them.");
}

Route ollama_row(const char* method, const char* pattern, Role role, const char* summary, const char* schema,
                 Handler handler) {
    Route route;
    route.method = method;
    route.pattern = pattern;
    route.role = role;
    route.error = ollama_error;
    route.handler = std::move(handler);
    std::string id;
    bool upper = false;
    for (const char* c = pattern + 1; *c != 0; ++c) {
        if (std::isalpha(static_cast<unsigned char>(*c)) == 0) {
            upper = true;
            continue;
        }
        id += upper ? static_cast<char>(std::toupper(static_cast<unsigned char>(*c))) : *c;
        upper = false;
    }
    std::string verb(method);
    std::ranges::transform(verb, verb.begin(), [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
    const bool bytes = std::string_view(schema) == kBytesSchema;
    const std::string body =
        *schema == 0
            ? std::string()
            : fmt::format(R"("requestBody": {{"required": true, "content": {{"application/{}": {{"schema": {}}}}}}}, )",
                          bytes ? "octet-stream" : "json", schema);
    const std::string parameters = std::string_view(pattern).find('{') == std::string_view::npos
                                       ? std::string()
                                       : R"("parameters": [{"name": "digest", "in": "path", "required": true,
 "schema": {"type": "string", "pattern": "^sha256:[0-9a-f]{64}$"}}], )";
    route.operation = fmt::format(
        R"({{"operationId": "{}_{}", "tags": ["Ollama"], "summary": "{}", {}{}"responses": {{"200": {{"description": )"
        R"("The answer; streams are application/x-ndjson"}}}}}})",
        verb, id, summary, body, parameters);
    return route;
}

void LineStream::open() {
    if (!responder_->begun()) responder_->begin(200, {{"Content-Type", "application/x-ndjson"}});
}

void LineStream::line(const Value& value) {
    open();
    responder_->write(to_json(value) + "\n");
}

void LineStream::close() {
    open();
    responder_->end();
}

void LineStream::fail(const std::exception_ptr& fault) {
    if (!responder_->begun()) return send_error(*responder_, fault, ollama_error);
    const ErrorFacts facts = error_facts(fault);
    responder_->note("error", Value(std::string(kind_name(facts.kind))));
    responder_->write(ollama_error(facts) + "\n");
    responder_->end();
}

namespace {

// `options` and the fields beside it. Keys of the runner that mean nothing here (num_gpu, use_mmap, ...) are left
// alone, as Ollama itself does with what it does not know.
void read_options(const Fields& fields, const Service& service, const Principal& who, GenerationRequest& request) {
    request.keep_alive = ollama_keep_alive(fields, service, who);
    const bool logprobs = fields.boolean("logprobs").value_or(false);
    const auto top = fields.integer("top_logprobs", 0, 20);
    if (top && *top > 0 && !logprobs)
        fields.fail("top_logprobs", "top_logprobs is set, but logprobs is not.", "Set logprobs to true.");
    if (logprobs) request.logprobs = static_cast<int>(top.value_or(0));
    const ValueMap* map = fields.object("options");
    if (map == nullptr) return;
    const Fields options(*map, "options");
    read_sampling(options, request);
    const auto most = options.integer("num_predict", -2, 1 << 30);
    if (most && *most >= 0) request.max_tokens = static_cast<int>(*most);
    // Checked, and no more: the context is the server's (--context), and a prompt beyond it is refused, never cut.
    static_cast<void>(options.integer("num_ctx", 0, 1 << 30));
}

void read_format(const Fields& fields, const Service& service, GenerationRequest& request) {
    const Value* format = fields.find("format");
    if (format == nullptr) return;
    ValueMap as_openai;
    if (const auto word = format->as_string()) {
        if (word->empty()) return;
        if (*word != "json") {
            fields.fail("format", fmt::format("format is \"{}\".", word->substr(0, 40)),
                        "It is \"json\" or a JSON schema.");
        }
        as_openai.set("response_format", ValueMap{{"type", "json_object"}});
    } else if (format->get<ValueMap>() != nullptr) {
        as_openai.set("response_format",
                      ValueMap{{"type", "json_schema"}, {"json_schema", ValueMap{{"schema", *format}}}});
    } else {
        fields.fail("format", "format is neither \"json\" nor a JSON schema.");
    }
    read_constraints(Fields(as_openai), service, request);
}

// think: true, false, or how hard ("low", "medium", "high", "max").
// True: the model is asked to think.
bool read_thinking(const Fields& fields, ValueMap& kwargs) {
    const Value* think = fields.find("think");
    if (think == nullptr) return false;
    if (const bool* on = think->get<bool>()) {
        kwargs.set("enable_thinking", *on);
        kwargs.set("thinking", *on);
        return *on;
    }
    const auto level = think->as_string();
    if (!level) fields.fail("think", "think is neither true or false nor a level.");
    kwargs.set("enable_thinking", true);
    kwargs.set("thinking", true);
    kwargs.set("reasoning_effort", std::string(*level));
    return true;
}

void refuse_images(const Fields& fields, const char* path) {
    if (const Value* images = fields.find("images"); images != nullptr && images->size() > 0)
        fields.fail(path, "images are given, but models here read text only.", "Leave images away.");
}

// One answer on its way, of /api/generate or /api/chat.
class OllamaAnswer {
 public:
    OllamaAnswer(ResponderPtr responder, const Fields& fields, bool chat, bool wants_context)
        : lines_(std::move(responder)),
          streaming_(fields.boolean("stream").value_or(true)),
          chat_(chat),
          wants_context_(wants_context),
          wants_logprobs_(fields.boolean("logprobs").value_or(false)) {}

    [[nodiscard]] bool streaming() const noexcept { return streaming_; }
    // Lines without text are what Ollama sends while a model thinks; a line without JSON would be none of its dialect.
    void held() {
        ValueMap line = head();
        put_text(line, {}, {}, {});
        line.set("done", false);
        lines_.line(line);
    }

    void take(Event&& event) {
        // NOLINTNEXTLINE(bugprone-branch-clone): clang-tidy 14 takes these branches for clones of each other.
        if (auto* started = std::get_if<Started>(&event)) {
            model_ = started->model;
            if (wants_context_ && !started->prompts->empty()) context_ = started->prompts->front().ids;
        } else if (auto* delta = std::get_if<Delta>(&event)) {
            add(*delta);
        } else if (auto* done = std::get_if<ChoiceDone>(&event)) {
            finish_ = done->withheld ? "content_filter" : done->finish == FinishReason::length ? "length" : "stop";
            if (wants_context_)
                context_.insert(context_.end(), done->outcome.tokens.begin(), done->outcome.tokens.end());
            flush_call();
        } else if (auto* all = std::get_if<AllDone>(&event)) {
            close(*all);
        } else {
            lines_.fail(std::get<Failed>(event).fault);
        }
    }

 private:
    [[nodiscard]] ValueMap head() const {
        return {{"model", model_ ? model_.name() : std::string()}, {"created_at", ollama_now()}};
    }
    void put_text(ValueMap& line, std::string text, std::string thinking, ValueList calls) const {
        if (!chat_) {
            line.set("response", std::move(text));
            if (!thinking.empty()) line.set("thinking", std::move(thinking));
            return;
        }
        ValueMap message{{"role", "assistant"}, {"content", std::move(text)}};
        if (!thinking.empty()) message.set("thinking", std::move(thinking));
        if (!calls.empty()) message.set("tool_calls", std::move(calls));
        line.set("message", std::move(message));
    }

    void add(const Delta& delta) {
        std::string text, thinking;
        for (const OutputDelta& part : delta.parts) {
            if (part.kind == OutputDelta::Kind::content) text += part.text;
            if (part.kind == OutputDelta::Kind::reasoning) thinking += part.text;
            if (part.kind == OutputDelta::Kind::tool_call) {
                flush_call();
                call_ = {part.id, part.name, {}, static_cast<int>(calls_)};
                in_call_ = true;
            }
            if (part.kind == OutputDelta::Kind::tool_arguments) call_.arguments += part.text;
        }
        ValueList logprobs;
        if (wants_logprobs_) {
            for (const TokenPiece& piece : delta.tokens) logprobs.push_back(logprob_json(piece));
        }
        say(std::move(text), std::move(thinking), {}, std::move(logprobs));
    }

    void say(std::string text, std::string thinking, ValueList calls, ValueList logprobs) {
        if (text.empty() && thinking.empty() && calls.empty() && logprobs.empty()) return;
        if (!streaming_) {
            text_ += text;
            thinking_ += thinking;
            for (Value& call : calls) all_calls_.push_back(std::move(call));
            for (Value& one : logprobs) all_logprobs_.push_back(std::move(one));
            return;
        }
        ValueMap line = head();
        put_text(line, std::move(text), std::move(thinking), std::move(calls));
        line.set("done", false);
        if (!logprobs.empty()) line.set("logprobs", std::move(logprobs));
        lines_.line(line);
    }

    // Calls are told whole, with their arguments as an object; what is no object stays text, so that nothing is lost.
    void flush_call() {
        if (!in_call_) return;
        in_call_ = false;
        Value arguments;
        try {
            arguments = call_.arguments.empty() ? Value(ValueMap{}) : parse_json(call_.arguments, "arguments");
        } catch (const Error&) {
            arguments = {};
        }
        if (arguments.get<ValueMap>() == nullptr) return say(call_.name + call_.arguments, {}, {}, {});
        ++calls_;
        say({}, {},
            {Value(ValueMap{
                {"id", call_.id},
                {"function",
                 ValueMap{{"index", call_.index}, {"name", call_.name}, {"arguments", std::move(arguments)}}}})},
            {});
    }

    void close(const AllDone& all) {
        if (model_) note_generation(*lines_.responder(), model_, all.usage, all.cancelled ? "cancelled" : finish_);
        if (all.cancelled) return lines_.fail(stopped_fault());
        ValueMap line = head();
        put_text(line, std::move(text_), std::move(thinking_), std::move(all_calls_));
        line.set("done", true);
        line.set("done_reason", finish_);
        if (!all_logprobs_.empty()) line.set("logprobs", std::move(all_logprobs_));
        if (wants_context_) line.set("context", Value(std::vector<std::int32_t>(context_.begin(), context_.end())));
        const Usage& u = all.usage;
        line.set("total_duration", nanoseconds(u.total_seconds));
        line.set("load_duration", nanoseconds(u.load_seconds));
        line.set("prompt_eval_count", static_cast<std::int64_t>(u.prompt_tokens));
        line.set("prompt_eval_duration", nanoseconds(u.prefill_seconds));
        line.set("eval_count", static_cast<std::int64_t>(u.completion_tokens));
        line.set("eval_duration", nanoseconds(u.decode_seconds));
        if (!streaming_) return send_json(*lines_.responder(), 200, line);
        lines_.line(line);
        lines_.close();
    }

    struct Call {
        std::string id, name, arguments;
        int index = 0;
    };
    LineStream lines_;
    const bool streaming_, chat_, wants_context_, wants_logprobs_;
    ModelLease model_;
    std::string finish_ = "stop", text_, thinking_;
    ValueList all_calls_, all_logprobs_;
    std::vector<Token> context_;
    Call call_;
    bool in_call_ = false;
    std::size_t calls_ = 0;
};

// No prompt: the model is loaded, or with keep_alive 0 let go.
void load_only(Service& service, const RequestPtr& http, const ResponderPtr& responder, const std::string& model,
               KeepAlive keep, bool chat) {
    check_use(service.pool, model, http->principal.tenant, http->principal.models);
    const std::string name = service.pool.resolve(model).name;
    const auto answer = [responder, name, chat](const char* reason) {
        ValueMap line{{"model", name}, {"created_at", ollama_now()}};
        if (chat) {
            line.set("message", ValueMap{{"role", "assistant"}, {"content", ""}});
        } else {
            line.set("response", "");
        }
        line.set("done", true);
        line.set("done_reason", reason);
        send_json(*responder, 200, line);
    };
    if (keep && keep->count() == 0) {
        if (http->principal.role == Role::user && http->principal.keyed)
            throw RequestError(403, ErrorKind::denied, "Letting models go takes the role operator.");
        service.pool.unload(name);
        return answer("unload");
    }
    service.pool.acquire(
        name,
        [responder, answer](const ModelLease&, const std::exception_ptr& fault) {
            if (fault) return send_error(*responder, fault, ollama_error);
            answer("load");
        },
        keep);
}

// Is a prompt put into a template: the model's own, or the one that it was created with?
bool templated(const ServedModel& served) {
    const ValueMap* const created = created_settings(served.stored);
    return served.model->template_sources().contains("default") ||
           (created != nullptr && created->find("jinja") != nullptr);
}

void generate(Service& service, const RequestPtr& http, const ResponderPtr& responder) {
    const ValueMap body = read_body(*http);
    const Fields fields(body);
    GenerationRequest request;
    set_owner(*http, request);
    request.model = ollama_model(fields);
    refuse_images(fields, "images");
    if (const auto suffix = fields.string("suffix"); suffix && !suffix->empty())
        fields.fail("suffix", "suffix is given, but no model here fills in the middle.", "Leave suffix away.");
    if (const auto text = fields.string("template"); text && !text->empty()) {
        fields.fail("template", "template is given: templates here are the model's own, in Jinja, not Go's.",
                    "Send raw: true with the whole prompt, or messages to /api/chat.");
    }
    read_options(fields, service, http->principal, request);
    const std::string prompt = fields.string("prompt").value_or("");
    const std::string system = fields.string("system").value_or("");
    const Value* context = fields.find("context");
    if (prompt.empty() && context == nullptr)
        return load_only(service, http, responder, request.model, request.keep_alive, false);
    const bool raw = fields.boolean("raw").value_or(false);
    read_format(fields, service, request);
    ValueMap kwargs;
    const bool thinks = read_thinking(fields, kwargs);
    std::vector<Token> before;
    if (context != nullptr) {
        for (std::size_t i = 0; i < context->size(); ++i) {
            const auto id = context->at(i).as_int();
            if (!id || *id < 0 || *id > std::numeric_limits<Token>::max())
                fields.fail("context", "context holds something that is no token id.");
            before.push_back(static_cast<Token>(*id));
        }
    }
    request.parse_output = true;
    auto answer = std::make_shared<OllamaAnswer>(responder, fields, false, !raw);
    // What the prompt becomes depends on the model: a base model has no template to put it in.
    const std::string name = request.model;  // the request itself goes into the task
    const KeepAlive keep = request.keep_alive;
    service.pool.acquire(
        name,
        [&service, responder, raw, prompt, system, kwargs, thinks, before, answer, request = std::move(request)](
            const ModelLease& lease, const std::exception_ptr& fault) mutable {
            try {
                if (fault) std::rethrow_exception(fault);
                Prompt made = TextPrompt{prompt, before.empty(), true};
                if (!raw && templated(*lease)) {
                    ChatPrompt chat;
                    if (!system.empty()) chat.messages.push_back(chat_message("system", system));
                    chat.messages.push_back(chat_message("user", prompt));
                    chat.kwargs = kwargs;
                    if (thinks) chat.thinking_field = "think";
                    made = std::move(chat);
                } else if (thinks && !raw) {
                    throw field_error("think", fmt::format("\"{}\" does not support thinking.", lease->name));
                } else if (!system.empty()) {
                    std::get<TextPrompt>(made).text = system + "\n\n" + prompt;
                }
                if (!before.empty()) {
                    std::vector<Token> ids = before;
                    const PromptFacts next = encode_prompt(*lease->model, made);
                    ids.insert(ids.end(), next.ids.begin(), next.ids.end());
                    made = std::move(ids);
                }
                request.prompts = {std::move(made)};
                run_generation(service, responder, std::move(request), answer);
            } catch (...) {
                send_current_error(*responder, ollama_error);
            }
        },
        keep);
}

void chat(Service& service, const RequestPtr& http, const ResponderPtr& responder) {
    const ValueMap body = read_body(*http);
    const Fields fields(body);
    GenerationRequest request;
    set_owner(*http, request);
    request.model = ollama_model(fields);
    read_options(fields, service, http->principal, request);
    const ValueList* messages = fields.list("messages");
    if (messages == nullptr || messages->empty())
        return load_only(service, http, responder, request.model, request.keep_alive, true);
    ValueMap as_openai;
    ValueList list;
    for (std::size_t i = 0; i < messages->size(); ++i) {
        const std::string path = fmt::format("messages[{}]", i);
        const auto* message = (*messages)[i].get<ValueMap>();
        if (message == nullptr) fields.fail(path, fmt::format("{} is no object.", path));
        const Fields m(*message, path);
        refuse_images(m, "images");
        ValueMap one = *message;
        one.erase("images");
        if (const auto thinking = m.string("thinking")) {
            one.erase("thinking");
            one.set("reasoning_content", *thinking);
        }
        if (const auto tool = m.string("tool_name")) one.set("name", *tool);
        if (const ValueList* calls = m.list("tool_calls")) {
            // Arguments come as objects here and as text in OpenAI's dialect.
            ValueList turned;
            for (const Value& item : *calls) {
                const auto* call = item.get<ValueMap>();
                const Value* function = call == nullptr ? nullptr : call->find("function");
                const auto* inner = function == nullptr ? nullptr : function->get<ValueMap>();
                if (inner == nullptr) m.fail("tool_calls", fmt::format("{}.tool_calls holds no function.", path));
                const Value* arguments = inner->find("arguments");
                turned.push_back(ValueMap{
                    {"id", call->find("id") != nullptr ? *call->find("id") : Value(fmt::format("call_{}", i))},
                    {"type", "function"},
                    {"function", ValueMap{{"name", Fields(*inner, path).need_string("name")},
                                          {"arguments", arguments == nullptr     ? Value("{}")
                                                        : arguments->as_string() ? *arguments
                                                                                 : Value(to_json(*arguments))}}}});
            }
            one.set("tool_calls", std::move(turned));
        }
        list.push_back(std::move(one));
    }
    as_openai.set("messages", std::move(list));
    if (const Value* tools = fields.find("tools")) as_openai.set("tools", *tools);
    ChatPrompt prompt = read_chat_prompt(Fields(as_openai));
    if (read_thinking(fields, prompt.kwargs)) prompt.thinking_field = "think";
    request.prompts.emplace_back(std::move(prompt));
    read_format(fields, service, request);
    hold_to_tools(service, request);
    request.parse_output = true;
    auto answer = std::make_shared<OllamaAnswer>(responder, fields, true, false);
    run_generation(service, responder, std::move(request), answer);
}

constexpr const char* kOptions =
    R"json("options": {"type": "object", "properties": {"num_predict": {"type": "integer", "minimum": -2, "maximum": 1073741824},
 "num_ctx": {"type": "integer", "minimum": 0, "maximum": 1073741824}}, "x-fields": ["sampling"]},
 "stream": {"type": "boolean"}, "think": {"type": ["boolean", "string"]},
 "format": {"oneOf": [{"const": "json"}, {"$ref": "#/components/schemas/Schema"}]},
 "keep_alive": {"type": ["string", "number"]}, "logprobs": {"type": "boolean"},
 "top_logprobs": {"type": "integer", "minimum": 0, "maximum": 20})json";

}  // namespace

std::vector<Route> ollama_routes(Service& service) {
    const auto bind = [&service](auto function) {
        return [&service, function](const RequestPtr& http, const ResponderPtr& responder) {
            function(service, http, responder);
        };
    };
    const std::string generate_schema = fmt::format(
        R"json({{"type": "object", "required": ["model"], "properties": {{"model": {{"type": "string"}},
 "prompt": {{"type": "string"}}, "system": {{"type": "string"}}, "raw": {{"type": "boolean"}},
 "context": {{"type": "array", "items": {{"type": "integer"}}}}, {}}}}})json",
        kOptions);
    const std::string chat_schema = fmt::format(
        R"json({{"type": "object", "required": ["model"], "properties": {{"model": {{"type": "string"}},
 "messages": {{"type": "array", "items": {{"type": "object", "required": ["role", "content"], "properties": {{
   "role": {{"enum": ["system", "user", "assistant", "tool"]}}, "content": {{"type": "string"}},
   "thinking": {{"type": "string"}}, "tool_name": {{"type": "string"}}, "tool_calls": {{"type": "array",
     "items": {{"type": "object", "required": ["function"], "properties": {{"function": {{"type": "object",
       "required": ["name"], "properties": {{"name": {{"type": "string"}}, "arguments": {{"type": "object"}}}}}}}}}}}}}}}}}},
 "tools": {{"type": "array", "maxItems": 128, "items": {{"$ref": "#/components/schemas/Tool"}}}}, {}}}}})json",
        kOptions);
    return {
        ollama_row("POST", "/api/generate", Role::user, "Go on with a prompt", generate_schema.c_str(), bind(generate)),
        ollama_row("POST", "/api/chat", Role::user, "Answer a conversation", chat_schema.c_str(), bind(chat))};
}

}  // namespace freehold::server
