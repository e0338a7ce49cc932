// Terminals byte by byte: UTF-8, the escapes of JSON strings, words, numbers, literals.
#include <algorithm>

#include "automaton.h"
#include "freehold/base/error.h"

namespace freehold::grammar {

namespace {

bool is_blank(std::uint8_t b) noexcept {
    return b == ' ' || b == '\t' || b == '\n' || b == '\r';
}

int hex_value(std::uint8_t b) noexcept {
    if (b >= '0' && b <= '9') return b - '0';
    const int low = b | 32;
    return low >= 'a' && low <= 'f' ? low - 'a' + 10 : -1;
}

std::uint64_t hash_words(std::initializer_list<std::uint64_t> values) noexcept {
    std::uint64_t h = 0x243F6A8885A308D3ULL;
    for (const std::uint64_t v : values) {
        h ^= v + 0x9E3779B97F4A7C15ULL + (h << 6U) + (h >> 2U);
        h *= 0xFF51AFD7ED558CCDULL;
        h ^= h >> 29U;
    }
    return h;
}

// The representative of all texts that can go on in the same ways, once only the syntax (and, for integers, the
// fraction) still counts.
std::string short_number(std::string_view text, NumberPhase phase, bool integer) {
    using P = NumberPhase;
    const bool negative = text.starts_with('-');
    const std::string sign = negative ? "-" : "";
    if (!integer) {
        switch (phase) {
            case P::begin:
                return "";
            case P::minus:
                return "-";
            case P::zero:
                return "0";
            case P::whole:
                return "1";
            case P::point:
                return "1.";
            case P::fraction:
                return "1.0";
            case P::e:
                return "1e";
            case P::e_sign:
                return "1e+";
            default:
                return "1e0";
        }
    }
    const std::string_view body = text.substr(negative ? 1 : 0);
    const std::size_t point = std::min(body.find('.'), body.size());
    const bool one_digit = point == 1 && body[0] != '0';
    if (phase == P::minus) return "-";
    if (phase == P::zero) return sign + "0";
    if (phase == P::whole) return sign + (one_digit ? "1" : "10");
    if (phase == P::point) return sign + (one_digit ? "1." : "10.");
    if (phase == P::fraction && !one_digit) return sign + "10.0";  // only zeros got here
    return std::string(text);
}

NumberPhase phase_of(std::string_view text) {
    NumberPhase p = NumberPhase::begin;
    for (const char c : text) p = next_phase(p, c);
    return p;
}

}  // namespace

std::uint32_t Automaton::start_of(std::uint32_t terminal) {
    std::uint32_t& known = starts_[terminal];
    if (known != kUnknown) return known;
    const Terminal& t = program_->terminals[terminal];
    TKey key;
    key.spec = terminal;
    key.phase = blanks;
    switch (t.kind) {
        case Terminal::Kind::text:
            key.kind = TKind::text;
            key.phase = inside;
            key.at = t.arg;
            if (!rx_.possible(key.at)) return known = kDead;
            break;
        case Terminal::Kind::string:
            key.kind = TKind::string;
            key.at = t.arg;
            if (!rx_.possible(key.at)) return known = kDead;
            break;
        case Terminal::Kind::words:
            key.kind = TKind::string;
            key.at = intern_word({t.arg, 0, static_cast<std::uint32_t>(program_->lists[t.arg].words.size()), 0, {}});
            break;
        case Terminal::Kind::key: {
            key.kind = TKind::string;
            const ObjectShape& o = program_->objects[t.arg];
            WordPlace w{o.words, 0, static_cast<std::uint32_t>(program_->lists[o.words].words.size()), 0, {}};
            for (const auto& other : o.others)
                w.others.push_back(rx_.possible(other.keys) ? other.keys : rx_.nothing());
            key.at = intern_word(std::move(w));
            break;
        }
        case Terminal::Kind::number:
            key.kind = TKind::number;
            key.value = t.arg;
            break;
        case Terminal::Kind::literal:
            key.kind = TKind::literal;
            break;
    }
    const std::uint32_t id = intern_terminal(key);
    return starts_[terminal] = id;
}

bool Automaton::accepting(const TKey& key) const {
    switch (key.kind) {
        case TKind::text:
            return key.phase == inside && rx_.nullable(key.at);
        case TKind::string:
            return key.phase == done;
        case TKind::number:
            return key.phase == inside && key.left != 0;
        case TKind::literal:
            return key.phase == done;
    }
    return false;
}

std::uint32_t Automaton::intern_terminal(const TKey& key) {
    // Terminals of one kind share their states: two strings with the same language go the same way.
    TKey k = key;
    const std::uint64_t h = hash_words(
        {static_cast<std::uint64_t>(k.kind) << 32U | k.phase << 16U | k.left << 8U | k.extra, k.spec, k.at, k.value});
    const auto [begin, end] = terminal_index_.equal_range(h);
    for (auto at = begin; at != end; ++at) {
        if (terminals_[at->second].key == k) return at->second;
    }
    const auto id = static_cast<std::uint32_t>(terminals_.size());
    terminals_.push_back({k, accepting(k)});
    terminal_tables_.emplace_back();
    terminal_index_.emplace(h, id);
    bytes_ += sizeof(TState) + sizeof(Table) + 64;
    return id;
}

std::uint32_t Automaton::find_terminal_step(std::uint32_t t, std::uint8_t byte) {
    if (++steps_ > 8 * limits_.steps) {
        throw Error(ErrorKind::limit, "The constraint needs too many steps for one token.",
                    "Use simpler patterns or fewer alternatives.");
    }
    const TKey key = terminals_[t].key;
    const std::uint32_t next = compute_terminal_step(key, byte);
    terminal_tables_[t].next[byte] = next;
    return next;
}

std::uint32_t Automaton::compute_terminal_step(const TKey& key, std::uint8_t byte) {
    if (key.kind != TKind::text && key.phase == blanks && is_blank(byte)) {
        const Terminal& t = program_->terminals[key.spec];
        if (!t.blanks) return kDead;
        if (program_->blanks == kNone) return intern_terminal(key);
        if (key.extra >= program_->blanks) return kDead;
        TKey next = key;
        ++next.extra;
        return intern_terminal(next);
    }
    switch (key.kind) {
        case TKind::text:
            return text_step(key, byte);
        case TKind::string:
            return string_step(key, byte);
        case TKind::number:
            return number_step(key, byte);
        case TKind::literal:
            break;
    }
    const std::string& text = program_->literals[program_->terminals[key.spec].arg];
    if (key.phase == done || static_cast<std::uint8_t>(text[key.at]) != byte) return kDead;
    TKey next = key;
    next.extra = 0;
    next.phase = ++next.at == text.size() ? done : inside;
    return intern_terminal(next);
}

std::uint32_t Automaton::after_char(TKey key, std::uint32_t next) {
    if (next == kDead) return kDead;
    key.phase = inside;
    key.left = key.extra = 0;
    key.value = 0;
    key.at = next;
    return intern_terminal(key);
}

std::uint32_t Automaton::utf8_lead(TKey key, std::uint8_t b) {
    CodePoint first = 0;
    CodePoint last = 0;
    if (b >= 0xC2 && b <= 0xDF) {
        key.left = 1;
        first = static_cast<CodePoint>(b & 0x1F) << 6U;
        last = first + 0x3F;
    } else if (b >= 0xE0 && b <= 0xEF) {
        key.left = 2;
        first = static_cast<CodePoint>(b & 0x0F) << 12U;
        last = first + 0xFFF;
        if (b == 0xE0) first = 0x800;
        if (b == 0xED) last = 0xD7FF;
    } else if (b >= 0xF0 && b <= 0xF4) {
        key.left = 3;
        first = static_cast<CodePoint>(b & 0x07) << 18U;
        last = first + 0x3FFFF;
        if (b == 0xF0) first = 0x10000;
        if (b == 0xF4) last = kLastCodePoint;
    } else {
        return kDead;
    }
    const auto floor = static_cast<std::uint32_t>(b == 0xE0 ? 0xA0 : b == 0xF0 ? 0x90 : 0x80);
    const auto ceiling = static_cast<std::uint32_t>(b == 0xED ? 0x9F : b == 0xF4 ? 0x8F : 0xBF);
    if (char_constant(key.at, first, last)) {
        const std::uint32_t target = char_step(key.at, first);
        if (target == kDead) return kDead;
        key.phase = partial_any;
        key.at = target;
        key.value = floor | ceiling << 8U;
        return intern_terminal(key);
    }
    key.phase = partial;
    key.value = (floor | ceiling << 8U) << 16U | (b & (0x3FU >> key.left));
    return intern_terminal(key);
}

std::uint32_t Automaton::utf8_next(TKey key, std::uint8_t b) {
    if (key.phase == partial_any) {
        if (b < (key.value & 0xFFU) || b > (key.value >> 8U)) return kDead;
        if (--key.left == 0) return after_char(key, key.at);
        key.value = 0x80U | 0xBFU << 8U;
        return intern_terminal(key);
    }
    // value: range of the next byte, 16 bits each for low | high << 8, over the bits so far (up to 15 are needed).
    const std::uint32_t range = key.value >> 16U;
    if (b < (range & 0xFFU) || b > (range >> 8U)) return kDead;
    const std::uint32_t bits = (key.value & 0xFFFFU) << 6U | (b & 0x3FU);
    --key.left;
    if (key.left == 0) return after_char(key, char_step(key.at, bits));
    const CodePoint first = bits << (6U * key.left);
    const CodePoint last = first | ((1U << (6U * key.left)) - 1);
    if (char_constant(key.at, first, last)) {
        const std::uint32_t target = char_step(key.at, first);
        if (target == kDead) return kDead;
        key.phase = partial_any;
        key.at = target;
        key.value = 0x80U | 0xBFU << 8U;
        return intern_terminal(key);
    }
    key.value = (0x80U | 0xBFU << 8U) << 16U | bits;
    return intern_terminal(key);
}

Ranges Automaton::becoming(const TKey& k) const {
    const bool plain = program_->plain_escapes;
    constexpr CodePoint kHigh = 0xD800;
    constexpr CodePoint kLow = 0xDC00;
    constexpr CodePoint kBehind = 0xE000;
    switch (k.phase) {
        case partial: {
            const std::uint32_t range = k.value >> 16U;
            const auto at = [&](std::uint32_t byte) {
                return ((k.value & 0xFFFFU) << 6U | (byte & 0x3FU)) << (6U * (k.left - 1U));
            };
            return {{at(range & 0xFFU), at(range >> 8U) | ((1U << (6U * (k.left - 1U))) - 1)}};
        }
        case escape:
            if (!plain) return {{0, kLastCodePoint}};
            return {{0, 0x1F}, {'"', '"'}, {'/', '/'}, {'\\', '\\'}};
        case hex: {
            const CodePoint first = k.value << (4U * k.left);
            const CodePoint last = first | ((1U << (4U * k.left)) - 1);
            if (plain) return {{first, std::min<CodePoint>(last, 0x1F)}};
            Ranges out;
            if (first < kHigh) out.push_back({first, std::min<CodePoint>(last, kHigh - 1)});
            if (first < kLow && last >= kHigh) {
                out.push_back({0x10000 + ((std::max(first, kHigh) - kHigh) << 10U),
                               0x10000 + ((std::min<CodePoint>(last, kLow - 1) - kHigh) << 10U) + 0x3FF});
            }
            if (last >= kBehind) out.push_back({std::max(first, kBehind), last});
            return out;
        }
        case high:
        case high_u:
            return {{0x10000 + (k.value << 10U), 0x10000 + (k.value << 10U) + 0x3FF}};
        case low: {
            const CodePoint base = 0x10000 + ((k.value >> 16U) << 10U);
            const CodePoint first = std::max<CodePoint>((k.value & 0xFFFFU) << (4U * k.left), kLow);
            const CodePoint last =
                std::min<CodePoint>((k.value & 0xFFFFU) << (4U * k.left) | ((1U << (4U * k.left)) - 1), kBehind - 1);
            if (first > last) return {};
            return {{base + first - kLow, base + last - kLow}};
        }
        default:
            return {};
    }
}

std::uint32_t Automaton::text_step(TKey key, std::uint8_t b) {
    if (key.phase != inside) return utf8_next(key, b);
    if (b < 0x80) return after_char(key, char_step(key.at, b));
    if (b == 0xFF) return after_char(key, char_step(key.at, kSpecialMark));
    return utf8_lead(key, b);
}

std::uint32_t Automaton::string_step(TKey key, std::uint8_t b) {
    const auto some = [&](CodePoint first, CodePoint last) {
        return !char_constant(key.at, first, last) || char_step(key.at, first) != kDead;
    };
    // With plain escapes only what JSON makes one escape is: quotes, backslashes, control characters.
    const bool plain = program_->plain_escapes;
    switch (key.phase) {
        case blanks:
            if (b != '"') return kDead;
            key.phase = inside;
            key.extra = 0;
            return intern_terminal(key);
        case inside:
            if (b == '"') {
                if (!char_final(key.at)) return kDead;
                key.phase = done;
                return intern_terminal(key);
            }
            if (b == '\\') {
                const bool any = plain ? some(0, 0x1F) || some('"', '"') || some('\\', '\\') || some('/', '/')
                                       : some(0, 0xD7FF) || some(0xE000, kLastCodePoint);
                if (!any) return kDead;
                key.phase = escape;
                return intern_terminal(key);
            }
            if (b < 0x20) return kDead;
            if (b < 0x80) return after_char(key, char_step(key.at, b));
            return utf8_lead(key, b);
        case escape: {
            if (b == 'u') {
                key.phase = hex;
                key.left = 4;
                key.value = 0;
                if (!some(0, plain ? 0x1F : 0xD7FF) && (plain || !some(0xE000, kLastCodePoint))) return kDead;
                return intern_terminal(key);
            }
            static constexpr std::string_view kNames = "\"\\/bfnrt";
            static constexpr std::string_view kValues = "\"\\/\b\f\n\r\t";
            const std::size_t at = b < 0x80 ? kNames.find(static_cast<char>(b)) : std::string_view::npos;
            if (at == std::string_view::npos) return kDead;
            return after_char(key, char_step(key.at, static_cast<CodePoint>(kValues[at])));
        }
        case hex: {
            const int digit = hex_value(b);
            if (digit < 0) return kDead;
            key.value = key.value << 4U | static_cast<std::uint32_t>(digit);
            --key.left;
            const CodePoint first = key.value << (4U * key.left);
            const CodePoint last = first | ((1U << (4U * key.left)) - 1);
            if (plain) {
                if (first > 0x1F || !some(first, std::min<CodePoint>(last, 0x1F))) return kDead;
                if (key.left > 0) return intern_terminal(key);
            }
            if (key.left == 0) {
                if (first >= 0xD800 && first <= 0xDBFF) {
                    key.phase = high;
                    key.value = first - 0xD800;
                    const CodePoint base = 0x10000 + (key.value << 10U);
                    return some(base, base + 0x3FF) ? intern_terminal(key) : kDead;
                }
                if (first >= 0xDC00 && first <= 0xDFFF) return kDead;  // half a pair is no character
                return after_char(key, char_step(key.at, first));
            }
            bool alive = false;
            if (first < 0xD800) alive = some(first, std::min<CodePoint>(last, 0xD7FF));
            if (!alive && last > 0xDFFF) alive = some(std::max<CodePoint>(first, 0xE000), last);
            if (!alive && first <= 0xDBFF && last >= 0xD800) {
                const CodePoint from = 0x10000 + ((std::max<CodePoint>(first, 0xD800) - 0xD800) << 10U);
                const CodePoint to = 0x10000 + ((std::min<CodePoint>(last, 0xDBFF) - 0xD800) << 10U) + 0x3FF;
                alive = some(from, to);
            }
            return alive ? intern_terminal(key) : kDead;
        }
        case high:
            if (b != '\\') return kDead;
            key.phase = high_u;
            return intern_terminal(key);
        case high_u:
            if (b != 'u') return kDead;
            key.phase = low;
            key.left = 4;
            key.value <<= 16U;
            return intern_terminal(key);
        case low: {
            const int digit = hex_value(b);
            if (digit < 0) return kDead;
            const std::uint32_t bits = (key.value & 0xFFFFU) << 4U | static_cast<std::uint32_t>(digit);
            const CodePoint base = 0x10000 + ((key.value >> 16U) << 10U);
            --key.left;
            const std::uint32_t first = std::max<std::uint32_t>(bits << (4U * key.left), 0xDC00);
            const std::uint32_t last =
                std::min<std::uint32_t>(bits << (4U * key.left) | ((1U << (4U * key.left)) - 1), 0xDFFF);
            if (first > last || !some(base + first - 0xDC00, base + last - 0xDC00)) return kDead;
            if (key.left == 0) return after_char(key, char_step(key.at, base + first - 0xDC00));
            key.value = (key.value & 0xFFFF0000U) | bits;
            return intern_terminal(key);
        }
        case partial:
        case partial_any:
            return utf8_next(key, b);
        default:
            return kDead;
    }
}

std::uint32_t Automaton::number_step(TKey key, std::uint8_t b) {
    if (b >= 0x80) return kDead;
    std::string text = texts_[key.at];
    const auto c = static_cast<char>(b);
    const NumberPhase phase = next_phase(phase_of(text), c);
    if (phase == NumberPhase::wrong || text.size() > 2000) return kDead;
    text.push_back(c);
    const NumberRule* rule = &numbers_[key.value];
    if (!rule->free() && key.value != free_integer_ && !rule->plain) {
        if (settled(*rule, text, phase)) {
            key.value = free_number_;
        } else if (rule->step && *rule->step == make_decimal("1")) {
            NumberRule bounds = *rule;
            bounds.step.reset();
            if (settled(bounds, text, phase)) key.value = free_integer_;
        }
        rule = &numbers_[key.value];
    }
    key.phase = inside;
    key.extra = 0;
    if (key.value == free_number_) {
        text = short_number(text, phase, false);
    } else {
        if (!viable(*rule, text, phase)) return kDead;
        if (key.value == free_integer_) text = short_number(text, phase, true);
    }
    const auto [at, fresh] = text_index_.emplace(text, static_cast<std::uint32_t>(texts_.size()));
    if (fresh) texts_.push_back(text);
    key.at = at->second;
    key.left = 0;
    if (complete(phase)) key.left = rule->free() || rule->matches(make_decimal(text)) ? 1 : 0;
    return intern_terminal(key);
}

// --- states over code points ---------------------------------------------------------------------------------------

std::uint32_t Automaton::intern_word(WordPlace w) {
    std::uint64_t h = hash_words({w.list, w.first, w.last, w.depth});
    for (const Rx r : w.others) h = hash_words({h, r});
    const auto [begin, end] = word_index_.equal_range(h);
    for (auto at = begin; at != end; ++at) {
        if (words_[at->second] == w) return at->second | kWordBit;
    }
    const auto id = static_cast<std::uint32_t>(words_.size());
    bytes_ += sizeof(WordPlace) + w.others.size() * sizeof(Rx) + 64;
    words_.push_back(std::move(w));
    word_index_.emplace(h, id);
    return id | kWordBit;
}

std::uint32_t Automaton::char_step(std::uint32_t at, CodePoint c) {
    if ((at & kWordBit) == 0) {
        const Rx next = rx_.derivative(at, c);
        return rx_.possible(next) ? next : kDead;
    }
    WordPlace w = words_[at & ~kWordBit];
    const auto& words = program_->lists[w.list].words;
    const auto begin = words.begin() + w.first;
    const auto end = words.begin() + w.last;
    const std::uint32_t d = w.depth;
    const auto from = std::partition_point(
        begin, end, [&](const std::u32string& s) { return s.size() <= d || static_cast<CodePoint>(s[d]) < c; });
    const auto to =
        std::partition_point(from, end, [&](const std::u32string& s) { return static_cast<CodePoint>(s[d]) == c; });
    w.first = static_cast<std::uint32_t>(from - words.begin());
    w.last = static_cast<std::uint32_t>(to - words.begin());
    w.depth = d + 1;
    bool alive = w.first < w.last;
    if (!alive) w.first = w.last = w.depth = 0;
    for (Rx& r : w.others) {
        r = rx_.derivative(r, c);
        if (!rx_.possible(r)) r = rx_.nothing();
        alive = alive || r != rx_.nothing();
    }
    return alive ? intern_word(std::move(w)) : kDead;
}

bool Automaton::word_constant(const WordPlace& w, CodePoint first, CodePoint last) const {
    const auto& words = program_->lists[w.list].words;
    for (std::uint32_t i = w.first; i < w.last; ++i) {
        if (words[i].size() <= w.depth) continue;
        const auto c = static_cast<CodePoint>(words[i][w.depth]);
        if (c >= first && c <= last) return false;
        if (c > last) break;
    }
    return true;
}

bool Automaton::char_constant(std::uint32_t at, CodePoint first, CodePoint last) {
    if ((at & kWordBit) == 0) return rx_.constant_on(at, first, last);
    const WordPlace& w = words_[at & ~kWordBit];
    if (first != last && !word_constant(w, first, last)) return false;
    const std::vector<Rx> others = w.others;
    return std::all_of(others.begin(), others.end(), [&](Rx r) { return rx_.constant_on(r, first, last); });
}

bool Automaton::char_final(std::uint32_t at) const {
    if ((at & kWordBit) == 0) return rx_.nullable(at);
    const WordPlace& w = words_[at & ~kWordBit];
    if (w.first < w.last && program_->lists[w.list].words[w.first].size() == w.depth) return true;
    return std::any_of(w.others.begin(), w.others.end(), [this](Rx r) { return rx_.nullable(r); });
}

bool Automaton::terminal_counter(std::uint32_t t, Regexes::Counter& out) const noexcept {
    const TKey& k = terminals_[t].key;
    return k.kind == TKind::string && k.phase == inside && (k.at & kWordBit) == 0 && rx_.counter(k.at, out);
}

std::uint32_t Automaton::near_terminal(std::uint32_t t, std::uint32_t longest) {
    Regexes::Counter c{};
    if (!terminal_counter(t, c)) return t;
    const std::uint32_t far = longest + 1;
    const std::uint32_t least = std::min(c.least, far);
    std::uint32_t most = c.most == kNoBound || c.most > far + least ? kNoBound : c.most;
    if (c.least > far && most != kNoBound) most = kNoBound;  // it cannot end within one token either way
    if (least == c.least && most == c.most) return t;
    TKey key = terminals_[t].key;
    key.at = rx_.rep(rx_.any(), least, most);
    return intern_terminal(key);
}

bool Automaton::takes_any(std::uint32_t t, std::uint32_t n) {
    const TKey& k = terminals_[t].key;
    if (k.kind != TKind::string || k.phase != inside) return false;
    if ((k.at & kWordBit) != 0) {
        const auto& others = words_[k.at & ~kWordBit].others;
        return std::find(others.begin(), others.end(), rx_.anything()) != others.end();
    }
    Regexes::Counter counter{};
    if (rx_.counter(k.at, counter)) return counter.most >= n;
    const std::uint64_t memo = static_cast<std::uint64_t>(k.at) << 32U | n;
    if (const auto found = takes_any_.find(memo); found != takes_any_.end()) return found->second;
    // Breadth first over what well-formed characters lead to; a few dozen states are as far as it is worth.
    std::vector<Rx> level{k.at};
    std::vector<Rx> seen{k.at};
    bool ok = true;
    for (std::uint32_t depth = 0; ok && depth < n && !level.empty(); ++depth) {
        std::vector<Rx> next;
        for (const Rx r : level) {
            CodePoint c = 0x20;
            while (ok && c <= kLastCodePoint) {
                // The end of the stretch on which the derivative stays the same.
                CodePoint floor = c;
                CodePoint ceiling = kLastCodePoint;
                while (floor < ceiling) {
                    const CodePoint middle = floor + (ceiling - floor + 1) / 2;
                    if (rx_.constant_on(r, c, middle)) {
                        floor = middle;
                    } else {
                        ceiling = middle - 1;
                    }
                }
                const bool only_special = c == floor && (c == '"' || c == '\\');
                if (!only_special) {
                    const std::uint32_t to = char_step(r, c);
                    if (to == kDead) {
                        ok = false;
                    } else if (std::find(seen.begin(), seen.end(), to) == seen.end()) {
                        seen.push_back(to);
                        next.push_back(to);
                        ok = seen.size() <= 48;
                    }
                }
                c = floor + 1;
            }
        }
        level = std::move(next);
    }
    takes_any_.emplace(memo, ok);
    return ok;
}

}  // namespace freehold::grammar
