// Texts as encoders read them: special tokens around them, token types, and a length that must not be passed.
#include <algorithm>

#include "freehold/base/error.h"
#include "freehold/text/tokenizer.h"

namespace freehold {
namespace {

struct Lengths {
    std::size_t first, second;
};

// How much of two texts stays in `room` tokens: the shorter one stays whole while it takes no more than half of the
// room, and else both are cut to halves, of which the second is the larger (the rule "longest first" of the field).
Lengths cut_longest(std::size_t first, std::size_t second, std::size_t room) {
    const bool turned = first > second;
    std::size_t shorter = std::min(first, second), longer = std::max(first, second);
    if (shorter + longer > room) {
        longer = shorter > room ? shorter : std::max(shorter, room - shorter);
        if (shorter + longer > room) {
            shorter = room / 2;
            longer = shorter + room % 2;
        }
    }
    return turned ? Lengths{longer, shorter} : Lengths{shorter, longer};
}

Framed put_together(const std::vector<FramePart>& parts, const std::vector<std::int32_t>& first,
                    const std::vector<std::int32_t>& second, std::size_t max_tokens) {
    const auto special = static_cast<std::size_t>(
        std::count_if(parts.begin(), parts.end(), [](const FramePart& p) { return p.id >= 0; }));
    Lengths keep{first.size(), second.size()};
    if (max_tokens > 0) {
        if (max_tokens < special) {
            throw Error(ErrorKind::limit,
                        "A text may take " + std::to_string(max_tokens) + " tokens, but this model puts " +
                            std::to_string(special) + " special ones around it.",
                        "Allow more tokens.");
        }
        keep = cut_longest(first.size(), second.size(), max_tokens - special);
    }
    Framed out;
    out.left_out = first.size() - keep.first + second.size() - keep.second;
    const auto put = [&](const std::vector<std::int32_t>& ids, std::size_t n) {
        out.ids.insert(out.ids.end(), ids.begin(), ids.begin() + static_cast<std::ptrdiff_t>(n));
    };
    for (const FramePart& part : parts) {
        if (part.id >= 0) out.ids.push_back(part.id);
        if (part.id == FramePart::kFirst) put(first, keep.first);
        if (part.id == FramePart::kSecond) put(second, keep.second);
        out.types.resize(out.ids.size(), part.type);
    }
    return out;
}

}  // namespace

Framed Tokenizer::frame(std::string_view text, std::size_t max_tokens) const {
    return put_together(single_, encode(text, {false, false}), {}, max_tokens);
}

Framed Tokenizer::frame_pair(std::string_view first, std::string_view second, std::size_t max_tokens) const {
    if (pair_.empty()) {
        throw Error(ErrorKind::unsupported, "This model's tokenizer does not say how two texts are written together.",
                    "Only models that were made for pairs judge them: rerankers and other cross-encoders.");
    }
    return put_together(pair_, encode(first, {false, false}), encode(second, {false, false}), max_tokens);
}

}  // namespace freehold
