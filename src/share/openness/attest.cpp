// Attestations: canonical words, an Ed25519 signature over them, one JSON file beside the model.
#include "freehold/openness/attest.h"

#include <fmt/format.h>

#include <array>
#include <optional>

#include "freehold/base/error.h"
#include "freehold/base/file.h"
#include "freehold/base/printable.h"
#include "freehold/bundle/signature.h"

namespace freehold::openness {
namespace {

namespace fs = std::filesystem;

constexpr std::array<AttestItem, 7> kItems = {{
    {"data-described",
     "Is all the training data described here, also what cannot be shared: provenance, scope, how it was "
     "obtained, selected, labelled, processed and filtered?"},
    {"data-listed", "Is every public and every obtainable source of training data listed with where to get it?"},
    {"data-shareable", "May the training data that lies here be passed on?"},
    {"data-complete", "Is the training data that lies here all of it, and the very data?"},
    {"code-complete", "Is the code that lies here all the code, with the settings, by which this model was made?"},
    {"weights-from-code", "Were these very weights made by that code from that data?"},
    {"results-own", "Were the evaluation results measured on these very weights?"},
}};

std::string to_hex(std::string_view bytes) {
    std::string out;
    for (const char b : bytes) out += fmt::format("{:02x}", static_cast<unsigned char>(b));
    return out;
}

std::string from_hex(std::string_view hex) {
    std::string out;
    if (hex.size() % 2 != 0) return out;
    for (std::size_t i = 0; i < hex.size(); ++i) {
        const char c = hex[i];
        const int digit = c >= '0' && c <= '9' ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
        if (digit < 0) return {};
        if (i % 2 == 0)
            out.push_back(static_cast<char>(digit << 4));
        else
            out.back() = static_cast<char>(out.back() | digit);
    }
    return out;
}

// What is signed: words in front that keep the signature from meaning anything elsewhere, then the fields in a fixed
// order, each as a JSON text so that no value can pose as two.
std::string message_of(const Attestation& a) {
    const ValueList fields = {Value(a.item),      Value(a.answer ? "yes" : "no"),
                              Value(a.name),      Value(a.role),
                              Value(a.statement), Value(a.date),
                              Value(a.subject),   Value(a.digest)};
    return "freehold openness attestation v1\n" + to_json(Value(fields));
}

// Nothing for what is no Ed25519 key.
std::optional<bundle::PublicKey> public_key(const std::string& pem) {
    try {
        bundle::PublicKey key = bundle::PublicKey::from_pem(pem, "an attestation's key");
        if (key.kind() == bundle::KeyKind::ed25519) return key;
    } catch (const Error&) {
        return std::nullopt;
    }
    return std::nullopt;
}

std::string fingerprint_of(const bundle::PublicKey& key) {
    return key.hint().substr(0, 16);
}

bool verified(const Attestation& a, const bundle::PublicKey& key) {
    const std::string signature = from_hex(a.signature);
    return !signature.empty() && key.verify(message_of(a), signature);
}

fs::path key_file(const fs::path& folder) {
    return folder / "signing.key.pem";
}

bundle::PrivateKey private_key(const fs::path& folder) {
    const fs::path file = key_file(folder);
    std::error_code ec;
    fs::create_directories(folder, ec);
    if (!fs::exists(file, ec)) try {
            bundle::PrivateKey::generate(bundle::KeyKind::ed25519).save(file);
        } catch (const Error& e) {
            if (e.kind() != ErrorKind::conflict) throw;  // somebody else was first: theirs is taken
        }
    return bundle::PrivateKey::load(file);
}

std::string field(const ValueMap& map, const char* key) {
    const Value* v = map.find(key);
    return v == nullptr ? std::string() : std::string(v->as_string().value_or(""));
}

ValueList list_in(const fs::path& file) {
    std::error_code ec;
    if (!fs::exists(file, ec)) return {};
    const Value root = parse_json(read_text(file, 4U << 20), file.string());
    const Value* list = root.get<ValueMap>() != nullptr ? root.get<ValueMap>()->find("attestations") : nullptr;
    if (list == nullptr)
        throw Error(ErrorKind::bad_file, fmt::format("{} is no file of attestations.", file.string()),
                    "`freehold openness attest` writes such files; move this one away.");
    ValueList out;
    for (std::size_t i = 0; i < list->size(); ++i) out.push_back(list->at(i));
    return out;
}

}  // namespace

std::span<const AttestItem> attest_items() noexcept {
    return kItems;
}

const char* state_key(Attestation::State s) noexcept {
    constexpr std::array<const char*, 3> kKeys = {"good", "about another version", "signature does not fit"};
    return kKeys[static_cast<std::size_t>(s)];
}

Attestation sign(Attestation what, const fs::path& folder) {
    const bundle::PrivateKey key = private_key(folder);
    what.public_key = key.public_key().pem();
    what.signature = to_hex(key.sign(message_of(what)));
    what.fingerprint = fingerprint_of(key.public_key());
    what.own_key = true;
    return what;
}

std::string own_public_key(const fs::path& folder) {
    std::error_code ec;
    const fs::path file = key_file(folder);
    return fs::exists(file, ec) ? bundle::PrivateKey::load(file).public_key().pem() : std::string();
}

ValueMap to_value(const Attestation& a) {
    ValueMap out;
    out.set("item", a.item);
    out.set("answer", a.answer ? "yes" : "no");
    out.set("name", a.name);
    out.set("role", a.role);
    out.set("statement", a.statement);
    out.set("date", a.date);
    out.set("subject", a.subject);
    out.set("digest", a.digest);
    out.set("public_key", a.public_key);
    out.set("signature", a.signature);
    return out;
}

void keep(const fs::path& file, const Attestation& what) {
    ValueList list = list_in(file);
    list.emplace_back(to_value(what));
    ValueMap root;
    root.set("version", 1);
    root.set("about",
             "What people said of this model, signed. Claims by persons, no evidence; `freehold openness` shows them.");
    root.set("attestations", std::move(list));
    std::error_code ec;
    if (file.has_parent_path()) fs::create_directories(file.parent_path(), ec);
    write_text_atomic(file, to_json(Value(std::move(root)), 2) + "\n");
}

std::vector<Attestation> read_attestations(const fs::path& file, std::string_view digest, std::string_view own) {
    std::vector<Attestation> out;
    const auto mine = public_key(std::string(own));
    const std::string my_print = mine ? fingerprint_of(*mine) : "";
    for (const Value& v : list_in(file)) {
        const auto* map = v.get<ValueMap>();
        if (map == nullptr) continue;
        Attestation a;
        a.item = field(*map, "item");
        a.answer = field(*map, "answer") == "yes";
        a.name = field(*map, "name");
        a.role = field(*map, "role");
        a.statement = field(*map, "statement");
        a.date = field(*map, "date");
        a.subject = field(*map, "subject");
        a.digest = field(*map, "digest");
        a.public_key = field(*map, "public_key");
        a.signature = field(*map, "signature");
        const auto key = public_key(a.public_key);
        if (key) a.fingerprint = fingerprint_of(*key);
        a.own_key = !my_print.empty() && a.fingerprint == my_print;
        a.state = !key || !verified(a, *key) ? Attestation::State::forged
                  : a.digest != digest       ? Attestation::State::stale
                                             : Attestation::State::good;
        // Shown on terminals and pages: control characters go after the signature was checked over the true words.
        for (std::string* s : {&a.item, &a.name, &a.role, &a.date, &a.subject}) *s = printable(*s, 300);
        a.statement = printable(a.statement, 4000);
        out.push_back(std::move(a));
    }
    return out;
}

const Attestation* latest(std::span<const Attestation> all, std::string_view item) {
    const Attestation* out = nullptr;
    for (const Attestation& a : all)
        if (a.item == item && a.state == Attestation::State::good && (out == nullptr || a.date >= out->date)) out = &a;
    return out;
}

}  // namespace freehold::openness
