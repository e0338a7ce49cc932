// Making a model of another or of blobs: what is new goes into the store as files, the rest into its record.
#include "ollama_create.h"

#include <fmt/format.h>

#include <algorithm>
#include <map>

#include "common.h"
#include "created_model.h"
#include "freehold/base/file.h"
#include "freehold/formats/adapter_files.h"
#include "freehold/formats/quantise.h"
#include "freehold/models/adapt.h"
#include "freehold/server/owner.h"
#include "freehold/text/chat_template.h"
#include "go_template.h"
#include "ollama.h"
#include "ollama_blobs.h"

namespace freehold::server {
namespace {

namespace fs = std::filesystem;

// A folder of its own under the store that goes away again.
class WorkFolder {
 public:
    explicit WorkFolder(const Store& store) : path_(store.partial_dir() / "uploads" / fresh_id("create-")) {
        fs::create_directories(path_);
    }
    ~WorkFolder() {
        std::error_code ignored;
        fs::remove_all(path_, ignored);
    }
    WorkFolder(const WorkFolder&) = delete;
    WorkFolder& operator=(const WorkFolder&) = delete;
    [[nodiscard]] const fs::path& path() const noexcept { return path_; }

 private:
    fs::path path_;
};

// What is wrong with what a client sent is the client's to mend, under the name that he gave it: 400, and no path of
// this machine.
template <typename Do>
auto as_sent(const char* field, const fs::path& path, const std::string& name, Do&& act) {
    try {
        return act();
    } catch (const RequestError&) {
        throw;
    } catch (const Error& e) {
        const bool of_client = e.kind() == ErrorKind::bad_file || e.kind() == ErrorKind::unsupported ||
                               e.kind() == ErrorKind::usage || e.kind() == ErrorKind::limit;
        if (!of_client) throw;
        const auto told = [&](std::string text) {
            const std::string at = path.string();
            for (std::size_t i = text.find(at); !at.empty() && i != std::string::npos; i = text.find(at, i))
                text.replace(i, at.size(), name);
            return text;
        };
        throw RequestError(400, e.kind(), told(e.message()), told(e.hint()), field);
    }
}

fs::path blob_at(const Store& store, const Principal& who, const Fields& fields, const char* field,
                 const Value& digest) {
    const auto text = digest.as_string();
    if (!text) fields.fail(field, fmt::format("{} maps names of files to digests of blobs.", field));
    const std::string whole = blob_digest(*text);
    const std::optional<fs::path> at = blob_for(store, who, whole);
    if (!at) fields.fail(field, fmt::format("The blob {} has not been sent.", whole), "POST /api/blobs/DIGEST first.");
    return *at;
}

// The files of `field` under their names in `folder`.
std::vector<NewFile> lay_out(const Store& store, const Principal& who, const Fields& fields, const char* field,
                             const ValueMap& files, const fs::path& folder, std::vector<fs::path>& uploads) {
    std::vector<NewFile> out;
    for (const ValueEntry& e : files) {
        const std::string leaf = fs::path(e.key).filename().string();
        const bool control = std::ranges::any_of(leaf, [](unsigned char c) { return c < 0x20 || c == 0x7f; });
        if (leaf.empty() || leaf.starts_with('.') || leaf != e.key || control)
            fields.fail(field, fmt::format("{} names a file \"{}\", which is no plain name.", field, e.key));
        const fs::path from = blob_at(store, who, fields, field, e.value);
        std::error_code ec;
        fs::create_hard_link(from, folder / leaf, ec);
        if (ec) fs::copy_file(from, folder / leaf);
        out.push_back({leaf, folder / leaf, {}, NewFile::How::move, false});
        if (from == upload_path(store, who.tenant, "sha256:" + from.filename().string())) uploads.push_back(from);
    }
    return out;
}

void describe(const ModelFiles& files, ModelRecord& record) {
    record.architecture = files.architecture();
    record.container = container_name(files.container());
    record.parameters = 0;
    std::map<std::string, std::uint64_t> weights;
    for (const TensorEntry& t : files.entries()) {
        std::uint64_t count = 1;
        for (const auto n : t.shape) count *= static_cast<std::uint64_t>(n);
        record.parameters += count;
        weights[t.type_name] += count;
    }
    const auto most = std::ranges::max_element(weights, {}, [](const auto& w) { return w.second; });
    if (most != weights.end()) record.quantisation = most->first;
    for (const std::string& key : {record.architecture + ".context_length", std::string("max_position_embeddings")}) {
        if (const Value* context = find(files.meta(), key))
            record.context = static_cast<std::uint64_t>(std::max<std::int64_t>(context->as_int().value_or(0), 0));
    }
    if (const Value* licence = find(files.meta(), "general.license"); licence != nullptr && licence->as_string())
        record.licence = classify_licence(*licence->as_string());
}

// system, template, parameters, messages, license over what the model it is made of was created with.
ValueMap read_settings(const Fields& fields, ValueMap settings) {
    if (const auto system = fields.string("system"); system && system->empty()) {
        settings.erase("system");  // the empty text takes away what the model below was created with
    } else if (system) {
        settings.set("system", *system);
    }
    if (const auto text = fields.string("template"); text && !text->empty()) {
        const std::string jinja =
            as_sent("template", {}, {}, [&] { return looks_like_jinja(*text) ? *text : jinja_from_go(*text); });
        as_sent("template", {}, {}, [&] { static_cast<void>(ChatTemplate::parse(jinja)); });
        settings.set("template", *text);
        settings.set("jinja", jinja);
    }
    if (const ValueMap* parameters = fields.object("parameters"); parameters != nullptr && !parameters->empty()) {
        check_parameters(*parameters);
        ValueMap all;
        if (const Value* before = settings.find("parameters"); before != nullptr && before->get<ValueMap>() != nullptr)
            all = *before->get<ValueMap>();
        for (const ValueEntry& e : *parameters) all.set(e.key, e.value);
        settings.set("parameters", std::move(all));
    }
    if (const ValueList* messages = fields.list("messages"); messages != nullptr && !messages->empty()) {
        for (std::size_t i = 0; i < messages->size(); ++i) {
            const std::string path = fmt::format("messages[{}]", i);
            const auto* message = (*messages)[i].get<ValueMap>();
            if (message == nullptr) fields.fail(path, fmt::format("{} is no object.", path));
            const Fields m(*message, path);
            static_cast<void>(m.need_string("role"));
            static_cast<void>(m.need_string("content"));
        }
        settings.set("messages", *messages);
    }
    if (const Value* licence = fields.find("license"); licence != nullptr) {
        static_cast<void>(fields.strings("license", 64));
        if (!licence->as_string() || !licence->as_string()->empty()) settings.set("license", *licence);
    }
    return settings;
}

class Creating {
 public:
    Creating(Service& service, const Principal& who, const Fields& fields, std::function<void(const std::string&)> tell)
        : service_(service),
          store_(service.pool.store()),
          who_(who),
          fields_(fields),
          tell_(std::move(tell)),
          work_(store_) {}

    // The name and the digest of what was made.
    std::pair<std::string, std::string> run() {
        name_ = ModelName::parse(ollama_model(fields_));
        check_new_name(service_.pool, who_, name_, "model");
        if (const auto text = fields_.string("modelfile"); text && !text->empty())
            fields_.fail("modelfile", "modelfile is given: it is read by Ollama's own program.",
                         "Send from, system, template, parameters and adapters as fields of their own.");
        // What is wrong with the request is said before the first line, while there is a status to say it with.
        static_cast<void>(read_settings(fields_, {}));
        take_base();
        settings_ = read_settings(fields_, std::move(settings_));
        quantise();
        if (files_.empty()) {
            throw RequestError(400, ErrorKind::unsupported,
                               fmt::format("This model is no GGUF file, but {}.", record_.container),
                               "Make a GGUF file of it with quantize, or add it on the machine with freehold pull.");
        }
        if (const ValueMap* adapters = fields_.object("adapters"); adapters != nullptr && !adapters->empty())
            add_adapter(*adapters);
        record_.extra.erase("created");
        if (!settings_.empty()) record_.extra.set("created", settings_);
        tell_("writing manifest");
        own(record_);
        const StoredModel made = store_.add(name_, files_, record_);
        service_.pool.forget_names();
        // What was sent is in the store now. Before that a client may try again.
        std::error_code ignored;
        for (const fs::path& upload : uploads_) fs::remove(upload, ignored);
        return {name_.str(), made.digest};
    }

 private:
    // What a key of another tenant than the host's makes belongs to that tenant.
    void own(ModelRecord& record) const {
        record.extra.erase("tenant");
        if (!is_host(who_.tenant)) record.extra.set("tenant", who_.tenant);
    }

    void take_base() {
        record_.source = "api/create";
        if (const ValueMap* files = fields_.object("files"); files != nullptr && !files->empty()) {
            files_ = lay_out(store_, who_, fields_, "files", *files, work_.path(), uploads_);
            tell_("parsing GGUF");
            // Clients name the one file as it is called on their disk.
            at_ = files_.size() == 1 ? files_.front().at : work_.path();
            as_sent("files", at_, files_.size() == 1 ? files_.front().path : "The model",
                    [&] { describe(*ModelFiles::open(at_), record_); });
            vet(name_, files_, record_);
            if (files_.size() == 1) keep_one_file();
            return;
        }
        const std::string name = fields_.need_string("from");
        check_use(service_.pool, name, who_.tenant, who_.models);
        const KnownModel from = service_.pool.resolve(name);
        if (!from.stored) {
            at_ = from.path;
            files_ = {{"model.gguf", at_, {}, NewFile::How::copy, false}};
            describe(*ModelFiles::open(at_), record_);
            record_.extra.set("from", from.name);
            return keep_one_file();
        }
        tell_("using existing layer");
        at_ = store_.open_path(*from.stored);
        record_ = from.stored->record;
        record_.source = "api/create";
        record_.source_revision.clear();
        record_.created.clear();
        record_.parents = {from.stored->digest};
        record_.extra.erase("catalogue");
        record_.extra.erase("relation");
        record_.extra.set("from", from.name);
        if (const ValueMap* before = created_settings(from.stored)) settings_ = *before;
        if (from.adapter) settings_.set("adapter", from.adapter->name.str());
        for (const StoredFile& f : from.stored->files) {
            files_.push_back({f.path, store_.file_path(f), f.digest,
                              f.linked_at ? NewFile::How::link : NewFile::How::copy, !f.linked_at.has_value()});
        }
    }

    // What clients sent is looked at like what is pulled. Of a refused one nothing can be used again.
    void vet(const ModelName& name, const std::vector<NewFile>& files, ModelRecord& record) {
        if (!service_.vet) return;
        tell_("looking for hostile content");
        FetchedModel model{name, "api/create " + name.str(), {}};
        for (const NewFile& file : files) model.files.emplace_back(file.path, file.at);
        const PullVerdict verdict = service_.vet(model);
        if (!verdict.refusal.empty()) {
            std::error_code ignored;
            for (const fs::path& upload : uploads_) fs::remove(upload, ignored);
            throw quarantine(store_, model, std::vector<bool>(files.size(), true), verdict);
        }
        for (const ValueEntry& entry : verdict.note) record.extra.set(entry.key, entry.value);
    }

    // One file is kept as it is when it is a GGUF file; of another it takes quantize to make one.
    void keep_one_file() {
        files_.front().path = "model.gguf";
        if (record_.container != container_name(Container::gguf)) files_.clear();
    }

    void quantise() {
        auto type = fields_.string("quantize");
        if (!type) type = fields_.string("quantization");
        if (!type || type->empty()) return;
        const QuantPlan plan = as_sent("quantize", at_, name_.str(),
                                       [&] { return plan_quantise(ModelFiles::open(at_), quant_mix(*type)); });
        tell_(fmt::format("quantizing to {}", plan.mix.name));
        const fs::path made = work_.path() / "quantised.gguf";
        ThreadPool threads(1);  // what is being answered has the rest
        write_quantised(plan, made, threads);
        files_ = {{"model.gguf", made, {}, NewFile::How::copy, false}};
        at_ = made;
        describe(*ModelFiles::open(at_), record_);
        if (!record_.parents.empty()) record_.extra.set("relation", "quantised from");
    }

    // Kept as a stored object of its own, NAME-adapter, with the model that it is for as its parent.
    void add_adapter(const ValueMap& given) {
        tell_("adding the adapter");
        const fs::path folder = work_.path() / "adapter";
        fs::create_directories(folder);
        const auto files = lay_out(store_, who_, fields_, "adapters", given, folder, uploads_);
        const auto adapter = as_sent("adapters", folder, "The adapter", [&] {
            auto opened = AdapterFiles::open(folder);
            check_adapter(*opened, *ModelFiles::open(at_));
            return opened;
        });
        ModelRecord record;
        vet(name_, files, record);
        record.source = "api/create";
        record.architecture = adapter->architecture();
        record.container = adapter->form() == AdapterForm::peft ? "peft" : "gguf";
        record.parameters = adapter->n_params();
        record.quantisation = fmt::format("LoRA r{}", adapter->largest_rank());
        record.parents = record_.parents;
        record.extra.set("kind", "adapter");
        record.extra.set("rank", adapter->largest_rank());
        if (!adapter->base().empty()) record.extra.set("base", adapter->base());
        const ModelName name{name_.name + "-adapter", name_.tag};
        if (const auto there = store_.find(name); there && !is_adapter(there->record))
            throw RequestError(409, ErrorKind::conflict, fmt::format("{} is a model of its own.", name.str()),
                               "Choose another name for the new model.", "model");
        check_new_name(service_.pool, who_, name, "model");
        own(record);
        store_.add(name, files, record);
        settings_.set("adapter", name.str());
    }

    Service& service_;
    Store store_;
    const Principal& who_;
    const Fields& fields_;
    std::function<void(const std::string&)> tell_;
    WorkFolder work_;
    ModelName name_;
    ModelRecord record_;
    ValueMap settings_;
    std::vector<NewFile> files_;
    std::vector<fs::path> uploads_;
    fs::path at_;  // of the model, for ModelFiles::open
};

}  // namespace

void ollama_create(Service& service, const RequestPtr& http, const ResponderPtr& responder) {
    const ValueMap body = read_body(*http);
    const Fields fields(body);
    const bool streaming = fields.boolean("stream").value_or(true);
    LineStream lines(responder);
    try {
        const auto [name, digest] = Creating(service, http->principal, fields, [&](const std::string& status) {
                                        if (streaming) lines.line(ValueMap{{"status", status}});
                                    }).run();
        note_model_change(*responder, "created", name, digest, fields.string("from").value_or(""));
        if (!streaming) return send_json(*responder, 200, ValueMap{{"status", "success"}});
        lines.line(ValueMap{{"status", "success"}});
        lines.close();
    } catch (...) {
        // Once lines have been sent, what goes wrong is a line too.
        lines.fail(std::current_exception());
    }
}

std::string parent_of(const ModelPool& pool, const Principal& who, const KnownModel& known) {
    if (!known.stored) return {};
    const ModelRecord& record = known.stored->record;
    const Value* const from = record.extra.find("from");
    // Other weights cannot be had again by naming what they were made of.
    if (from == nullptr || !from->as_string() || record.extra.find("relation") != nullptr) return {};
    try {
        KnownModel parent = pool.resolve(std::string(*from->as_string()));
        const bool same = parent.stored
                              ? std::ranges::find(record.parents, parent.stored->digest) != record.parents.end()
                              : record.parents.empty();
        return same && may_use(who, parent) ? parent.name : std::string();
    } catch (const Error&) {
        return {};
    }
}

std::string modelfile_of(const KnownModel& known, const std::string& parent) {
    std::string out = fmt::format("# The model {} of this machine. To make one of it, replace FROM by:\n# FROM {}\n\n",
                                  known.name, known.name);
    out += fmt::format("FROM {}\n", parent.empty() ? known.name : parent);
    const ValueMap* const created = created_settings(known.stored);
    if (created == nullptr) return out;
    // Modelfiles know no escapes: what one pair of quotes cannot hold stands between three.
    const auto quoted = [](std::string_view text) {
        const bool plain = !text.empty() && text.find_first_of("\n\"") == std::string_view::npos &&
                           text.front() != ' ' && text.back() != ' ';
        return plain ? std::string(text) : fmt::format("\"\"\"{}\"\"\"", text);
    };
    const auto line = [&](std::string_view keyword, const Value* value) {
        if (value == nullptr || !value->as_string() || value->as_string()->empty()) return;
        out += fmt::format("{} {}\n", keyword, quoted(*value->as_string()));
    };
    const auto each = [](const Value* value, const auto& tell) {
        const auto* many = value == nullptr ? nullptr : value->get<ValueList>();
        for (const Value& one : many == nullptr ? ValueList{} : *many) tell(one);
        if (value != nullptr && many == nullptr) tell(*value);
    };
    line("ADAPTER", created->find("adapter"));
    line("TEMPLATE", created->find("template"));
    line("SYSTEM", created->find("system"));
    if (const Value* given = created->find("parameters"); given != nullptr && given->get<ValueMap>() != nullptr) {
        for (const ValueEntry& e : *given->get<ValueMap>()) {
            each(e.value.get<ValueMap>() == nullptr ? &e.value : nullptr, [&](const Value& one) {
                out +=
                    fmt::format("PARAMETER {} {}\n", e.key, one.as_string() ? quoted(*one.as_string()) : to_json(one));
            });
        }
    }
    each(created->find("license"), [&](const Value& one) { line("LICENSE", &one); });
    each(created->find("messages"), [&](const Value& one) {
        const auto* message = one.get<ValueMap>();
        const Value* role = message == nullptr ? nullptr : message->find("role");
        if (role != nullptr) line(fmt::format("MESSAGE {}", role->as_string().value_or("")), message->find("content"));
    });
    return out;
}

}  // namespace freehold::server
