// The envelope: DSSE v1 (secure-systems-lab/dsse) inside a Sigstore bundle v0.3, written and read.
// The reader takes one form only; whatever else a bundle may hold is refused by name.
#include <fmt/format.h>

#include <algorithm>
#include <initializer_list>

#include "base64.h"
#include "freehold/base/error.h"
#include "freehold/base/printable.h"
#include "freehold/base/value.h"
#include "freehold/bundle/signature.h"

namespace freehold::bundle {
namespace {

constexpr const char* kBundleType = "application/vnd.dev.sigstore.bundle.v0.3+json";

[[noreturn]] void bad(const std::string& what, const std::string& message) {
    throw Error(ErrorKind::bad_file, fmt::format("{}: {}", what, message),
                "Ask whoever signed it for the file as it was made.");
}

// Pre-authentication encoding: lengths in front, so that type and payload cannot be shifted against each other.
std::string pre_authentication(std::string_view type, std::string_view payload) {
    return fmt::format("DSSEv1 {} {} {} {}", type.size(), type, payload.size(), payload);
}

const ValueMap& object(const Value* value, std::string_view key, const std::string& what) {
    const ValueMap* map = value == nullptr ? nullptr : value->get<ValueMap>();
    if (map == nullptr) bad(what, fmt::format("\"{}\" is not there, or no object.", key));
    return *map;
}

std::string text(const ValueMap& map, std::string_view key, const std::string& what) {
    const Value* value = map.find(key);
    const auto string = value == nullptr ? std::nullopt : value->as_string();
    if (!string) bad(what, fmt::format("\"{}\" is not there, or no text.", key));
    return std::string(*string);
}

void only(const ValueMap& map, std::initializer_list<std::string_view> known, const std::string& what) {
    for (const ValueEntry& entry : map)
        if (std::ranges::find(known, entry.key) == known.end())
            bad(what, fmt::format("the key \"{}\" has no place there.", printable(entry.key)));
}

std::string decoded(const ValueMap& map, std::string_view key, const std::string& what) {
    const auto bytes = from_base64(text(map, key, what));
    if (!bytes) bad(what, fmt::format("\"{}\" is no Base64.", key));
    return *bytes;
}

std::string read_hint(const ValueMap& material, const std::string& what) {
    for (const char* identity : {"certificate", "x509CertificateChain"})
        if (material.find(identity) != nullptr)
            throw Error(ErrorKind::unsupported,
                        fmt::format("{} is signed by the certificate of an identity, not by a key.", what),
                        "That takes Sigstore's root of trust and its log; check it with Sigstore's own client.");
    only(material, {"publicKey", "tlogEntries", "timestampVerificationData"}, what);
    const ValueMap& key = object(material.find("publicKey"), "publicKey", what);
    only(key, {"hint"}, what);
    return key.find("hint") == nullptr ? std::string() : text(key, "hint", what);
}

}  // namespace

std::string sign_envelope(const PrivateKey& key, std::string_view payload_type, std::string_view payload) {
    ValueMap signature{{"sig", to_base64(key.sign(pre_authentication(payload_type, payload)))}, {"keyid", ""}};
    ValueMap envelope{{"payload", to_base64(payload)},
                      {"payloadType", std::string(payload_type)},
                      {"signatures", ValueList{Value(std::move(signature))}}};
    ValueMap material{{"publicKey", ValueMap{{"hint", key.public_key().hint()}}}, {"tlogEntries", ValueList{}}};
    ValueMap out{{"mediaType", kBundleType},
                 {"verificationMaterial", std::move(material)},
                 {"dsseEnvelope", std::move(envelope)}};
    return to_json(Value(std::move(out)));
}

Envelope parse_envelope(std::string_view json, const std::string& what) {
    if (json.size() > kMaxEnvelope) bad(what, fmt::format("it is larger than {} bytes.", kMaxEnvelope));
    const Value tree = parse_json(json, what);
    const ValueMap& map = object(&tree, "the document", what);
    if (const std::string type = text(map, "mediaType", what);
        type != kBundleType && type != "application/vnd.dev.sigstore.bundle+json;version=0.3")
        bad(what, fmt::format("its mediaType is \"{}\", expected \"{}\".", printable(type), kBundleType));
    if (map.find("messageSignature") != nullptr)
        throw Error(ErrorKind::unsupported, fmt::format("{} signs one message and holds no envelope.", what),
                    "Models are signed as an in-toto statement in an envelope.");
    only(map, {"mediaType", "verificationMaterial", "dsseEnvelope"}, what);
    Envelope out;
    out.hint = read_hint(object(map.find("verificationMaterial"), "verificationMaterial", what), what);
    const ValueMap& envelope = object(map.find("dsseEnvelope"), "dsseEnvelope", what);
    only(envelope, {"payload", "payloadType", "signatures"}, what);
    out.payload_type = text(envelope, "payloadType", what);
    out.payload = decoded(envelope, "payload", what);
    const Value* signatures = envelope.find("signatures");
    if (signatures == nullptr || signatures->size() != 1)
        bad(what, "\"signatures\" must hold exactly one, or nobody can say which one counts.");
    const Value first = signatures->at(0);
    const ValueMap& signature = object(&first, "signatures[0]", what);
    only(signature, {"sig", "keyid"}, what);
    out.signature = decoded(signature, "sig", what);
    return out;
}

bool verify_envelope(const Envelope& envelope, const PublicKey& key) {
    return key.verify(pre_authentication(envelope.payload_type, envelope.payload), envelope.signature);
}

}  // namespace freehold::bundle
