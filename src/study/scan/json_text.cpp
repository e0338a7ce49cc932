// Configurations in JSON and YAML: code that they ask for, templates, Keras layers.
#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <functional>

#include "freehold/base/error.h"
#include "freehold/base/printable.h"
#include "freehold/base/value.h"
#include "readers.h"

namespace freehold::scan {
namespace {

std::string_view text_at(const ValueMap& map, std::string_view key) {
    const Value* value = map.find(key);
    return value == nullptr ? std::string_view() : value->as_string().value_or(std::string_view());
}

bool begins_with_one(std::string_view text, std::initializer_list<std::string_view> all) {
    return std::ranges::any_of(
        all, [&](std::string_view one) { return text == one || (text.starts_with(one) && text[one.size()] == '.'); });
}

class Walk {
 public:
    Walk(Context& context, const Content& content)
        : context_(context), content_(content), leaf_(leaf_of(content.name)), text_(text_of(content.bytes)) {}

    void value(const Value& v, int depth) {
        if (depth > 200) return;
        if (const auto* map = v.get<ValueMap>()) {
            keras(*map);
            for (const ValueEntry& entry : *map) field(entry, depth);
        } else if (const auto* list = v.get<ValueList>()) {
            for (const Value& item : *list) value(item, depth + 1);
        }
    }

 private:
    Where where(std::string_view key) const {
        const std::size_t at = text_.find(fmt::format("\"{}\"", key));
        return at == std::string_view::npos ? Where{} : at_line(line_of(text_, at));
    }

    void field(const ValueEntry& entry, int depth) {
        const std::string& key = entry.key;
        if (key == "auto_map" || key == "custom_pipelines" || key == "custom_pipeline") {
            std::string names;
            leaves(entry.value,
                   [&](std::string_view name) { names += (names.empty() ? "" : ", ") + printable(name, 80); });
            // "user/repo--module.Class" takes the code from elsewhere.
            const bool elsewhere = names.find("--") != std::string::npos;
            if (!names.empty())
                context_.find("code.remote", elsewhere ? Severity::medium : Severity::low, content_, where(key),
                              fmt::format("\"{}\" names Python code{}: {}.", key,
                                          elsewhere ? " of another repository" : "", names));
        } else if (key == "trust_remote_code" && entry.value.as_bool().value_or(false)) {
            context_.find("code.remote", content_, where(key), "It asks that remote code be trusted.");
        } else if (key == "_target_") {
            if (const auto name = entry.value.as_string()) target(*name, where(key));
        } else if (key == "()") {
            // What logging.config calls. Most name a class of their program.
            if (const auto name = entry.value.as_string(); name && is_bad_root(*name))
                context_.find("config.instantiate", Severity::critical, content_, where(key),
                              fmt::format("\"()\" names {}.", printable(*name)));
        } else if (key == "runOn" && leaf_ == "tasks.json" && entry.value.as_string().value_or("") == "folderOpen") {
            context_.find("code.process", content_, where(key),
                          "An editor runs its commands as soon as the folder is opened.");
        } else if (key == "scripts" && leaf_ == "package.json") {
            install_scripts(entry.value);
        } else if (key.find("chat_template") != std::string::npos) {
            leaves(entry.value, [&](std::string_view text) {
                if (text.find('{') != std::string_view::npos)
                    scan_template(context_, content_, text, fmt::format("\"{}\"", key));
            });
        } else if (leaf_ == "modules.json" && key == "type") {
            // sentence-transformers imports the class that is named here.
            if (const auto name = entry.value.as_string(); name && !begins_with_one(*name, {"sentence_transformers"}))
                context_.find("code.remote", content_, where(key),
                              fmt::format("A part of the model is of the class {}.", printable(*name)));
        } else if (leaf_ == "model_index.json" && entry.value.size() == 2 && entry.value.get<ValueList>() != nullptr) {
            const Value library = entry.value.at(0);
            const auto name = library.as_string();
            if (name && !begins_with_one(
                            *name, {"diffusers", "transformers", "onnxruntime", "optimum", "flax", "stable_diffusion"}))
                context_.find(
                    "code.remote", content_, where(key),
                    fmt::format("Its part \"{}\" comes from the module {}.", printable(key), printable(*name)));
        }
        value(entry.value, depth + 1);
    }

    // npm runs these when the package is installed, whatever it is installed for.
    void install_scripts(const Value& scripts) {
        const ValueMap* const map = scripts.get<ValueMap>();
        if (map == nullptr) return;
        for (const char* const name : {"preinstall", "install", "postinstall"})
            if (const std::string_view command = text_at(*map, name); !command.empty())
                context_.find("code.process", Severity::low, content_, where(name),
                              fmt::format("Installing it runs \"{}\".", printable(command, 120)));
    }

    static bool is_bad_root(std::string_view name) {
        return begins_with_one(name, {"os", "posix", "subprocess", "builtins", "sys", "shutil", "pickle", "importlib",
                                      "runpy", "pty", "socket", "ctypes", "code"});
    }

    void target(std::string_view name, Where at) {
        context_.find("config.instantiate", is_bad_root(name) ? Severity::critical : Severity::medium, content_, at,
                      fmt::format("\"_target_\" names {}.", printable(name)));
    }

    void keras(const ValueMap& map) {
        const std::string_view name = text_at(map, "class_name");
        if (name.empty()) return;
        if (name == "Lambda" || name == "__lambda__")
            context_.find("keras.lambda", content_, where("class_name"),
                          fmt::format("It has a layer of class {}.", name));
        const std::string_view module = text_at(map, "module");
        keras_function(map, name, module);
        if (!module.empty() && map.find("config") != nullptr &&
            !begins_with_one(module, {"keras", "tf_keras", "keras_core", "tensorflow.keras", "tensorflow.python.keras",
                                      "builtins", "keras_nlp", "keras_cv", "keras_hub"}))
            context_.find("keras.custom", content_, where("module"),
                          fmt::format("Its class {} comes from the module {}.", printable(name), printable(module)));
        const std::string_view registered = text_at(map, "registered_name");
        if (registered.find('>') != std::string_view::npos && !registered.starts_with("keras"))
            context_.find("keras.custom", content_, where("registered_name"),
                          fmt::format("It needs the registered class {}.", printable(registered)));
    }

    // Keras makes what a configuration names by calling it, its own functions too: one that fetches a file, loads
    // another model or switches the safe mode off is called like a layer.
    void keras_function(const ValueMap& map, std::string_view name, std::string_view module) {
        const bool own = begins_with_one(module, {"keras", "tf_keras", "keras_core", "tensorflow.keras",
                                                  "tensorflow.python.keras", "keras_nlp", "keras_cv", "keras_hub"});
        const std::string_view leaf = name.substr(name.rfind('.') + 1);
        const bool function = !leaf.empty() && leaf.front() >= 'a' && leaf.front() <= 'z' && leaf != "function" &&
                              leaf != "builtin_function_or_method";
        if (own && function)
            context_.find("keras.custom", Severity::high, content_, where("class_name"),
                          fmt::format("It names the function {} of {}, which is called when it is loaded.",
                                      printable(leaf), printable(module)));
        if (leaf == "TorchModuleWrapper")
            context_.find("keras.custom", Severity::high, content_, where("class_name"),
                          "It has a TorchModuleWrapper, which loads a pickle of PyTorch.");
        const Value* const what = map.find("config");
        const std::string_view called = what == nullptr ? std::string_view() : what->as_string().value_or("");
        if (own && (leaf == "function" || leaf == "builtin_function_or_method") && !may_be_named(module, called))
            context_.find("keras.custom", Severity::high, content_, where("module"),
                          fmt::format("It names the function {} of {}, which is no part of a model.", printable(called),
                                      printable(module)));
        keras_path(what, leaf);
        if (name == "function" && (module == "builtins" || module == "os" || module == "subprocess") &&
            what != nullptr &&
            begins_with_one(what->as_string().value_or(""),
                            {"eval", "exec", "getattr", "__import__", "open", "compile", "system", "popen", "input"}))
            context_.find("keras.custom", Severity::critical, content_, where("class_name"),
                          fmt::format("It names the function {}.", printable(*what->as_string())));
    }

    // Functions of these modules compute; those of the others fetch files, load models or change settings.
    static bool may_be_named(std::string_view module, std::string_view function) {
        static constexpr std::array<std::string_view, 11> kComputing = {
            "activations", "losses", "metrics",      "initializers", "regularizers", "constraints",
            "ops",         "random", "applications", "nn",           "math"};
        static constexpr std::array<std::string_view, 4> kMaking = {"deserialize", "get", "serialize",
                                                                    "deserialize_keras_object"};
        if (std::ranges::find(kMaking, function) != kMaking.end() || function.empty()) return false;
        for (const std::string_view root : {"tensorflow.python.keras.", "tensorflow.keras.", "tf_keras.", "keras_core.",
                                            "keras_nlp.", "keras_cv.", "keras_hub.", "keras."})
            if (module.starts_with(root)) {
                module.remove_prefix(root.size());
                break;
            }
        if (module.starts_with("src.")) module.remove_prefix(4);
        if (module.starts_with("backend.")) return true;  // the functions behind `ops`
        return std::ranges::find(kComputing, module.substr(0, module.find('.'))) != kComputing.end();
    }

    // Layers that read what a path names when they are made.
    void keras_path(const Value* config, std::string_view leaf) {
        const ValueMap* const fields = config == nullptr ? nullptr : config->get<ValueMap>();
        if (fields == nullptr) return;
        if (leaf == "TFSMLayer" && !text_at(*fields, "filepath").empty())
            context_.find("keras.custom", Severity::high, content_, where("filepath"),
                          fmt::format("It has a TFSMLayer, which loads the TensorFlow graph at {}.",
                                      printable(text_at(*fields, "filepath"))));
        const std::string_view path = text_at(*fields, "vocabulary");
        if (path.empty()) return;
        const bool outside = path.front() == '/' || path.front() == '~' || path.find("..") != std::string_view::npos ||
                             path.find(':') != std::string_view::npos || path.find('\\') != std::string_view::npos;
        context_.find(
            "keras.custom", outside ? Severity::high : Severity::medium, content_, where("vocabulary"),
            fmt::format("Its layer {} reads the file {} when it is loaded.", printable(leaf), printable(path)));
    }

    static void leaves(const Value& v, const std::function<void(std::string_view)>& take) {
        if (const auto text = v.as_string()) return take(*text);
        if (const auto* map = v.get<ValueMap>()) {
            for (const ValueEntry& entry : *map) leaves(entry.value, take);
            return;
        }
        for (std::size_t i = 0; i < v.size() && i < 1000; ++i) leaves(v.at(i), take);
    }

    Context& context_;
    const Content& content_;
    std::string leaf_;
    std::string_view text_;
};

}  // namespace

void scan_json(Context& context, const Content& content) {
    const std::string_view text = text_of(content.bytes);
    // A vocabulary of many megabytes is parsed only if one of the keys could be in it; an escaped letter hides a key.
    static constexpr std::array<std::string_view, 11> kKeys = {
        "auto_map",      "custom_pipeline", "trust_remote_code",  "_target_",
        "chat_template", "class_name",      "_diffusers_version", "\\u00",
        "\"()\"",        "runOn",           "\"scripts\""};
    if (leaf_of(content.name) != "modules.json" &&
        std::ranges::none_of(kKeys, [&](std::string_view key) { return text.find(key) != std::string_view::npos; }))
        return;
    try {
        Walk(context, content).value(parse_json(text, content.name), 0);
    } catch (const Error& error) {
        scan_keras_text(context, content);
        if (content.name.ends_with(".json")) context.gap(content, "it is no valid JSON: " + error.message());
    }
}

// "class_name": "Lambda", with whatever spaces, in bytes of another format.
void scan_keras_text(Context& context, const Content& content) {
    const std::string_view text = text_of(content.bytes);
    constexpr std::string_view kKey = "\"class_name\"";
    for (std::size_t at = text.find(kKey); at != std::string_view::npos; at = text.find(kKey, at + 1)) {
        std::size_t next = at + kKey.size();
        while (next < text.size() && (text[next] == ' ' || text[next] == ':' || text[next] == '\n' ||
                                      text[next] == '\t' || text[next] == '\r'))
            ++next;
        for (const std::string_view name : {"\"Lambda\"", "\"__lambda__\"", "\"\\u004cambda\""})
            if (text.substr(next).starts_with(name))
                context.find("keras.lambda", content, at_offset(at), "It has a layer of class Lambda.");
    }
}

}  // namespace freehold::scan
