// Graphs in protocol buffers: ONNX and TensorFlow's SavedModel. Only the few fields that can do harm are read, by a
// reader of the wire format that knows nothing else.
#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cctype>
#include <functional>
#include <set>
#include <string>

#include "freehold/base/printable.h"
#include "readers.h"
#include "tensorflow_ops.h"

namespace freehold::scan {
namespace {

// The fields of one message in order. `visit(number, text)` gets those with a length; false: stop. Returns whether the
// message was well formed.
bool each_field(std::string_view message, const std::function<void(std::uint64_t, std::string_view)>& visit) {
    std::size_t at = 0;
    const auto varint = [&](std::uint64_t& out) {
        out = 0;
        for (unsigned shift = 0; shift < 70 && at < message.size(); shift += 7) {
            const auto byte = static_cast<unsigned char>(message[at++]);
            if (shift < 64) out |= static_cast<std::uint64_t>(byte & 0x7fU) << shift;
            if (byte < 0x80) return true;
        }
        return false;
    };
    while (at < message.size()) {
        std::uint64_t key = 0, length = 0;
        if (!varint(key) || key >> 3 == 0) return false;
        switch (key & 7) {
            case 0:
                if (!varint(length)) return false;
                break;
            case 1:
                length = 8;
                break;
            case 2:
                if (!varint(length) || length > message.size() - at) return false;
                visit(key >> 3, message.substr(at, length));
                break;
            case 5:
                length = 4;
                break;
            default:
                return false;
        }
        if ((key & 7) == 0) continue;
        if (length > message.size() - at) return false;
        at += length;
    }
    return true;
}

// ONNX (onnx.proto): ModelProto 7 graph, 20 training_info {1 initialization, 2 algorithm}, 25 functions; GraphProto
// 1 node, 5 initializer, 15 sparse_initializer; NodeProto 4 op_type, 5 attribute, 7 domain; AttributeProto 5 t, 6 g,
// 10 tensors, 11 graphs, 22 sparse_tensor, 23 sparse_tensors; SparseTensorProto 1 values, 2 indices; TensorProto
// 13 external_data {1 key, 2 value}; FunctionProto 1 name, 7 node, 10 domain, 11 attribute_proto.
class Onnx {
 public:
    Onnx(Context& context, const Content& content) : context_(context), content_(content) {}

    bool model(std::string_view text) {
        bool graphs = false;
        // Operators that the model defines itself are not those of a library.
        each_field(text, [&](std::uint64_t field, std::string_view value) {
            if (field != 25) return;
            std::string_view name, domain;
            each_field(value, [&](std::uint64_t inner, std::string_view part) {
                if (inner == 1) name = part;
                if (inner == 10) domain = part;
            });
            own_.insert(std::string(domain) + ":" + std::string(name));
        });
        const bool good = each_field(text, [&](std::uint64_t field, std::string_view value) {
            if (field == 7) {
                graphs = true;
                graph(value, 0);
            } else if (field == 20) {
                each_field(value, [&](std::uint64_t inner, std::string_view part) {
                    if (inner == 1 || inner == 2) graph(part, 1);
                });
            } else if (field == 25) {
                each_field(value, [&](std::uint64_t inner, std::string_view part) {
                    if (inner == 7) node(part, 0);
                    if (inner == 11) attribute(part, 0);
                });
            }
        });
        return good && graphs;
    }

 private:
    void graph(std::string_view text, int depth) {
        if (depth > 32) return context_.gap(content_, "its graphs are nested too deeply");
        each_field(text, [&](std::uint64_t field, std::string_view value) {
            if (field == 1) node(value, depth);
            if (field == 5) tensor(value);
            if (field == 15) sparse(value);
        });
    }

    void sparse(std::string_view text) {
        each_field(text, [&](std::uint64_t field, std::string_view value) {
            if (field == 1 || field == 2) tensor(value);
        });
    }

    // EPContext keeps what was compiled for one chip: inside, or in a file that ep_cache_context names.
    void compiled_part(std::string_view text) {
        std::string_view name, value;
        each_field(text, [&](std::uint64_t part, std::string_view inner) {
            if (part == 1) name = inner;
            if (part == 4) value = inner;
        });
        if (name != "ep_cache_context" && name != "onnx_model_filename") return;
        constexpr std::size_t kLongestPath = 4096;
        if (value.size() < kLongestPath && leads_out(value))
            context_.find("onnx.external-path", content_, {},
                          fmt::format("It takes a compiled part (EPContext) from \"{}\".", printable(value, 200)));
        context_.gap(content_, "it holds a part that was compiled for one chip (EPContext), which is not read here");
    }

    void attribute(std::string_view text, int depth) {
        each_field(text, [&](std::uint64_t part, std::string_view inner) {
            if (part == 5 || part == 10) tensor(inner);
            if (part == 6 || part == 11) graph(inner, depth + 1);
            if (part == 22 || part == 23) sparse(inner);
        });
    }

    void node(std::string_view text, int depth) {
        std::string_view type, domain;
        each_field(text, [&](std::uint64_t field, std::string_view value) {
            if (field == 4) type = value;
            if (field == 7) domain = value;
            if (field == 5) attribute(value, depth);
        });
        if (type == "EPContext")
            each_field(text, [&](std::uint64_t field, std::string_view value) {
                if (field == 5) compiled_part(value);
            });
        if (type == "PyOp" || type == "PythonOp" || domain.find("pyop") != std::string_view::npos)
            context_.find("onnx.python-op", content_, {},
                          fmt::format("It has a node of type {} (domain \"{}\").", printable(type), printable(domain)));
        static constexpr std::array<std::string_view, 8> kKnown = {"",
                                                                   "ai.onnx",
                                                                   "ai.onnx.ml",
                                                                   "ai.onnx.training",
                                                                   "ai.onnx.preview.training",
                                                                   "com.microsoft",
                                                                   "com.microsoft.nchwc",
                                                                   "com.microsoft.experimental"};
        if (std::ranges::find(kKnown, domain) == kKnown.end() && !domain.starts_with("pkg.") &&
            !own_.contains(std::string(domain) + ":" + std::string(type)) &&
            domains_.insert(std::string(domain)).second)
            context_.find(
                "onnx.custom-domain", content_, {},
                fmt::format("It uses operators of the domain \"{}\" ({}).", printable(domain), printable(type)));
    }

    // Out of the model's folder.
    static bool leads_out(std::string_view path) {
        std::string name(path);
        std::ranges::replace(name, '\\', '/');
        return name.starts_with('/') || name.find("..") != std::string::npos || (name.size() > 1 && name[1] == ':') ||
               name.find('\0') != std::string::npos || name.find("://") != std::string::npos;
    }

    void tensor(std::string_view text) {
        each_field(text, [&](std::uint64_t field, std::string_view value) {
            if (field != 13) return;
            std::string_view key, path;
            each_field(value, [&](std::uint64_t part, std::string_view inner) { (part == 1 ? key : path) = inner; });
            if (key != "location") return;
            if (leads_out(path))
                context_.find("onnx.external-path", content_, {},
                              fmt::format("It takes data from \"{}\".", printable(path)));
        });
    }

    Context& context_;
    const Content& content_;
    std::set<std::string> domains_, own_;
};

// TensorFlow (saved_model.proto, graph.proto): SavedModel 2 meta_graphs; MetaGraphDef 2 graph_def; GraphDef 1 node,
// 2 library; FunctionDefLibrary 1 function; FunctionDef 1 signature {1 name}, 3 node_def; NodeDef 1 name, 2 op, 5 attr.
class TensorflowGraph {
 public:
    void saved_model(std::string_view text) {
        each_field(text, [&](std::uint64_t field, std::string_view meta) {
            if (field == 2)
                each_field(meta, [&](std::uint64_t part, std::string_view inner) {
                    if (part == 2) graph(inner);
                });
        });
    }
    void graph(std::string_view text) {
        each_field(text, [&](std::uint64_t field, std::string_view value) {
            if (field == 1) node(value);
            if (field == 2)
                each_field(value, [&](std::uint64_t part, std::string_view inner) {
                    if (part == 1) function(inner);
                });
        });
    }
    void add(std::string_view op) {
        const bool plain =
            !op.empty() && op.size() < 100 && (std::isupper(static_cast<unsigned char>(op[0])) != 0 || op[0] == '_') &&
            std::ranges::all_of(op, [](char c) {
                return std::isalnum(static_cast<unsigned char>(c)) != 0 || c == '_' || c == '>' || c == '.';
            });
        if (plain) ops_.insert(std::string(op));
    }
    void report(Context& context, const Content& content) const {
        std::string unknown;
        bool any = false;
        std::size_t n = 0;
        for (const std::string& op : ops_) {
            const TensorflowOp what = tensorflow_op(op);
            any = any || what == TensorflowOp::computing;
            if (what == TensorflowOp::harmful)
                context.find("tensorflow.op", content, {}, fmt::format("Its graph has the operation {}.", op));
            if (what != TensorflowOp::unknown || own_.contains(op)) continue;
            if (++n <= 5) unknown += (unknown.empty() ? "" : ", ") + op;
        }
        if (prints_to_file_)
            context.find("tensorflow.op", content, {}, "Its graph has the operation PrintV2, which writes to a file.");
        // Other protocols share the ending .pb; what goes by the name of a saved model, or computes, is a graph.
        if ((any || content.name.ends_with("saved_model.pb")) && n > 0)
            context.find("tensorflow.unknown-op", content, {},
                         fmt::format("Its graph has {} unknown operation{}: {}{}.", n, n == 1 ? "" : "s", unknown,
                                     n > 5 ? ", ..." : ""));
    }

 private:
    void function(std::string_view text) {
        each_field(text, [&](std::uint64_t field, std::string_view value) {
            if (field == 3) node(value);
            if (field != 1) return;
            each_field(value, [&](std::uint64_t part, std::string_view name) {
                if (part == 1) own_.insert(std::string(name));
            });
        });
    }
    void node(std::string_view text) {
        std::string_view name, op;
        each_field(text, [&](std::uint64_t field, std::string_view value) {
            if (field == 1) name = value;
            if (field == 2) op = value;
        });
        if (name.empty()) return;
        add(op);
        if (op == "PrintV2" && text.find("file://") != std::string_view::npos) prints_to_file_ = true;
    }

    std::set<std::string> ops_, own_;
    bool prints_to_file_ = false;
};

}  // namespace

// By its first fields: ir_version (a small number), then producer, domain, version of the model, a graph or an import.
bool looks_like_onnx(Bytes bytes) noexcept {
    const std::string_view text = text_of(bytes);
    if (text.size() < 64 || text[0] != '\x08' || text[1] < 1 || text[1] > 30) return false;
    if (std::string_view("\x12\x1a\x22\x28\x3a\x42").find(text[2]) == std::string_view::npos) return false;
    bool graph = false;
    const bool good = each_field(text, [&](std::uint64_t field, std::string_view) { graph = graph || field == 7; });
    return good && graph;
}

void scan_onnx(Context& context, const Content& content) {
    context.kind("ONNX");
    if (!Onnx(context, content).model(text_of(content.bytes)))
        context.gap(content, "it is no ONNX model, or breaks off; what could be read of it was looked at");
}

void scan_tensorflow(Context& context, const Content& content) {
    context.kind("TensorFlow graph");
    const std::string_view text = text_of(content.bytes);
    // A frozen graph stands for itself; which of the two it is, its bytes need not say.
    TensorflowGraph model, frozen;
    model.saved_model(text);
    frozen.graph(text);
    if (is_text(content.bytes)) {
        constexpr std::string_view kOp = "op: \"";
        for (std::size_t at = text.find(kOp); at != std::string_view::npos; at = text.find(kOp, at + 1))
            frozen.add(text.substr(at + kOp.size(), text.find('"', at + kOp.size()) - at - kOp.size()));
    }
    // NodeDef.op is field 2: in what breaks off, or lies in a place that is not known here, its name still stands
    // behind the byte 0x12 and its length.
    for (std::size_t at = text.find('\x12'); at != std::string_view::npos; at = text.find('\x12', at + 1)) {
        const std::size_t length = at + 1 < text.size() ? static_cast<unsigned char>(text[at + 1]) : 0;
        const std::string_view name = text.substr(std::min(at + 2, text.size()), length);
        if (length > 2 && length < 64 && name.size() == length && tensorflow_op(name) == TensorflowOp::harmful)
            model.add(name);
    }
    model.report(context, content);
    frozen.report(context, content);
    scan_keras_text(context, content);  // keras_metadata.pb
}

}  // namespace freehold::scan
