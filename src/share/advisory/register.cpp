// One file for an id and a signer, as it came: a signature that was good when it was imported is checked again whenever
// it is read, so that a key which is no longer trusted takes its advisories along, and nothing of another key's.
#include "freehold/advisory/register.h"

#include <fmt/format.h>

#include <algorithm>
#include <optional>

#include "freehold/base/error.h"
#include "freehold/base/file.h"
#include "freehold/base/printable.h"
#include "freehold/bundle/signature.h"

namespace freehold::advisory {
namespace fs = std::filesystem;
namespace {

constexpr std::size_t kMostKeys = 100;
constexpr std::size_t kMostKept = 10000;
constexpr std::size_t kMostKeyText = 16 << 10;

fs::path keys_folder(const fs::path& folder) {
    return folder / "keys";
}

std::vector<fs::path> files_of(const fs::path& folder, std::string_view ending, std::size_t most) {
    std::vector<fs::path> out;
    std::error_code ec;
    for (const auto& entry : fs::directory_iterator(folder, ec)) {
        const std::string name = entry.path().filename().string();
        if (name.ends_with(ending) && !name.starts_with('.') && out.size() < most) out.push_back(entry.path());
    }
    std::ranges::sort(out);
    return out;
}

struct NamedKey {
    std::string name;
    bundle::PublicKey key;
};

std::vector<NamedKey> read_keys(const fs::path& folder) {
    std::vector<NamedKey> out;
    for (const fs::path& path : files_of(keys_folder(folder), ".pem", kMostKeys)) {
        try {
            out.push_back(
                {path.stem().string(), bundle::PublicKey::from_pem(read_text(path, kMostKeyText), path.string())});
        } catch (const Error&) {
            continue;  // a key that cannot be read signs nothing
        }
    }
    return out;
}

// The file of one signer's text. '~' is in no id, so that no id can take the place of another's signer; files without
// it are from before there was one for each signer.
std::string file_name(const Kept& kept) {
    if (!kept.trusted) return kept.advisory.id + ".json";
    std::string hint = kept.hint.substr(kept.hint.find(':') + 1);
    hint.resize(std::min<std::size_t>(hint.size(), 16));
    return fmt::format("{}~{}.json", kept.advisory.id, hint);
}

bool is_of(const fs::path& path, const std::string& id) {
    const std::string stem = path.stem().string();
    return stem == id || (stem.size() > id.size() && stem.starts_with(id) && stem[id.size()] == '~');
}

bool looks_signed(std::string_view text) {
    return text.find("\"dsseEnvelope\"") != std::string_view::npos;
}

// The text as it came, signed or not, with what it is worth here.
Kept read_kept(std::string_view text, const std::string& what, const std::vector<NamedKey>& keys) {
    Kept out;
    if (!looks_signed(text)) {
        out.advisory = parse(text, what);
        out.signer = "unsigned";
        return out;
    }
    const bundle::Envelope envelope = bundle::parse_envelope(text, what);
    if (envelope.payload_type != kMediaType)
        throw Error(ErrorKind::bad_file, fmt::format("{} signs something of type {}, and no advisory.", what,
                                                     printable(envelope.payload_type, 100)));
    out.signer = "a key that is not trusted here";
    for (const NamedKey& named : keys) {
        if (!bundle::verify_envelope(envelope, named.key)) continue;
        out.trusted = true;
        out.signer = named.name;
        out.hint = named.key.hint();
        break;
    }
    out.advisory = parse(envelope.payload, what);
    return out;
}

std::string checked_name(const std::string& name) {
    const bool good = !name.empty() && name.size() <= 60 && std::ranges::all_of(name, [](char c) {
        return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' || c == '_';
    });
    if (!good)
        throw Error(ErrorKind::usage, fmt::format("\"{}\" is no name for a key.", printable(name)),
                    "Use letters, digits, '-' and '_'.");
    return name;
}

// The text that a newer one replaces, by its time: what was said once can be looked up.
void keep_earlier(const fs::path& folder, const fs::path& path, const Kept& before) {
    std::string name = fmt::format("{}~{}.json", path.stem().string(), before.advisory.modified);
    std::ranges::replace(name, ':', '-');
    std::error_code ec;
    fs::create_directories(folder / "earlier", ec);
    write_text_atomic(folder / "earlier" / name, read_text(path, bundle::kMaxEnvelope));
}

// Times of one form compare as texts; a fraction of a second is longer and later.
bool is_newer(const std::string& a, const std::string& b) {
    const auto bare = [](const std::string& t) { return t.substr(0, t.size() - 1); };
    return bare(a) > bare(b);
}

}  // namespace

bool Register::empty() const noexcept {
    std::error_code ec;
    for (fs::directory_iterator it(folder_, ec), end; !ec && it != end; it.increment(ec))
        if (it->path().extension() == ".json") return false;
    return true;
}

std::vector<Kept> Register::list(std::vector<std::string>* faults) const {
    std::vector<Kept> out;
    const auto files = files_of(folder_, ".json", kMostKept);
    if (files.empty()) return out;
    const auto keys = read_keys(folder_);
    for (const fs::path& path : files) {
        try {
            out.push_back(read_kept(read_text(path, bundle::kMaxEnvelope), path.string(), keys));
        } catch (const Error& e) {
            if (faults != nullptr) faults->push_back(e.message());
        }
    }
    std::ranges::stable_sort(out, [](const Kept& a, const Kept& b) {
        return std::pair(a.advisory.id, !a.trusted) < std::pair(b.advisory.id, !b.trusted);
    });
    return out;
}

Imported Register::import(std::string_view text, const std::string& what, bool take_unsigned) const {
    const auto keys = read_keys(folder_);
    Imported out;
    out.kept = read_kept(text, what, keys);
    const Advisory& advisory = out.kept.advisory;
    if (!out.kept.trusted && !take_unsigned)
        throw Error(
            ErrorKind::denied,
            fmt::format("{} ({}) is not taken: it is {}.", what, advisory.id,
                        out.kept.signer == "unsigned" ? "not signed" : "signed by " + out.kept.signer),
            "If you know whose it is: freehold advisory trust KEY.pub; or --unsigned, to be warned by it only.");
    std::error_code ec;
    fs::path path = folder_ / file_name(out.kept);
    std::optional<Kept> before;
    for (const fs::path& file : files_of(folder_, ".json", kMostKept)) {
        if (!is_of(file, advisory.id)) continue;
        try {
            Kept there = read_kept(read_text(file, bundle::kMaxEnvelope), file.string(), keys);
            if (there.advisory.id != advisory.id) continue;
            if (there.trusted && !out.kept.trusted)
                throw Error(
                    ErrorKind::conflict,
                    fmt::format("{} is here already, signed by {}; {} is not.", advisory.id, there.signer, what),
                    "What is signed stays.");
            // A text of another signer is another text; one that no trusted key signed has its own place.
            if (there.trusted ? there.hint != out.kept.hint : file.filename() != path.filename()) continue;
            path = file;
            before = std::move(there);
        } catch (const Error& e) {
            if (e.kind() == ErrorKind::conflict) throw;  // the rest is damaged: a new text takes its place
        }
    }
    if (before && before->trusted == out.kept.trusted) {
        if (is_newer(before->advisory.modified, advisory.modified)) {
            out.how = Imported::How::older;
            out.kept = *std::move(before);
            return out;
        }
        if (before->advisory.modified == advisory.modified) {
            out.how = Imported::How::present;
            return out;
        }
        out.how = Imported::How::renewed;
    }
    fs::create_directories(folder_, ec);
    if (before) keep_earlier(folder_, path, *before);
    write_text_atomic(path, text);
    return out;
}

bool Register::remove(const std::string& id) const {
    bool any = false;
    std::error_code ec;
    for (const fs::path& path : files_of(folder_, ".json", kMostKept))
        if (is_of(path, id)) any = fs::remove(path, ec) || any;
    return any;
}

std::vector<TrustedKey> Register::keys() const {
    std::vector<TrustedKey> out;
    for (const NamedKey& named : read_keys(folder_))
        out.push_back({named.name, bundle::key_kind_name(named.key.kind()), named.key.hint()});
    return out;
}

TrustedKey Register::trust(std::string_view pem, const std::string& name) const {
    const bundle::PublicKey key = bundle::PublicKey::from_pem(pem, "The key");
    const fs::path path = keys_folder(folder_) / (checked_name(name) + ".pem");
    std::error_code ec;
    if (fs::exists(path, ec) && read_text(path, kMostKeyText) != key.pem())
        throw Error(ErrorKind::conflict, fmt::format("There is another key named {} already.", name),
                    "Choose another --name, or take that one away first: freehold advisory distrust NAME.");
    fs::create_directories(keys_folder(folder_), ec);
    write_text_atomic(path, key.pem());
    return {name, bundle::key_kind_name(key.kind()), key.hint()};
}

bool Register::distrust(const std::string& name) const {
    std::error_code ec;
    return fs::remove(keys_folder(folder_) / (checked_name(name) + ".pem"), ec);
}

}  // namespace freehold::advisory
