// freehold show: what a model is, from its own files and from what the store wrote down.
#include <fmt/format.h>

#include <algorithm>

#include "../console.h"
#include "../memory_estimate.h"
#include "../model_json.h"
#include "../pull_flow.h"
#include "../scan_flow.h"
#include "../session.h"
#include "freehold/base/hash.h"
#include "freehold/formats/adapter_files.h"
#include "verbs.h"

namespace freehold::cli {
namespace {

struct Options {
    std::string model;
    bool json = false, print_template = false, print_path = false, tensors = false, keys = false;
};

struct Shown {
    LocatedModel located;
    std::shared_ptr<const ModelFiles> files;
    std::shared_ptr<const Tokenizer> tokenizer;  // null: none, or of a kind that this build does not read
    std::string tokenizer_fault;
    TemplateSources templates;
    std::optional<DecoderSpec> spec;
    std::string spec_fault;
    Licence licence;
    Profile profile = Profile::f32;
    KvType kv = KvType::F16;
    MemoryEstimate memory;
    std::uint64_t panel_bytes = 0;  // on disk, beside the files
};

Licence licence_of(const Shown& s) {
    if (s.located.stored && !s.located.stored->record.licence.id.empty()) return s.located.stored->record.licence;
    if (const Value* id = find(s.files->meta(), "general.license"); id != nullptr && id->as_string())
        return classify_licence(*id->as_string());
    return {};
}

Shown look(const std::string& model) {
    Shown s;
    const Store store = Store::open();
    s.located = locate_model(store, model);
    if (s.located.stored) s.panel_bytes = store.panel_bytes(*s.located.stored);
    s.files = ModelFiles::open(s.located.path);
    s.templates = read_templates(*s.files);
    // What a part of the model lacks is told, and the rest is shown all the same.
    try {
        s.tokenizer = read_tokenizer(*s.files);
    } catch (const Error& error) {
        s.tokenizer_fault = error.message();
    }
    if (!s.files->tensors().empty()) {
        try {
            s.spec = read_spec(*s.files);
            s.profile = default_profile(*s.files);
            s.kv = default_kv(s.profile);
            s.memory = estimate_memory(*s.files, *s.spec, s.profile, s.kv);
        } catch (const Error& error) {
            s.spec_fault = error.message();
        }
    }
    s.licence = licence_of(s);
    return s;
}

std::uint64_t parameters_of(const Shown& s) {
    std::uint64_t total = 0;
    for (const auto& [name, count] : count_dtypes(*s.files)) total += count.parameters;
    return total;
}

// What one token is computed with: of each layer's experts only those that it chooses.
std::uint64_t active_parameters_of(const Shown& s) {
    if (!s.spec || s.spec->routing.n_experts == 0) return parameters_of(s);
    const auto n = static_cast<std::uint64_t>(s.spec->routing.n_experts);
    const std::uint64_t idle =
        expert_parameters(*s.spec) / n * (n - static_cast<std::uint64_t>(s.spec->routing.n_used));
    return parameters_of(s) - idle;
}

std::string token_text(const Tokenizer& tokenizer, std::optional<std::int32_t> id) {
    return id ? fmt::format("{} ({})", *id, tokenizer.token(*id).text) : "none";
}

void add_architecture(Facts& facts, const Shown& s) {
    facts.add("architecture", s.files->architecture().empty() ? "not named" : s.files->architecture());
    facts.add("container", container_name(s.files->container()));
    if (s.files->tensors().empty()) {
        facts.add("weights", "none: this file holds a vocabulary only");
        return;
    }
    if (s.spec && s.spec->routing.n_experts > 0) {
        facts.add("parameters",
                  fmt::format("{}, {} of them for one token ({} of {} experts)", human_count(parameters_of(s)),
                              human_count(active_parameters_of(s)), s.spec->routing.n_used, s.spec->routing.n_experts));
    } else {
        facts.add("parameters", human_count(parameters_of(s)));
    }
    for (const auto& [name, count] : count_dtypes(*s.files)) {
        facts.add(name, fmt::format("{} tensor{}, {} parameters, {}", count.tensors, count.tensors == 1 ? "" : "s",
                                    human_count(count.parameters), human_bytes(count.bytes)));
    }
    if (!s.spec) {
        facts.add("runs", "no: " + s.spec_fault);
        return;
    }
    const DecoderSpec& spec = *s.spec;
    facts.add("context", fmt::format("{} tokens", with_thousands(static_cast<std::uint64_t>(spec.context))));
    facts.add("layers", fmt::format("{} of width {}, MLP {}", spec.n_layers, spec.d_model, spec.d_ff));
    if (spec.encoder)
        facts.add("encoder", fmt::format("{} layers, MLP {}; translates (`freehold translate`)", spec.encoder->n_layers,
                                         spec.encoder->d_ff));
    if (!spec.layers.empty()) {
        const auto windows = std::ranges::count_if(spec.layers, [](const LayerSpec& l) { return l.window > 0; });
        std::string heads = fmt::format("{} of width {}, {} for keys and values", spec.n_heads, spec.head_dim,
                                        spec.layers.front().n_kv_heads);
        if (const LatentSpec& latent = spec.latent; latent.kv_rank > 0)
            heads = fmt::format("{} of width {}, over one latent of {} and {} rotated numbers", spec.n_heads,
                                latent.nope + latent.rope, latent.kv_rank, latent.rope);
        if (windows > 0) {
            const auto first = std::ranges::find_if(spec.layers, [](const LayerSpec& l) { return l.window > 0; });
            heads += fmt::format("; {} layers see {} tokens back", windows, first->window);
        }
        facts.add("heads", heads);
    }
}

void add_text(Facts& facts, const Shown& s) {
    if (s.tokenizer) {
        facts.add("tokenizer", fmt::format("{}{}, {} tokens", s.tokenizer->kind(),
                                           s.tokenizer->pre().empty() ? "" : fmt::format(" ({})", s.tokenizer->pre()),
                                           with_thousands(static_cast<std::uint64_t>(s.tokenizer->size()))));
        facts.add("begins with",
                  s.tokenizer->adds_bos() ? token_text(*s.tokenizer, s.tokenizer->bos()) : "nothing added");
        std::string stops;
        for (const auto id : s.tokenizer->stop_ids())
            stops += (stops.empty() ? "" : ", ") + token_text(*s.tokenizer, id);
        facts.add("ends with", stops.empty() ? "nothing" : stops);
    } else {
        facts.add("tokenizer", s.tokenizer_fault.empty() ? "none in these files" : s.tokenizer_fault);
    }
    std::string names;
    for (const auto& [name, source] : s.templates)
        names += fmt::format("{}{} ({} bytes)", names.empty() ? "" : ", ", name, source.size());
    facts.add("chat template", !names.empty()              ? names
                               : s.spec && s.spec->encoder ? "none: it translates"
                                                           : "none: a base model, it completes text");
}

void add_origin(Facts& facts, const Shown& s) {
    facts.add("licence", licence_line(s.licence));
    if (s.located.stored) {
        const StoredModel& model = *s.located.stored;
        facts.add("came from", model.record.source +
                                   (model.record.source_revision.empty() ? "" : " at " + model.record.source_revision));
        facts.add("added", fmt::format("{} ({})", age_of(model.record.created), model.record.created));
        facts.add("scanned", scan_line(model.record));
        facts.add("version", model.digest);
        for (const auto& parent : model.record.parents) facts.add("made from", parent);
        for (const StoredFile& file : model.files) {
            facts.add("file", fmt::format("{}  {}  {}{}", file.path, human_bytes(file.size), file.digest,
                                          file.linked_at ? "  used in place: " + file.linked_at->string() : ""));
        }
    } else {
        for (const auto& file : s.files->files()) {
            std::error_code ignored;
            facts.add("file",
                      fmt::format("{}  {}", file.string(), human_bytes(std::filesystem::file_size(file, ignored))));
        }
    }
}

void add_memory(Facts& facts, const Shown& s) {
    facts.add("profile", fmt::format("{}, keys and values in {}", profile_name(s.profile), kv_name(s.kv)));
    facts.add("weights", fmt::format("{} mapped; {} repacked for speed (--no-repack: none)",
                                     human_bytes(s.memory.weights), human_bytes(s.memory.panels)));
    if (s.located.stored) {
        facts.add("panels", s.panel_bytes > 0 ? fmt::format("{} on disk, in addition to the file: mapped at each start",
                                                            human_bytes(s.panel_bytes))
                                              : "none on disk: the weights are repacked at each start");
    }
    facts.add("cache", fmt::format("{} for 1,000 tokens, {} for one full context",
                                   human_bytes(s.memory.kv_per_1k_tokens), human_bytes(s.memory.kv_full_context)));
}

ValueMap to_value(const Shown& s) {
    ValueMap map;
    map.set("model", s.located.stored ? s.located.stored->name.str() : s.located.path.string());
    map.set("architecture", s.files->architecture());
    map.set("container", std::string(container_name(s.files->container())));
    map.set("parameters", parameters_of(s));
    map.set("active_parameters", active_parameters_of(s));
    ValueMap dtypes;
    for (const auto& [name, count] : count_dtypes(*s.files)) {
        ValueMap entry;
        entry.set("tensors", count.tensors);
        entry.set("parameters", count.parameters);
        entry.set("bytes", count.bytes);
        dtypes.set(name, std::move(entry));
    }
    map.set("dtypes", std::move(dtypes));
    if (s.spec) {
        map.set("context", std::int64_t{s.spec->context});
        map.set("layers", std::int64_t{s.spec->n_layers});
        map.set("width", std::int64_t{s.spec->d_model});
        map.set("mlp_width", std::int64_t{s.spec->d_ff});
        map.set("heads", std::int64_t{s.spec->n_heads});
        map.set("head_width", std::int64_t{s.spec->head_dim});
        map.set("kv_heads", std::int64_t{s.spec->layers.empty() ? 0 : s.spec->layers.front().n_kv_heads});
        ValueMap memory;
        memory.set("profile", std::string(profile_name(s.profile)));
        memory.set("kv", std::string(kv_name(s.kv)));
        memory.set("weight_bytes", s.memory.weights);
        memory.set("panel_bytes", s.memory.panels);
        memory.set("cache_bytes_per_1k_tokens", s.memory.kv_per_1k_tokens);
        memory.set("cache_bytes_full_context", s.memory.kv_full_context);
        map.set("memory", std::move(memory));
    } else if (!s.spec_fault.empty()) {
        map.set("cannot_run", s.spec_fault);
    }
    if (s.tokenizer) {
        ValueMap tokenizer;
        tokenizer.set("kind", std::string(s.tokenizer->kind()));
        tokenizer.set("pre", std::string(s.tokenizer->pre()));
        tokenizer.set("size", std::int64_t{s.tokenizer->size()});
        tokenizer.set("adds_bos", s.tokenizer->adds_bos());
        tokenizer.set("bos", s.tokenizer->bos() ? Value(std::int64_t{*s.tokenizer->bos()}) : Value());
        tokenizer.set("stop_ids", std::vector<std::int32_t>(s.tokenizer->stop_ids()));
        map.set("tokenizer", std::move(tokenizer));
    }
    ValueMap templates;
    for (const auto& [name, source] : s.templates) templates.set(name, source);
    map.set("templates", std::move(templates));
    map.set("licence", licence_json(s.licence));
    if (s.located.stored) {
        map.set("stored", stored_model_json(*s.located.stored));
        map.set("panel_bytes_on_disk", s.panel_bytes);
    } else {
        ValueList files;
        for (const auto& file : s.files->files()) {
            std::error_code ignored;
            ValueMap entry;
            entry.set("path", file.string());
            entry.set("bytes", std::uint64_t{std::filesystem::file_size(file, ignored)});
            entry.set("digest", "sha256:" + sha256_file(file));
            files.emplace_back(std::move(entry));
        }
        map.set("files", std::move(files));
    }
    return map;
}

// Long values (vocabularies) are cut: their place is `tokenize`.
std::string brief_value(const Value& value) {
    constexpr int kWidth = 100;
    if (value.size() > 16) return fmt::format("[{} values]", with_thousands(value.size()));
    std::string text = value.as_string() ? std::string(*value.as_string()) : to_json(value);
    std::ranges::replace(text, '\n', ' ');
    return shortened(text, kWidth);
}

void print_tensors(const Shown& s, bool json) {
    if (json) {
        ValueList list;
        for (const auto& [name, tensor] : s.files->tensors()) {
            ValueMap entry;
            entry.set("name", name);
            entry.set("dtype", std::string(dtype_name(tensor.dtype())));
            ValueList shape;
            for (int i = 0; i < tensor.shape().rank(); ++i) shape.emplace_back(std::int64_t{tensor.shape()[i]});
            entry.set("shape", std::move(shape));
            entry.set("bytes", std::uint64_t{tensor.nbytes()});
            list.emplace_back(std::move(entry));
        }
        out(to_json(Value(std::move(list)), 2) + "\n");
        return;
    }
    Table table({{"TENSOR"}, {"DTYPE"}, {"SHAPE"}, {"BYTES", true, true}});
    for (const auto& [name, tensor] : s.files->tensors()) {
        table.add(
            {name, std::string(dtype_name(tensor.dtype())), tensor.shape().str(), with_thousands(tensor.nbytes())});
    }
    out(table.str(stdout_is_terminal() ? terminal_width() : 0));
}

// An adapter has no tokenizer and no blueprint of its own: what it changes, and of what.
int show_adapter(const LocatedModel& located, const Options& o) {
    const auto files = AdapterFiles::open(located.path);
    const int width = stdout_is_terminal() ? terminal_width() : 0;
    const std::string name = located.stored ? located.stored->name.str() : located.path.string();
    if (o.print_template)
        throw Error(ErrorKind::not_found, fmt::format("{} is an adapter; its model has the chat template.", name));
    if (o.keys || o.json) {
        ValueMap map;
        map.set("adapter", name);
        map.set("form", files->form() == AdapterForm::peft ? "peft" : "gguf");
        map.set("architecture", files->architecture());
        map.set("base", files->base());
        map.set("rank", files->largest_rank());
        map.set("parameters", files->n_params());
        map.set("digest", files->digest());
        if (located.stored) map.set("stored", stored_model_json(*located.stored));
        out(to_json(o.keys ? Value(files->meta()) : Value(std::move(map)), 2) + "\n");
        return 0;
    }
    if (o.tensors) {
        Table table({{"CHANGES"}, {"A"}, {"B"}, {"SCALE", true}});
        for (const auto& [stem, pair] : files->pairs())
            table.add({stem, pair.a.shape().str(), pair.b.shape().str(), fmt::format("{:.6g}", pair.scale)});
        out(table.str(width));
        return 0;
    }
    Facts facts;
    facts.heading(name);
    facts.add("what", "an adapter of low rank (LoRA): freehold run MODEL+ADAPTER");
    facts.add("form", files->form() == AdapterForm::peft ? "PEFT folder" : "GGUF");
    facts.add("changes", fmt::format("{} linears, rank {} at most, {} parameters", files->pairs().size(),
                                     files->largest_rank(), human_count(files->n_params())));
    facts.add("made for", files->base().empty() ? "its files do not say" : files->base());
    if (located.stored) {
        const StoredModel& model = *located.stored;
        facts.add("licence", licence_line(model.record.licence));
        facts.add("came from", model.record.source);
        facts.add("added", fmt::format("{} ({})", age_of(model.record.created), model.record.created));
        facts.add("scanned", scan_line(model.record));
        facts.add("version", model.digest);
        for (const auto& parent : model.record.parents) facts.add("made from", parent);
    }
    out(facts.str(width));
    return 0;
}

int show_verb(const Options& o) {
    if (o.print_path) {
        out(locate_model(Store::open(), o.model).path.string() + "\n");
        return 0;
    }
    if (const LocatedModel located = locate_model(Store::open(), o.model); AdapterFiles::is_one(located.path))
        return show_adapter(located, o);
    const Shown s = look(o.model);
    const int width = stdout_is_terminal() ? terminal_width() : 0;
    if (o.print_template) {
        const auto found = s.templates.find("default");
        if (found == s.templates.end()) {
            throw Error(ErrorKind::not_found, fmt::format("{} has no chat template.", o.model),
                        "It is a base model: `freehold run` completes text with it.");
        }
        out(found->second + (found->second.ends_with('\n') ? "" : "\n"));
    } else if (o.tensors) {
        print_tensors(s, o.json);
    } else if (o.keys) {
        if (o.json) {
            out(to_json(Value(s.files->meta()), 2) + "\n");
        } else {
            Facts facts;
            for (const auto& [key, value] : s.files->meta()) facts.add(key, brief_value(value));
            out(facts.str(width));
        }
    } else if (o.json) {
        out(to_json(Value(to_value(s)), 2) + "\n");
    } else {
        Facts facts;
        facts.heading(s.located.stored ? s.located.stored->name.str() : s.located.path.string());
        if (s.located.stored && !s.located.stored->record.description.empty())
            facts.add("what", s.located.stored->record.description);
        add_architecture(facts, s);
        facts.heading("Text");
        add_text(facts, s);
        if (s.spec) {
            facts.heading("Memory");
            add_memory(facts, s);
        }
        facts.heading("Origin");
        add_origin(facts, s);
        out(facts.str(width));
    }
    return 0;
}

}  // namespace

Action setup_show(CLI::App& app) {
    auto o = std::make_shared<Options>();
    app.add_option("MODEL", o->model, "A stored name, or a path")->required()->type_name("MODEL");
    app.add_flag("--template", o->print_template, "Print the chat template and nothing else");
    app.add_flag("--path", o->print_path, "Print where the model lies on disk and nothing else");
    app.add_flag("--tensors", o->tensors, "List the tensors");
    app.add_flag("--keys", o->keys, "List the metadata of the file");
    add_json_flag(app, o->json);
    app.footer(
        "Examples\n  freehold show smollm2:135m\n  freehold show ./model.gguf --tensors\n  freehold show smollm2:135m "
        "--json");
    return [o] { return show_verb(*o); };
}

}  // namespace freehold::cli
