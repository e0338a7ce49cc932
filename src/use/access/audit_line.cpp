// One entry as one line of JSON. The hash stands last and covers the bytes of the line before it, so that nobody has to
// agree on a canonical form of JSON to check it.
#include <fmt/format.h>

#include "crypto.h"
#include "freehold/access/audit.h"
#include "freehold/base/printable.h"

namespace freehold::access {
namespace {

constexpr std::string_view kHashMark = R"(,"hash":")";
constexpr std::string_view kSignMark = R"(,"signature":")";
constexpr std::size_t kMaxText = 512, kMaxDetails = 16384;

[[noreturn]] void bad(const std::string& what, const std::string& fault) {
    throw Error(ErrorKind::bad_file, fmt::format("{}: {}", what, fault),
                "`freehold audit verify` says where the log stops holding together.");
}

// Splits `{...,"MARK":"HEX"}` into the bytes before the mark and the hex; empty hex: it is not so formed.
std::pair<std::string_view, std::string_view> split_end(std::string_view line, std::string_view mark, std::size_t hex) {
    const std::size_t tail = mark.size() + hex + 2;
    if (line.size() < tail || !line.ends_with("\"}")) return {};
    const std::string_view head = line.substr(0, line.size() - tail);
    if (line.substr(head.size(), mark.size()) != mark) return {};
    const std::string_view digits = line.substr(head.size() + mark.size(), hex);
    for (const char c : digits) {
        if (!((c >= '0' && c <= '9') || (c >= 'a' && c <= 'f'))) return {};
    }
    return {head, digits};
}

void put(ValueMap& map, const char* key, const std::string& text) {
    if (!text.empty()) map.set(key, valid_utf8(std::string_view(text).substr(0, kMaxText)));
}
void put(ValueMap& map, const char* key, std::int64_t number) {
    if (number != 0) map.set(key, number);
}

// The fields of what happened, in the order in which lines have them.
void put_entry(ValueMap& map, const AuditEntry& entry) {
    put(map, "key", entry.key_id);
    put(map, "name", entry.name);
    put(map, "tenant", entry.tenant);
    put(map, "by", entry.by);
    put(map, "request", entry.request_id);
    put(map, "response", entry.response_id);
    put(map, "route", entry.route);
    put(map, "model", entry.model);
    put(map, "weights", entry.weights);
    put(map, "adapter", entry.adapter);
    put(map, "prompt_tokens", entry.prompt_tokens);
    put(map, "completion_tokens", entry.completion_tokens);
    put(map, "outcome", entry.outcome);
    put(map, "status", entry.status);
    if (!entry.safeguards.empty()) {
        ValueList list;
        for (const std::string& decision : entry.safeguards) {
            if (list.size() < 32) list.emplace_back(valid_utf8(std::string_view(decision).substr(0, kMaxText)));
        }
        map.set("safeguards", std::move(list));
    }
    put(map, "prompt_digest", entry.prompt_digest);
    put(map, "completion_digest", entry.completion_digest);
    if (entry.details.empty()) return;
    if (to_json(Value(entry.details)).size() <= kMaxDetails) {
        map.set("details", entry.details);
    } else {
        map.set("details", ValueMap{{"left_out", "larger than an entry may be"}});
    }
}

const ValueMap& map_of(const Value& value, const std::string& what) {
    if (const auto* map = value.get<ValueMap>()) return *map;
    bad(what, "the line is no JSON object.");
}

std::string text_of(const ValueMap& map, const char* key, const std::string& what, bool required = false) {
    const Value* value = map.find(key);
    if (value == nullptr) {
        if (required) bad(what, fmt::format("the field \"{}\" is missing.", key));
        return {};
    }
    const auto text = value->as_string();
    if (!text) bad(what, fmt::format("the field \"{}\" is no text.", key));
    return std::string(*text);
}

std::int64_t number_of(const ValueMap& map, const char* key, const std::string& what, bool required = false) {
    const Value* value = map.find(key);
    if (value == nullptr) {
        if (required) bad(what, fmt::format("the field \"{}\" is missing.", key));
        return 0;
    }
    const auto* number = value->get<std::int64_t>();
    if (number == nullptr || *number < 0) bad(what, fmt::format("the field \"{}\" is no count.", key));
    return *number;
}

}  // namespace

void AuditEntry::set_who(const Principal& who) {
    key_id = who.key_id;
    name = who.name;
    tenant = who.tenant;
    by = how_name(who.how);
}

std::string audit_line(AuditRecord& record) {
    ValueMap map;
    map.set("v", 1);
    map.set("chain", record.chain);
    map.set("seq", static_cast<std::int64_t>(record.seq));
    map.set("time", record.time);
    map.set("prev", record.prev);
    map.set("kind", record.kind);
    put_entry(map, record);
    std::string line = to_json(Value(std::move(map)));
    line.pop_back();  // the closing brace comes after the hash
    record.hash = crypto::sha256(line);
    return line.append(kHashMark).append(record.hash).append("\"}");
}

AuditRecord parse_audit_line(std::string_view line, const std::string& what) {
    const auto [head, hash] = split_end(line, kHashMark, 64);
    if (hash.empty()) bad(what, "the line does not end with the hash of an entry.");
    if (!crypto::equal(crypto::sha256(head), hash)) bad(what, "the bytes of the entry are not those of its hash.");
    const Value value = parse_json(line, what);
    const ValueMap& map = map_of(value, what);
    if (number_of(map, "v", what, true) != 1) bad(what, "the entry is of a version that this program does not know.");
    AuditRecord record;
    record.hash = std::string(hash);
    record.chain = text_of(map, "chain", what, true);
    record.seq = static_cast<std::uint64_t>(number_of(map, "seq", what, true));
    record.time = text_of(map, "time", what, true);
    record.prev = text_of(map, "prev", what, true);
    record.kind = text_of(map, "kind", what, true);
    record.key_id = text_of(map, "key", what);
    record.name = text_of(map, "name", what);
    record.tenant = text_of(map, "tenant", what);
    record.by = text_of(map, "by", what);
    record.request_id = text_of(map, "request", what);
    record.response_id = text_of(map, "response", what);
    record.route = text_of(map, "route", what);
    record.model = text_of(map, "model", what);
    record.weights = text_of(map, "weights", what);
    record.adapter = text_of(map, "adapter", what);
    record.prompt_tokens = number_of(map, "prompt_tokens", what);
    record.completion_tokens = number_of(map, "completion_tokens", what);
    record.outcome = text_of(map, "outcome", what);
    record.status = static_cast<int>(number_of(map, "status", what));
    if (const Value* list = map.find("safeguards")) {
        for (std::size_t i = 0; i < list->size(); ++i) {
            const Value decision = list->at(i);
            if (!decision.as_string()) bad(what, "a decision under \"safeguards\" is no text.");
            record.safeguards.emplace_back(*decision.as_string());
        }
    }
    record.prompt_digest = text_of(map, "prompt_digest", what);
    record.completion_digest = text_of(map, "completion_digest", what);
    if (const Value* details = map.find("details")) record.details = map_of(*details, what);
    return record;
}

ValueMap audit_json(const AuditRecord& record) {
    ValueMap map;
    map.set("chain", record.chain);
    map.set("seq", static_cast<std::int64_t>(record.seq));
    map.set("time", record.time);
    map.set("kind", record.kind);
    put_entry(map, record);
    map.set("prev", record.prev);
    map.set("hash", record.hash);
    return map;
}

AuditCheckpoint parse_checkpoint_line(std::string_view line, const std::string& what) {
    const auto [head, signature] = split_end(line, kSignMark, 128);
    if (signature.empty()) bad(what, "the line does not end with a signature.");
    const Value value = parse_json(line, what);
    const ValueMap& map = map_of(value, what);
    AuditCheckpoint point;
    point.chain = text_of(map, "chain", what, true);
    point.number = static_cast<std::uint64_t>(number_of(map, "number", what, true));
    point.seq = static_cast<std::uint64_t>(number_of(map, "seq", what, true));
    point.hash = text_of(map, "hash", what, true);
    point.time = text_of(map, "time", what, true);
    point.key = text_of(map, "key", what, true);
    point.signature = std::string(signature);
    return point;
}

std::string checkpoint_message(std::string_view line) {
    // The words in front keep a signature from meaning anything elsewhere.
    return "freehold audit checkpoint\n" + std::string(split_end(line, kSignMark, 128).first);
}

}  // namespace freehold::access
