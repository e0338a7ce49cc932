// Runs the parts of a tokenizer, in both directions, and streams.
#include "pipeline.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>

#include "freehold/base/error.h"
#include "raw_bytes.h"
#include "unicode.h"

namespace freehold {
namespace text {
namespace {

class ModelSink final : public PieceSink {
 public:
    ModelSink(const Model& model, std::vector<std::int32_t>& out) : model_(model), out_(out) {}
    void take(const Piece& piece) override {
        if (!piece.text.empty()) model_.encode(piece.text, piece.raw_base, out_);
    }

 private:
    const Model& model_;
    std::vector<std::int32_t>& out_;
};

class PipelineTokenizer final : public Tokenizer {
 public:
    explicit PipelineTokenizer(Pipeline parts) : p_(std::move(parts)) {
        p_.hidden.resize(static_cast<std::size_t>(p_.vocabulary->size()), false);
        bos_ = p_.bos;
        eos_ = p_.eos;
        unk_ = p_.unk;
        pad_ = p_.pad;
        stop_ids_ = p_.stop_ids;
        add_bos_ = p_.add_bos;
        add_eos_ = p_.add_eos;
        kind_ = p_.kind;
        pre_ = p_.pre;
        for (const std::int32_t id : p_.prefix) single_.push_back({id, 0});
        single_.push_back({FramePart::kFirst, 0});
        for (const std::int32_t id : p_.suffix) single_.push_back({id, 0});
        pair_ = p_.pair;
    }

    [[nodiscard]] std::vector<std::int32_t> encode(std::string_view text, EncodeOptions options) const override {
        std::vector<std::int32_t> out;
        out.reserve(text.size() / 3 + 4);
        if (options.add_special) out = p_.prefix;
        if (is_utf8(text)) {
            encode_valid(text, 0, options.parse_special, out);
        } else {
            const Masked masked = mask_raw_bytes(text);
            encode_valid(masked.text, masked.raw_base, options.parse_special, out);
        }
        if (options.add_special) out.insert(out.end(), p_.suffix.begin(), p_.suffix.end());
        return out;
    }

    [[nodiscard]] std::string decode(std::span<const std::int32_t> ids, bool special, bool goes_on) const override {
        std::vector<DecodeToken> tokens;
        tokens.reserve(ids.size());
        for (const std::int32_t id : ids) {
            if (shown(id, special)) tokens.push_back(decode_token(id));
        }
        return run_decoders(tokens, {true, !goes_on});
    }

    [[nodiscard]] std::string piece(std::int32_t id, bool special) const override {
        if (!shown(id, special)) return {};
        std::vector<DecodeToken> tokens{decode_token(id)};
        return run_decoders(tokens, {false, false});
    }

    [[nodiscard]] std::int32_t size() const noexcept override { return p_.vocabulary->size(); }
    [[nodiscard]] const TokenInfo& token(std::int32_t id) const override {
        if (id < 0 || id >= size()) {
            throw Error(ErrorKind::not_found,
                        fmt::format("the vocabulary has no token {}; it has {} tokens", id, size()));
        }
        return (*p_.vocabulary)[id];
    }
    [[nodiscard]] std::optional<std::int32_t> find(std::string_view token_text) const override {
        const std::int32_t id = p_.vocabulary->find(token_text);
        if (id < 0) return std::nullopt;
        return id;
    }

 private:
    void encode_valid(std::string_view text, char32_t raw_base, bool parse_special,
                      std::vector<std::int32_t>& out) const {
        bool restarted = false;
        const auto on_token = [&](std::int32_t id) {
            out.push_back(id);
            restarted = p_.special_restarts && p_.hidden[static_cast<std::size_t>(id)];
        };
        p_.before_normalizer.split(
            text, parse_special,
            [&](std::size_t begin, std::size_t end) {
                encode_stretch(text.substr(begin, end - begin), begin == 0 || restarted, raw_base, parse_special, out);
            },
            on_token);
    }

    void encode_stretch(std::string_view text, bool at_start, char32_t raw_base, bool parse_special,
                        std::vector<std::int32_t>& out) const {
        std::string normalized;
        if (!p_.normalizers.empty()) {
            normalized = text;
            for (const auto& n : p_.normalizers) n->apply(normalized, at_start);
            text = normalized;
        }
        p_.after_normalizer.split(
            text, parse_special,
            [&](std::size_t begin, std::size_t end) {
                ModelSink sink(*p_.model, out);
                pre_tokenize(p_.pre_tokenizers, {text.substr(begin, end - begin), at_start && begin == 0, raw_base},
                             sink);
            },
            [&](std::int32_t id) { out.push_back(id); });
    }

    [[nodiscard]] bool shown(std::int32_t id, bool special) const {
        // A model whose matrix is larger than its vocabulary may choose an id without text: it is nothing.
        return p_.vocabulary->has(id) && (special || !p_.hidden[static_cast<std::size_t>(id)]);
    }

    [[nodiscard]] DecodeToken decode_token(std::int32_t id) const {
        const TokenInfo& info = (*p_.vocabulary)[id];
        const bool added = info.kind != TokenInfo::Kind::normal && info.kind != TokenInfo::Kind::byte &&
                           info.kind != TokenInfo::Kind::unused;
        return {info.text, p_.added_are_raw && added};
    }

    [[nodiscard]] std::string run_decoders(std::vector<DecodeToken>& tokens, DecodeEnds ends) const {
        for (const auto& d : p_.decoders) d->apply(tokens, ends);
        if (tokens.size() == 1) return std::move(tokens.front().text);
        std::string out;
        for (const auto& t : tokens) out += t.text;
        return out;
    }

    Pipeline p_;
};

// Names under which makers publish the token that ends a turn or a text.
constexpr std::array<std::string_view, 24> kStopNames{"<|eot_id|>",
                                                      "<|eom_id|>",
                                                      "<|end_of_text|>",
                                                      "<|endoftext|>",
                                                      "<|im_end|>",
                                                      "<|end|>",
                                                      "<|return|>",
                                                      "<|call|>",
                                                      "<end_of_turn>",
                                                      "<turn|>",
                                                      "<|end_of_turn|>",
                                                      "<EOT>",
                                                      "_<EOT>",
                                                      "[EOT]",
                                                      "[EOS]",
                                                      "<eos>",
                                                      "</s>",
                                                      "<|eos|>",
                                                      "<｜end▁of▁sentence｜>",
                                                      "<end_of_utterance>",
                                                      "<|assistant_end|>",
                                                      "<|eot|>",
                                                      "<|eom|>",
                                                      "<|END_OF_TURN_TOKEN|>"};

}  // namespace

std::shared_ptr<const Tokenizer> make_tokenizer(Pipeline parts) {
    return std::make_shared<PipelineTokenizer>(std::move(parts));
}

std::vector<std::int32_t> find_stop_ids(const Vocabulary& vocabulary, const std::vector<bool>& special,
                                        const std::vector<std::optional<std::int32_t>>& given) {
    std::vector<std::int32_t> ids;
    for (const auto& id : given) {
        if (id && vocabulary.has(*id)) ids.push_back(*id);
    }
    // Where a message can end in a call or a return, <|end|> only closes one message of several.
    const bool harmony = vocabulary.find("<|return|>") >= 0 && vocabulary.find("<|call|>") >= 0;
    for (const std::string_view name : kStopNames) {
        if (harmony && name == "<|end|>") continue;
        const std::int32_t id = vocabulary.find(name);
        if (id < 0 || !special[static_cast<std::size_t>(id)]) continue;
        ids.push_back(id);
    }
    std::sort(ids.begin(), ids.end());
    ids.erase(std::unique(ids.begin(), ids.end()), ids.end());
    return ids;
}

}  // namespace text

StreamDecoder::StreamDecoder(std::shared_ptr<const Tokenizer> tokenizer, bool special, bool at_start)
    : tokenizer_(std::move(tokenizer)), special_(special), at_start_(at_start) {}

std::string StreamDecoder::push(std::int32_t id) {
    if (at_start_) {
        // Until the first text comes, the beginning's own rules apply (a leading space may go).
        first_.push_back(id);
        const std::string begun = tokenizer_->decode(first_, special_, true);
        if (begun.empty()) return {};
        at_start_ = false;
        first_.clear();
        pending_ += begun;
    } else {
        pending_ += tokenizer_->piece(id, special_);
    }
    const std::size_t tail = text::unfinished_tail(pending_);
    std::string out = text::repair_utf8(std::string_view(pending_).substr(0, tail));
    pending_.erase(0, tail);
    return out;
}

std::string StreamDecoder::finish() {
    std::string out = text::repair_utf8(pending_);
    pending_.clear();
    return out;
}

}  // namespace freehold
