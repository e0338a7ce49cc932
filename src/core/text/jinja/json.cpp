// json.dumps: what the tojson filter writes.
#include <algorithm>

#include "library.h"
#include "numbers.h"
#include "ops.h"
#include "unicode.h"

namespace freehold::jinja {
namespace {

class Writer {
 public:
    Writer(Heap& heap, const JsonOptions& options) : heap_(heap), options_(options) {}

    void write(const Val& value, std::size_t level) {
        heap_.step();
        heap_.check_size(out_.size());
        switch (value.kind()) {
            case Val::Kind::none:
                out_ += "null";
                return;
            case Val::Kind::boolean:
                out_ += value.as_bool() ? "true" : "false";
                return;
            case Val::Kind::integer:
                out_ += std::to_string(value.as_int());
                return;
            case Val::Kind::real:
                out_ += real(value.as_real());
                return;
            case Val::Kind::string:
                string(value.text());
                return;
            case Val::Kind::list:
                list(value.as_list(), level);
                return;
            case Val::Kind::dict:
                dict(value.as_dict(), level);
                return;
            default:
                fail("Object of type " + std::string(type_name(value)) + " is not JSON serializable");
        }
    }

    std::string take() { return std::move(out_); }

 private:
    static std::string real(double value) {
        std::string text = float_repr(value);
        if (text == "nan") return "NaN";
        if (text == "inf") return "Infinity";
        if (text == "-inf") return "-Infinity";
        return text;
    }

    void unit(char32_t code) {
        static constexpr char kHex[] = "0123456789abcdef";
        out_ += "\\u";
        for (int shift = 12; shift >= 0; shift -= 4) out_ += kHex[(code >> static_cast<unsigned>(shift)) & 0xFU];
    }

    void string(std::string_view text) {
        heap_.work(text.size() * 2);
        out_ += '"';
        for (std::size_t pos = 0; pos < text.size();) {
            const char c = text[pos];
            const auto byte = static_cast<unsigned char>(c);
            if (byte >= 0x80) {
                const std::size_t start = pos;
                const char32_t code = decode_at(text, pos);
                if (!options_.ensure_ascii) {
                    out_ += text.substr(start, pos - start);
                } else if (code < 0x10000) {
                    unit(code);
                } else {
                    unit(0xD800 + ((code - 0x10000) >> 10U));
                    unit(0xDC00 + ((code - 0x10000) & 0x3FFU));
                }
                continue;
            }
            ++pos;
            switch (c) {
                case '"':
                    out_ += "\\\"";
                    break;
                case '\\':
                    out_ += "\\\\";
                    break;
                case '\n':
                    out_ += "\\n";
                    break;
                case '\r':
                    out_ += "\\r";
                    break;
                case '\t':
                    out_ += "\\t";
                    break;
                case '\f':
                    out_ += "\\f";
                    break;
                case '\b':
                    out_ += "\\b";
                    break;
                default:
                    if (byte < 0x20) {
                        unit(byte);
                    } else {
                        out_ += c;
                    }
            }
        }
        out_ += '"';
    }

    void line(std::size_t level) {
        if (!options_.indented) return;
        heap_.check_size(out_.size() + level * options_.indent.size());
        out_ += '\n';
        for (std::size_t i = 0; i < level; ++i) out_ += options_.indent;
    }

    void list(const List& list, std::size_t level) {
        if (list.items.empty()) {
            out_ += "[]";
            return;
        }
        out_ += '[';
        for (std::size_t i = 0; i < list.items.size(); ++i) {
            if (i != 0) out_ += options_.item_separator;
            line(level + 1);
            write(list.items[i], level + 1);
        }
        line(level);
        out_ += ']';
    }

    void key(const Val& value) {
        switch (value.kind()) {
            case Val::Kind::string:
                string(value.text());
                return;
            case Val::Kind::none:
                out_ += "\"null\"";
                return;
            case Val::Kind::boolean:
                out_ += value.as_bool() ? "\"true\"" : "\"false\"";
                return;
            case Val::Kind::integer:
                out_ += '"' + std::to_string(value.as_int()) + '"';
                return;
            case Val::Kind::real:
                out_ += '"' + real(value.as_real()) + '"';
                return;
            default:
                fail("keys must be str, int, float, bool or None, not " + std::string(type_name(value)));
        }
    }

    void dict(const Dict& dict, std::size_t level) {
        if (dict.entries.empty()) {
            out_ += "{}";
            return;
        }
        std::vector<const std::pair<Val, Val>*> entries;
        entries.reserve(dict.entries.size());
        for (const auto& entry : dict.entries) entries.push_back(&entry);
        if (options_.sort_keys) {
            std::stable_sort(entries.begin(), entries.end(), [&](const auto* a, const auto* b) {
                return ordered(heap_, Order::less, a->first, b->first);
            });
        }
        out_ += '{';
        bool first = true;
        for (const auto* entry : entries) {
            if (!first) out_ += options_.item_separator;
            first = false;
            line(level + 1);
            key(entry->first);
            out_ += options_.key_separator;
            write(entry->second, level + 1);
        }
        line(level);
        out_ += '}';
    }

    Heap& heap_;
    const JsonOptions& options_;
    std::string out_;
};

}  // namespace

std::string dump_json(Heap& heap, const Val& value, const JsonOptions& options) {
    Writer writer(heap, options);
    writer.write(value, 0);
    return writer.take();
}

}  // namespace freehold::jinja
