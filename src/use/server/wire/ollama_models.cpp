// Ollama's routes for models: what is there, what is loaded, fetching, making, copying and removing.
#include <fmt/format.h>

#include <algorithm>
#include <filesystem>
#include <functional>
#include <map>
#include <mutex>

#include "common.h"
#include "created_model.h"
#include "freehold/engine/loaded_model.h"
#include "freehold/formats/model_files.h"
#include "freehold/server/owner.h"
#include "freehold/store/catalogue.h"
#include "ollama.h"
#include "ollama_blobs.h"
#include "ollama_create.h"

namespace freehold::server {
namespace {

namespace fs = std::filesystem;

std::string bare(const std::string& digest) {
    return digest.starts_with("sha256:") ? digest.substr(7) : digest;
}

std::string size_words(std::uint64_t parameters) {
    const auto n = static_cast<double>(parameters);
    if (n >= 1e9) return fmt::format("{:.1f}B", n / 1e9);
    if (n >= 1e6) return fmt::format("{:.1f}M", n / 1e6);
    return fmt::format("{:.0f}K", n / 1e3);
}

Value details(const StoredModel* stored, const std::string& parent = {}) {
    const ModelRecord record = stored != nullptr ? stored->record : ModelRecord{};
    ValueMap map;
    map.set("parent_model", parent);
    map.set("format", record.container == "gguf" || record.container.empty() ? "gguf" : record.container);
    map.set("family", record.architecture);
    map.set("families", ValueList{Value(record.architecture)});
    map.set("parameter_size", size_words(record.parameters));
    map.set("quantization_level", record.quantisation);
    map.set("context_length", static_cast<std::int64_t>(record.context));
    return map;
}

ValueMap entry(const KnownModel& known) {
    ValueMap one;
    one.set("name", known.name);
    one.set("model", known.name);
    one.set("modified_at",
            known.stored && !known.stored->record.created.empty() ? known.stored->record.created : ollama_time({}));
    one.set("size", static_cast<std::int64_t>(known.stored ? known.stored->size : 0));
    one.set("digest", known.stored ? bare(known.stored->digest) : std::string(64, '0'));
    one.set("details", details(known.stored ? &*known.stored : nullptr));
    return one;
}

void tags(Service& service, const RequestPtr& http, const ResponderPtr& responder) {
    ValueList list;
    for (const KnownModel& known : service.pool.known()) {
        if (may_use(http->principal, known)) list.push_back(entry(known));
    }
    send_json(*responder, 200, ValueMap{{"models", std::move(list)}});
}

void ps(Service& service, const RequestPtr& http, const ResponderPtr& responder) {
    ValueList list;
    for (const LoadedInfo& info : service.pool.loaded()) {
        KnownModel known;
        known.name = info.name;
        known.stored = info.served->stored;
        if (!may_use(http->principal, known)) continue;
        ValueMap one = entry(known);
        one.erase("modified_at");
        one.set("size", static_cast<std::int64_t>(info.memory));
        one.set("size_vram", 0);
        // A time that is far away stands for never.
        one.set("expires_at", ollama_time(info.expires.value_or(std::chrono::system_clock::now() +
                                                                std::chrono::hours(24 * 365 * 100))));
        one.set("context_length", info.served->engine ? info.served->engine->context() : 0);
        list.push_back(std::move(one));
    }
    send_json(*responder, 200, ValueMap{{"models", std::move(list)}});
}

// Metadata without the vocabulary, which is megabytes; `verbose` gives that too.
Value model_info(const ModelFiles& files, bool verbose) {
    ValueMap out;
    for (const auto& [key, value] : files.meta()) {
        const bool long_list = value.size() > 64 && value.get<ValueMap>() == nullptr;
        out.set(key, long_list && !verbose ? Value() : value);
    }
    return out;
}

void show(Service& service, const RequestPtr& http, const ResponderPtr& responder) {
    const ValueMap body = read_body(*http);
    const Fields fields(body);
    const KnownModel known = service.pool.resolve(ollama_model(fields));
    if (!may_use(http->principal, known))
        throw RequestError(404, ErrorKind::not_found, fmt::format("There is no model {} here.", known.name));
    const bool verbose = fields.boolean("verbose").value_or(false);
    const fs::path path = known.stored ? service.pool.store().open_path(*known.stored) : known.path;
    const auto files = ModelFiles::open(path);
    const TemplateSources templates = read_templates(*files);
    const auto chat = templates.find("default");
    ValueMap out;
    const ModelRecord record = known.stored ? known.stored->record : ModelRecord{};
    out.set("license", record.licence.id);
    std::string parameters;
    const GenerationDefaults defaults = read_generation_defaults(*files);
    const auto say = [&](const char* name, const auto& value) {
        if (value) parameters += fmt::format("{:<30} {}\n", name, *value);
    };
    say("temperature", defaults.temperature);
    say("top_k", defaults.top_k);
    say("top_p", defaults.top_p);
    say("min_p", defaults.min_p);
    say("repeat_penalty", defaults.repetition_penalty);
    const ValueMap* const created = created_settings(known.stored);
    const auto set = [created](const char* key) { return created == nullptr ? nullptr : created->find(key); };
    if (const Value* own = set("parameters"); own != nullptr && own->get<ValueMap>() != nullptr)
        parameters = parameter_lines(*own->get<ValueMap>());
    out.set("parameters", parameters);
    out.set("template", set("template") != nullptr ? *set("template")
                        : chat == templates.end()  ? Value(std::string())
                                                   : Value(chat->second));
    for (const char* key : {"system", "messages", "license"}) {
        if (const Value* own = set(key)) out.set(key, *own);
    }
    const std::string parent = parent_of(service.pool, http->principal, known);
    out.set("modelfile", modelfile_of(known, parent));
    out.set("details", details(known.stored ? &*known.stored : nullptr, parent));
    out.set("model_info", model_info(*files, verbose));
    ValueList capabilities;
    if (files->architecture().find("bert") != std::string::npos) {
        capabilities.emplace_back("embedding");
    } else {
        capabilities.emplace_back("completion");
        if (chat != templates.end() && chat->second.find("tools") != std::string::npos)
            capabilities.emplace_back("tools");
        if (chat != templates.end() && chat->second.find("think") != std::string::npos)
            capabilities.emplace_back("thinking");
    }
    out.set("capabilities", std::move(capabilities));
    out.set("modified_at", record.created.empty() ? ollama_time({}) : record.created);
    if (verbose) {
        ValueList tensors;
        for (const TensorEntry& t : files->entries()) {
            ValueList shape;
            for (const auto n : t.shape) shape.emplace_back(n);
            tensors.push_back(ValueMap{{"name", t.name}, {"type", t.type_name}, {"shape", std::move(shape)}});
        }
        out.set("tensors", std::move(tensors));
    }
    send_json(*responder, 200, out);
}

void copy(Service& service, const RequestPtr& http, const ResponderPtr& responder) {
    const ValueMap body = read_body(*http);
    const Fields fields(body);
    Store store = service.pool.store();
    const KnownModel from = service.pool.resolve(fields.need_string("source"));
    const Principal& who = http->principal;
    if (!may_use(who, from))
        throw RequestError(404, ErrorKind::not_found, fmt::format("There is no model {} here.", from.name));
    if (!from.stored) fields.fail("source", fmt::format("{} is a file of this machine, no stored model.", from.name));
    const ModelName to = ModelName::parse(fields.need_string("destination"));
    check_new_name(service.pool, who, to, "destination");
    // A copy has the record of what it is a copy of, and with it the tenant.
    if (!may_change(who, from)) {
        throw RequestError(403, ErrorKind::denied,
                           fmt::format("{} belongs to whoever runs this server, and so would its copy.", from.name),
                           "POST /api/create with \"from\" makes a model of your own of it.", "source");
    }
    store.copy(from.stored->name, to, true);
    note_model_change(*responder, "copied", to.str(), from.stored->digest, from.name);
    service.pool.forget_names();
    responder->send(200, {}, "");
}

void remove(Service& service, const RequestPtr& http, const ResponderPtr& responder) {
    const ValueMap body = read_body(*http);
    const KnownModel known = service.pool.resolve(ollama_model(Fields(body)));
    if (!known.stored) {
        throw RequestError(400, ErrorKind::usage,
                           fmt::format("{} is a file that this server was started with.", known.name),
                           "Only stored models can be removed.");
    }
    if (!may_use(http->principal, known) && !may_change(http->principal, known))
        throw RequestError(404, ErrorKind::not_found, fmt::format("There is no model {} here.", known.name));
    if (!may_change(http->principal, known)) {
        throw RequestError(403, ErrorKind::denied,
                           fmt::format("{} belongs to whoever runs this server, and others use it too.", known.name),
                           "A key of the host's tenant may remove it.", "model");
    }
    Store store = service.pool.store();
    // "model+adapter" names the adapter; the model below stays.
    if (known.adapter && known.model_name() != known.name) {
        store.remove(known.adapter->name);
        note_model_change(*responder, "removed", known.adapter->name.str(), known.adapter->digest);
    } else {
        service.pool.unload(known.name);
        store.remove(known.stored->name);
        note_model_change(*responder, "removed", known.stored->name.str(), known.stored->digest);
    }
    service.pool.forget_names();
    responder->send(200, {}, "");
}

// --- pull ---------------------------------------------------------------------------------------------------------

Value status_line(const std::string& status) {
    return ValueMap{{"status", status}};
}

// What a pull tells its client; events come on the puller's thread.
class PullAnswer {
 public:
    // `digests`: of the files whose digest is known beforehand, by name.
    // `pulled`: called with the name when the model is stored, before the client hears of it; it returns its digest.
    // Empty where nothing is fetched.
    PullAnswer(ResponderPtr responder, bool streaming, std::map<std::string, std::string> digests,
               std::function<std::string(const std::string&)> pulled)
        : lines_(std::move(responder)),
          streaming_(streaming),
          digests_(std::move(digests)),
          pulled_(std::move(pulled)) {}

    void take(const PullEvent& event) {
        const std::lock_guard lock(mutex_);
        if (event.finished && event.fault) return lines_.fail(std::make_exception_ptr(*event.fault));
        if (event.finished) {
            if (pulled_) note_model_change(*lines_.responder(), "pulled", event.name, pulled_(event.name));
            if (!streaming_) return send_json(*lines_.responder(), 200, status_line("success"));
            lines_.line(status_line("writing manifest"));
            lines_.line(status_line("success"));
            return lines_.close();
        }
        if (!streaming_) return;
        // Enough for a bar that moves: a new file, a percent more, or the end.
        const std::uint64_t step = std::max<std::uint64_t>(event.total / 100, 1);
        if (event.what == what_ && event.done < done_ + step && event.done != event.total) return;
        what_ = event.what;
        done_ = event.done;
        ValueMap line{{"status", event.what}};
        constexpr std::string_view kPulling = "pulling ";
        if (event.what.starts_with(kPulling)) {
            if (const auto known = digests_.find(event.what.substr(kPulling.size())); known != digests_.end()) {
                line.set("status", fmt::format("pulling {}", known->second.substr(0, 12)));
                line.set("digest", "sha256:" + known->second);
            }
        }
        if (event.total > 0) {
            line.set("total", static_cast<std::int64_t>(event.total));
            line.set("completed", static_cast<std::int64_t>(std::min(event.done, event.total)));
        }
        lines_.line(line);
    }
    void begin() {
        const std::lock_guard lock(mutex_);
        if (streaming_) lines_.line(status_line("pulling manifest"));
    }

 private:
    std::mutex mutex_;
    LineStream lines_;
    const bool streaming_;
    const std::map<std::string, std::string> digests_;
    const std::function<std::string(const std::string&)> pulled_;
    std::string what_;
    std::uint64_t done_ = 0;
};

// Digests of the catalogue, by the names under which progress tells of files: the last part of each path.
std::map<std::string, std::string> known_digests(const fs::path& home, const std::string& name) {
    std::map<std::string, std::string> digests;
    const Catalogue catalogue = Catalogue::load(home);
    const CatalogueEntry* entry = catalogue.find(name);
    if (entry == nullptr) return digests;
    for (const CatalogueFile& file : entry->files) {
        if (!file.sha256.empty()) digests[fs::path(file.path).filename().string()] = file.sha256;
    }
    return digests;
}

// What the name of a catalogue's entry or of a model means for a pull. A source's name is known once it is read; the
// puller asks then.
void check_wish(const Service& service, const std::string& wish) {
    const Store store = service.pool.store();
    const Catalogue catalogue = Catalogue::load(store.home());
    if (const CatalogueEntry* const entry = catalogue.find(wish))
        return check_pulled_name(store, ModelName::parse(entry->name));
    try {
        check_pulled_name(store, ModelName::parse(wish));
    } catch (const RequestError&) {
        throw;
    } catch (const Error&) {
        return;  // no name, but a source
    }
}

void pull(Service& service, const RequestPtr& http, const ResponderPtr& responder) {
    const ValueMap body = read_body(*http);
    const Fields fields(body);
    const std::string name = ollama_model(fields);
    const bool streaming = fields.boolean("stream").value_or(true);
    if (fields.boolean("insecure").value_or(false))
        fields.fail("insecure", "insecure is set: models are fetched over verified connections only.");
    std::function<std::string(const std::string&)> pulled;
    if (service.puller != nullptr)
        pulled = [&service](const std::string& full) {
            try {
                const auto stored = service.pool.store().find(ModelName::parse(full));
                return stored ? stored->digest : std::string();
            } catch (const Error&) {
                return std::string();
            }
        };
    auto answer =
        std::make_shared<PullAnswer>(responder, streaming, known_digests(service.pool.store().home(), name), pulled);
    if (service.puller == nullptr) {
        // A model that is here needs no fetching, and many clients pull before they ask.
        std::string full;
        try {
            full = service.pool.resolve(name).name;
        } catch (const Error&) {
            throw RequestError(
                403, ErrorKind::denied,
                fmt::format("{} is not on this machine, and this server fetches nothing.", name),
                fmt::format("On the machine: freehold pull {}. Or start the server with --pull-hosts.", name));
        }
        PullEvent done;
        done.finished = true;
        done.name = full;
        return answer->take(done);
    }
    check_wish(service, name);
    answer->begin();
    // Letting go of the handle stops the pull; a client that has gone lets go.
    auto running = service.puller->start(name, [answer](const PullEvent& event) { answer->take(event); });
    responder->on_gone([running = std::move(running)]() mutable { running.reset(); });
    responder->note("pull", Value(name));
}

void push(Service&, const RequestPtr&, const ResponderPtr&) {
    throw RequestError(501, ErrorKind::unsupported, "This server sends no models to others.",
                       "A stored model is an OCI image layout: copy its folder, or use `freehold cp`.");
}

}  // namespace

std::vector<Route> ollama_models_routes(Service& service) {
    const auto bind = [&service](auto function) {
        return [&service, function](const RequestPtr& http, const ResponderPtr& responder) {
            function(service, http, responder);
        };
    };
    constexpr const char* kModel = R"json({"type": "object", "properties": {"model": {"type": "string"},
 "name": {"type": "string"}, "verbose": {"type": "boolean"}, "stream": {"type": "boolean"}}})json";
    constexpr const char* kCopy = R"json({"type": "object", "required": ["source", "destination"],
 "properties": {"source": {"type": "string"}, "destination": {"type": "string"}}})json";
    constexpr const char* kCreate = R"json({"type": "object", "properties": {"model": {"type": "string"},
 "from": {"type": "string"}, "files": {"type": "object", "additionalProperties": {"type": "string"}},
 "quantize": {"type": "string"}, "stream": {"type": "boolean"},
 "adapters": {"type": "object", "additionalProperties": {"type": "string"}}, "template": {"type": "string"},
 "system": {"type": "string"}, "parameters": {"type": "object", "additionalProperties": false, "properties": {
   "temperature": {"type": "number", "minimum": 0, "maximum": 100}, "top_p": {"type": "number", "minimum": 0, "maximum": 1},
   "top_k": {"type": "integer", "minimum": -1, "maximum": 1073741824},
   "min_p": {"type": "number", "minimum": 0, "maximum": 1}, "typical_p": {"type": "number", "minimum": 0, "maximum": 1},
   "repetition_penalty": {"type": "number", "minimum": 0.01, "maximum": 100},
   "repeat_penalty": {"type": "number", "minimum": 0.01, "maximum": 100},
   "presence_penalty": {"type": "number", "minimum": -100, "maximum": 100},
   "frequency_penalty": {"type": "number", "minimum": -100, "maximum": 100},
   "repeat_last_n": {"type": "integer", "minimum": -1, "maximum": 1073741824},
   "penalty_last_n": {"type": "integer", "minimum": -1, "maximum": 1073741824}, "seed": {"type": "integer"},
   "stop": {"oneOf": [{"type": "string"}, {"type": "array", "maxItems": 64, "items": {"type": "string"}}]},
   "num_predict": {"type": "integer", "minimum": -2, "maximum": 1073741824},
   "num_ctx": {"type": "integer", "minimum": 0, "maximum": 1073741824},
   "top_n_sigma": {"type": "number", "minimum": -1, "maximum": 1000000},
   "xtc_probability": {"type": "number", "minimum": 0, "maximum": 1},
   "xtc_threshold": {"type": "number", "minimum": 0, "maximum": 1},
   "dry_multiplier": {"type": "number", "minimum": 0, "maximum": 1000000},
   "dry_base": {"type": "number", "minimum": 1, "maximum": 1000000},
   "dry_allowed_length": {"type": "integer", "minimum": 0, "maximum": 1073741824},
   "dry_penalty_last_n": {"type": "integer", "minimum": -1, "maximum": 1073741824},
   "dry_sequence_breakers": {"type": "array", "maxItems": 64, "items": {"type": "string"}},
   "dynatemp_range": {"type": "number", "minimum": 0, "maximum": 1000000},
   "dynatemp_exponent": {"type": "number", "minimum": 0, "maximum": 1000000}, "mirostat": {"enum": [0, 2]},
   "mirostat_tau": {"type": "number", "minimum": 0, "maximum": 1000000},
   "mirostat_eta": {"type": "number", "minimum": 0, "maximum": 1000000},
   "min_keep": {"type": "integer", "minimum": 0, "maximum": 1073741824},
   "samplers": {"type": "array", "maxItems": 32, "items": {"type": "string"}},
   "num_keep": {"type": "integer"}, "num_batch": {"type": "integer"}, "num_gpu": {"type": "integer"},
   "num_thread": {"type": "integer"}, "main_gpu": {"type": "integer"}, "num_gqa": {"type": "integer"},
   "draft_num_predict": {"type": "integer"}, "low_vram": {"type": "boolean"}, "f16_kv": {"type": "boolean"},
   "logits_all": {"type": "boolean"}, "vocab_only": {"type": "boolean"}, "use_mmap": {"type": "boolean"},
   "use_mlock": {"type": "boolean"}, "numa": {"type": "boolean"}, "penalize_newline": {"type": "boolean"}}}, "license": {"type": ["string", "array"]},
 "messages": {"type": "array", "items": {"type": "object"}}}})json";
    std::vector<Route> rows = {
        ollama_row("GET", "/api/version", Role::everyone, "The version", "",
                   [&service](const RequestPtr&, const ResponderPtr& responder) {
                       send_json(*responder, 200, ValueMap{{"version", service.version}});
                   }),
        ollama_row("GET", "/api/tags", Role::user, "The models that are here", "", bind(tags)),
        ollama_row("GET", "/api/ps", Role::user, "The models that are loaded", "", bind(ps)),
        ollama_row("POST", "/api/show", Role::user, "One model", kModel, bind(show)),
        ollama_row("POST", "/api/copy", Role::operator_, "A second name for a model", kCopy, bind(copy)),
        ollama_row("DELETE", "/api/delete", Role::operator_, "Remove a model", kModel, bind(remove)),
        ollama_row("POST", "/api/pull", Role::operator_, "Fetch a model", kModel, bind(pull)),
        ollama_row("POST", "/api/push", Role::operator_, "Not offered", kModel, bind(push)),
        ollama_row("POST", "/api/create", Role::operator_, "Make a model of another or of a file", kCreate,
                   bind(ollama_create)),
    };
    for (Route& row : ollama_blob_routes(service)) rows.push_back(std::move(row));
    return rows;
}

}  // namespace freehold::server
