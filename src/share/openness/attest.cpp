// Attestations: canonical words, an Ed25519 signature over them (OpenSSL), one JSON file beside the model.
#include "freehold/openness/attest.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <memory>

#include "freehold/base/error.h"
#include "freehold/base/file.h"
#include "freehold/base/hash.h"
#include "freehold/base/printable.h"

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

struct FreeKey {
    void operator()(EVP_PKEY* k) const noexcept { EVP_PKEY_free(k); }
};
struct FreeBio {
    void operator()(BIO* b) const noexcept { BIO_free(b); }
};
struct FreeMd {
    void operator()(EVP_MD_CTX* c) const noexcept { EVP_MD_CTX_free(c); }
};
using Key = std::unique_ptr<EVP_PKEY, FreeKey>;
using Bio = std::unique_ptr<BIO, FreeBio>;

[[noreturn]] void fail(const char* doing) {
    throw Error(ErrorKind::internal, fmt::format("OpenSSL could not {}.", doing),
                "Check the OpenSSL configuration of this machine.");
}

std::string text_of(BIO* bio) {
    char* data = nullptr;
    const long n = BIO_get_mem_data(bio, &data);
    return {data, static_cast<std::size_t>(n)};
}

const unsigned char* bytes_of(std::string_view s) {
    return reinterpret_cast<const unsigned char*>(s.data());
}

std::string to_hex(std::span<const unsigned char> bytes) {
    std::string out;
    for (const unsigned char b : bytes) out += fmt::format("{:02x}", b);
    return out;
}

std::vector<unsigned char> from_hex(std::string_view hex) {
    std::vector<unsigned char> out;
    if (hex.size() % 2 != 0) return out;
    for (std::size_t i = 0; i < hex.size(); ++i) {
        const char c = hex[i];
        const int digit = c >= '0' && c <= '9' ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
        if (digit < 0) return {};
        if (i % 2 == 0) out.push_back(0);
        out.back() = static_cast<unsigned char>(out.back() * 16 + digit);
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

Key public_key(std::string_view pem) {
    const Bio bio(BIO_new_mem_buf(pem.data(), static_cast<int>(std::min<std::size_t>(pem.size(), 4096))));
    Key key(bio == nullptr ? nullptr : PEM_read_bio_PUBKEY(bio.get(), nullptr, nullptr, nullptr));
    if (key != nullptr && EVP_PKEY_get_id(key.get()) != EVP_PKEY_ED25519) key.reset();
    return key;
}

std::string fingerprint_of(EVP_PKEY* key) {
    std::array<unsigned char, 32> raw{};
    std::size_t n = raw.size();
    if (EVP_PKEY_get_raw_public_key(key, raw.data(), &n) != 1) return {};
    return sha256_hex(std::as_bytes(std::span(raw))).substr(0, 16);
}

bool verified(const Attestation& a, EVP_PKEY* key) {
    const std::vector<unsigned char> signature = from_hex(a.signature);
    if (signature.size() != 64) return false;
    const std::unique_ptr<EVP_MD_CTX, FreeMd> context(EVP_MD_CTX_new());
    if (context == nullptr || EVP_DigestVerifyInit(context.get(), nullptr, nullptr, nullptr, key) != 1) return false;
    const std::string message = message_of(a);
    return EVP_DigestVerify(context.get(), signature.data(), signature.size(), bytes_of(message), message.size()) == 1;
}

// The name appears only with its whole content; whoever comes second takes what is there.
void write_secret(const fs::path& file, std::string_view text) {
    fs::path beside = file;
    beside += fmt::format(".new-{}", ::getpid());
    const int fd = ::open(beside.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    bool good = fd >= 0;
    if (good) {
        good = ::write(fd, text.data(), text.size()) == static_cast<ssize_t>(text.size()) && ::fsync(fd) == 0;
        ::close(fd);
        good = good && (::link(beside.c_str(), file.c_str()) == 0 || errno == EEXIST);
    }
    const int e = errno;
    ::unlink(beside.c_str());
    if (!good)
        throw Error(ErrorKind::io, fmt::format("Cannot write {}: {}.", file.string(), std::strerror(e)),
                    "Check who owns the folder, and that there is space.");
}

Key private_key(const fs::path& folder) {
    const fs::path file = folder / "signing.key.pem";
    std::error_code ec;
    fs::create_directories(folder, ec);
    if (!fs::exists(file, ec)) {
        const Key fresh(EVP_PKEY_Q_keygen(nullptr, nullptr, "ED25519"));
        const Bio bio(BIO_new(BIO_s_mem()));
        if (fresh == nullptr || bio == nullptr ||
            PEM_write_bio_PrivateKey(bio.get(), fresh.get(), nullptr, nullptr, 0, nullptr, nullptr) != 1)
            fail("make a signing key");
        std::string pem = text_of(bio.get());
        write_secret(file, pem);
        OPENSSL_cleanse(pem.data(), pem.size());
    }
    std::string pem = read_text(file, 65536);
    const Bio bio(BIO_new_mem_buf(pem.data(), static_cast<int>(pem.size())));
    Key key(bio == nullptr ? nullptr : PEM_read_bio_PrivateKey(bio.get(), nullptr, nullptr, nullptr));
    OPENSSL_cleanse(pem.data(), pem.size());
    if (key == nullptr || EVP_PKEY_get_id(key.get()) != EVP_PKEY_ED25519)
        throw Error(ErrorKind::bad_file, fmt::format("{} is no private Ed25519 key in PEM form.", file.string()),
                    "Restore it from a backup.");
    return key;
}

std::string public_pem(EVP_PKEY* key) {
    const Bio bio(BIO_new(BIO_s_mem()));
    if (bio == nullptr || PEM_write_bio_PUBKEY(bio.get(), key) != 1) fail("write a public key");
    return text_of(bio.get());
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
    const Key key = private_key(folder);
    what.public_key = public_pem(key.get());
    std::error_code ec;
    if (const fs::path beside = folder / "signing.pub.pem"; !fs::exists(beside, ec))
        write_text_atomic(beside, what.public_key);
    const std::unique_ptr<EVP_MD_CTX, FreeMd> context(EVP_MD_CTX_new());
    std::array<unsigned char, 64> signature{};
    std::size_t n = signature.size();
    const std::string message = message_of(what);
    if (context == nullptr || EVP_DigestSignInit(context.get(), nullptr, nullptr, nullptr, key.get()) != 1 ||
        EVP_DigestSign(context.get(), signature.data(), &n, bytes_of(message), message.size()) != 1)
        fail("sign");
    what.signature = to_hex(signature);
    what.fingerprint = fingerprint_of(key.get());
    what.own_key = true;
    return what;
}

std::string own_public_key(const fs::path& folder) {
    std::error_code ec;
    const fs::path file = folder / "signing.pub.pem";
    return fs::exists(file, ec) ? read_text(file, 4096) : std::string();
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
    const Key mine = own.empty() ? nullptr : public_key(own);
    const std::string my_print = mine == nullptr ? "" : fingerprint_of(mine.get());
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
        const Key key = public_key(a.public_key);
        if (key != nullptr) a.fingerprint = fingerprint_of(key.get());
        a.own_key = !my_print.empty() && a.fingerprint == my_print;
        a.state = key == nullptr || !verified(a, key.get()) ? Attestation::State::forged
                  : a.digest != digest                      ? Attestation::State::stale
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
