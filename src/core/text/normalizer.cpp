// The normalizers, each a few lines.
#include "normalizer.h"

#include "byte_characters.h"

namespace freehold::text {
namespace {

// Keeps or changes characters one at a time: fn(code, out) appends what the character becomes.
template <class F>
void rewrite(std::string& text, const F& fn) {
    std::string out;
    out.reserve(text.size());
    for (std::size_t at = 0; at < text.size();) {
        const Utf8Char c = utf8_at(text, at);
        fn(c.code, out);
        at += c.length;
    }
    text = std::move(out);
}

class FormNormalizer final : public Normalizer {
 public:
    explicit FormNormalizer(NormalForm form) : form_(form) {}
    void apply(std::string& text, bool) const override { text = normal_form(text, form_); }

 private:
    NormalForm form_;
};

class LowerNormalizer final : public Normalizer {
 public:
    void apply(std::string& text, bool) const override { text = lower_case(text); }
};

void strip_marks(std::string& text) {
    rewrite(text, [](char32_t c, std::string& out) {
        if (!is_mark(c)) append_utf8(out, c);
    });
}

class AccentNormalizer final : public Normalizer {
 public:
    void apply(std::string& text, bool) const override { strip_marks(text); }
};

class StripNormalizer final : public Normalizer {
 public:
    StripNormalizer(bool left, bool right) : left_(left), right_(right) {}
    void apply(std::string& text, bool) const override {
        std::size_t begin = 0, end = 0;
        bool seen = false;
        for (std::size_t at = 0; at < text.size();) {
            const Utf8Char c = utf8_at(text, at);
            if (!is_white_space(c.code)) {
                if (!seen) begin = at;
                seen = true;
                end = at + c.length;
            }
            at += c.length;
        }
        if (!seen) {
            if (left_ || right_) text.clear();
            return;
        }
        if (right_) text.resize(end);
        if (left_) text.erase(0, begin);
    }

 private:
    bool left_, right_;
};

class PrependNormalizer final : public Normalizer {
 public:
    PrependNormalizer(std::string prefix, bool first_only) : prefix_(std::move(prefix)), first_only_(first_only) {}
    void apply(std::string& text, bool at_start) const override {
        if (text.empty() || (first_only_ && !at_start)) return;
        text.insert(0, prefix_);
    }

 private:
    std::string prefix_;
    bool first_only_;
};

class ReplaceNormalizer final : public Normalizer {
 public:
    ReplaceNormalizer(std::string from, std::string to) : from_(std::move(from)), to_(std::move(to)) {}
    void apply(std::string& text, bool) const override {
        if (from_.empty() || text.find(from_) == std::string::npos) return;
        std::string out;
        out.reserve(text.size() + text.size() / 4);
        std::size_t done = 0;
        for (std::size_t at = text.find(from_); at != std::string::npos; at = text.find(from_, done)) {
            out.append(text, done, at - done);
            out += to_;
            done = at + from_.size();
        }
        out.append(text, done);
        text = std::move(out);
    }

 private:
    std::string from_, to_;
};

class RegexReplaceNormalizer final : public Normalizer {
 public:
    RegexReplaceNormalizer(Regex from, std::string to) : from_(std::move(from)), to_(std::move(to)) {}
    void apply(std::string& text, bool) const override {
        std::string out;
        std::size_t done = 0;
        for_each_match(
            text, [&](std::string_view t, std::size_t from) { return from_.find(t, from); },
            [&](std::size_t begin, std::size_t end) {
                out.append(text, done, begin - done);
                out += to_;
                done = end;
            });
        out.append(text, done);
        text = std::move(out);
    }

 private:
    Regex from_;
    std::string to_;
};

class SqueezeNormalizer final : public Normalizer {
 public:
    void apply(std::string& text, bool) const override {
        std::string out;
        out.reserve(text.size());
        for (const char c : text) {
            if (c != ' ' || (!out.empty() && out.back() != ' ')) out.push_back(c);
        }
        if (!out.empty() && out.back() == ' ') out.pop_back();
        text = std::move(out);
    }
};

class ByteCharacterNormalizer final : public Normalizer {
 public:
    void apply(std::string& text, bool) const override {
        std::string out;
        out.reserve(text.size() + text.size() / 2);
        append_byte_characters(out, text);
        text = std::move(out);
    }
};

class BertNormalizer final : public Normalizer {
 public:
    explicit BertNormalizer(BertOptions options) : options_(options) {}
    void apply(std::string& text, bool) const override {
        if (options_.clean_text) {
            rewrite(text, [](char32_t c, std::string& out) {
                const bool space = c == '\t' || c == '\n' || c == '\r';
                if (!space && (c == 0 || c == 0xFFFD || is_control(c))) return;
                if (space || is_white_space(c)) {
                    out += ' ';
                } else {
                    append_utf8(out, c);
                }
            });
        }
        if (options_.ideographs) {
            rewrite(text, [](char32_t c, std::string& out) {
                if (!is_ideograph(c)) return append_utf8(out, c);
                out += ' ';
                append_utf8(out, c);
                out += ' ';
            });
        }
        if (options_.strip_accents) {
            text = normal_form(text, NormalForm::nfd);
            rewrite(text, [](char32_t c, std::string& out) {
                if (!is_nonspacing_mark(c)) append_utf8(out, c);
            });
        }
        if (options_.lower_case) text = lower_case(text);
    }

 private:
    BertOptions options_;
};

}  // namespace

std::unique_ptr<const Normalizer> make_normal_form(NormalForm form) {
    return std::make_unique<FormNormalizer>(form);
}
std::unique_ptr<const Normalizer> make_lower_case() {
    return std::make_unique<LowerNormalizer>();
}
std::unique_ptr<const Normalizer> make_strip_accents() {
    return std::make_unique<AccentNormalizer>();
}
std::unique_ptr<const Normalizer> make_strip(bool left, bool right) {
    return std::make_unique<StripNormalizer>(left, right);
}
std::unique_ptr<const Normalizer> make_prepend(std::string prefix, bool first_only) {
    return std::make_unique<PrependNormalizer>(std::move(prefix), first_only);
}
std::unique_ptr<const Normalizer> make_replace(std::string from, std::string to) {
    return std::make_unique<ReplaceNormalizer>(std::move(from), std::move(to));
}
std::unique_ptr<const Normalizer> make_replace(Regex from, std::string to) {
    return std::make_unique<RegexReplaceNormalizer>(std::move(from), std::move(to));
}
std::unique_ptr<const Normalizer> make_squeeze_spaces() {
    return std::make_unique<SqueezeNormalizer>();
}
std::unique_ptr<const Normalizer> make_byte_characters() {
    return std::make_unique<ByteCharacterNormalizer>();
}
std::unique_ptr<const Normalizer> make_bert(BertOptions options) {
    return std::make_unique<BertNormalizer>(options);
}

}  // namespace freehold::text
