// The checks, in the order in which a reader asks: is it signed and by whom, are the files those, are there others, do
// the documents speak of them, and where does it come from.
#include "freehold/bundle/verify.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <map>

#include "freehold/base/error.h"
#include "freehold/base/printable.h"
#include "freehold/bundle/manifest.h"
#include "layout.h"
#include "verify_documents.h"

namespace freehold::bundle {
namespace {

constexpr std::array<const char*, 4> kOutcomes = {"good", "note", "unknown", "bad"};
constexpr std::size_t kMaxNamed = 50;  // checks of one kind that are spelled out

class Verifying {
 public:
    Verifying(const Contents& contents, const VerifyOptions& options) : contents_(contents), options_(options) {
        report_.subject = contents.name;
        for (const Entry& entry : contents.entries) report_.bytes += entry.size;
        report_.files = contents.entries.size();
    }

    VerifyReport run() {
        for (const std::string& fault : contents_.faults) add("files-odd", Outcome::bad, fault);
        for (const std::string& name : contents_.skipped)
            add("files-skipped", Outcome::unknown,
                fmt::format("The folder {} was not looked into; no signature covers it.", name), name);
        if (contents_.entries.empty()) add("files", Outcome::bad, "There is no file.");
        read_signature();
        digest_all();
        compare_stored();
        if (statement_) compare_signed();
        check_documents(contents_, digests_, options_,
                        [this](Check check) { report_.checks.push_back(std::move(check)); });
        if (!statement_ && contents_.find(kIndexFile) == nullptr && !stored_)
            add("digests", Outcome::unknown,
                "Neither a signature nor an index says which bytes belong to it, so there is nothing to hold them "
                "against.");
        return std::move(report_);
    }

 private:
    void add(const char* key, Outcome outcome, std::string message, std::string file = {}) {
        report_.checks.push_back({key, outcome, std::move(message), std::move(file)});
    }

    void fail(const char* key, const Error& e, std::string file) {
        if (e.kind() == ErrorKind::cancelled) throw;
        const Outcome outcome = e.kind() == ErrorKind::unsupported ? Outcome::unknown : Outcome::bad;
        add(key, outcome, e.hint().empty() ? e.message() : e.message() + " " + e.hint(), std::move(file));
    }

    void read_signature() {
        const Entry* entry = contents_.find(kSignatureFile);
        if (entry == nullptr)
            return add("signature", Outcome::unknown,
                       fmt::format("There is no {}: nobody vouches for it.", kSignatureFile));
        try {
            const Envelope envelope = parse_envelope(read_entry(*entry, kMaxEnvelope), kSignatureFile);
            report_.key_hint = envelope.hint;
            if (envelope.payload_type != kPayloadType)
                throw Error(ErrorKind::bad_file, fmt::format("{}: what is signed is of the type \"{}\", no statement.",
                                                             kSignatureFile, printable(envelope.payload_type)));
            if (!check_key(envelope)) return;
            statement_ = parse_statement(envelope.payload, kSignatureFile);
            report_.root = statement_->root;
        } catch (const Error& e) {
            fail("signature", e, kSignatureFile);
        }
    }

    // False: what it signs must not be believed.
    bool check_key(const Envelope& envelope) {
        const std::string hint = printable(envelope.hint.empty() ? "no key that it names" : envelope.hint, 64);
        if (!options_.key) {
            add("signature", Outcome::unknown,
                fmt::format("The signature was not checked, as no public key was given; it says that its key is {}.",
                            hint),
                kSignatureFile);
            return true;
        }
        if (verify_envelope(envelope, *options_.key)) {
            add("signature", Outcome::good, fmt::format("Signed by the key {}.", options_.key->hint()), kSignatureFile);
            if (!envelope.hint.empty() && envelope.hint != options_.key->hint())
                add("signature-hint", Outcome::bad,
                    fmt::format("The signature is good, but names another key ({}).", hint), kSignatureFile);
            return true;
        }
        add("signature", Outcome::bad,
            envelope.hint == options_.key->hint()
                ? "The signature is not that of this key: what it signs was changed."
                : fmt::format("The signature is not that of this key ({}); it says that its key is {}.",
                              options_.key->hint(), hint),
            kSignatureFile);
        return false;
    }

    void digest_all() {
        for (const Entry& entry : contents_.entries) {
            if (entry.name == kSignatureFile) continue;
            try {
                digests_[entry.name] = digest_entry(entry, options_.progress);
            } catch (const Error& e) {
                fail("digests", e, entry.name);
            }
        }
    }

    void compare_stored() {
        std::size_t good = 0;
        for (const Entry& entry : contents_.entries) {
            if (entry.stored_digest.empty()) continue;
            stored_ = true;
            const auto it = digests_.find(entry.name);
            if (entry.name == kSignatureFile || it == digests_.end()) continue;
            if ("sha256:" + it->second == entry.stored_digest)
                ++good;
            else
                add("digests-stored", Outcome::bad,
                    fmt::format("{} is damaged in the store: its digest is sha256:{}, not {}.", printable(entry.name),
                                it->second, entry.stored_digest),
                    entry.name);
        }
        if (stored_ && good > 0)
            add("digests-stored", Outcome::good, fmt::format("{} files are those of the store's manifest.", good));
    }

    void compare_signed() {
        std::size_t good = 0, named = 0;
        const auto wrong = [&](const char* key, Outcome outcome, const std::string& message, const std::string& file) {
            if (++named <= kMaxNamed) add(key, outcome, message, file);
        };
        std::map<std::string_view, std::string_view> listed;
        for (const Resource& file : statement_->files) {
            listed.emplace(file.name, file.digest);
            const auto it = digests_.find(file.name);
            if (it == digests_.end())
                wrong("files-missing", Outcome::bad, fmt::format("{} is signed but not here.", printable(file.name)),
                      file.name);
            else if (it->second != file.digest)
                wrong("digests", Outcome::bad,
                      fmt::format("{} was changed: its digest is {}, and {} was signed.", printable(file.name),
                                  it->second, file.digest),
                      file.name);
            else
                ++good;
        }
        for (const Entry& entry : contents_.entries) {
            if (entry.name == kSignatureFile || listed.contains(entry.name)) continue;
            if (is_kept_by_git(entry.name))
                wrong("files-outside", Outcome::unknown,
                      fmt::format("{} is git's, and no signature covers it.", printable(entry.name)), entry.name);
            else
                wrong("files-outside", Outcome::bad,
                      fmt::format("{} is not among the signed files{}.", printable(entry.name),
                                  is_weight_name(entry.name) ? ", and by its name it holds weights" : ""),
                      entry.name);
        }
        if (named > kMaxNamed)
            add("files-more", Outcome::bad, fmt::format("{} more files are wrong.", named - kMaxNamed));
        if (good == statement_->files.size())
            add("digests", Outcome::good,
                options_.key ? fmt::format("All {} signed files are here, byte for byte.", good)
                             : fmt::format("All {} files that the statement lists are here, byte for byte; who made "
                                           "that list is not known.",
                                           good));
    }

    const Contents& contents_;
    const VerifyOptions& options_;
    VerifyReport report_;
    std::optional<Statement> statement_;
    std::map<std::string, std::string, std::less<>> digests_;
    bool stored_ = false;
};

}  // namespace

const char* outcome_key(Outcome o) noexcept {
    return kOutcomes[static_cast<std::size_t>(o)];
}

Outcome VerifyReport::outcome() const noexcept {
    Outcome worst = Outcome::good;
    for (const Check& check : checks)
        if (check.outcome != Outcome::note) worst = std::max(worst, check.outcome);
    return worst;
}

VerifyReport verify(const Contents& contents, const VerifyOptions& options) {
    return Verifying(contents, options).run();
}

Value to_value(const VerifyReport& report) {
    ValueList checks;
    for (const Check& check : report.checks)
        checks.emplace_back(ValueMap{{"key", check.key},
                                     {"outcome", outcome_key(check.outcome)},
                                     {"message", check.message},
                                     {"file", check.file.empty() ? Value() : Value(check.file)}});
    return Value(ValueMap{{"subject", report.subject},
                          {"outcome", outcome_key(report.outcome())},
                          {"files", report.files},
                          {"bytes", report.bytes},
                          {"root", report.root.empty() ? Value() : Value(report.root)},
                          {"key", report.key_hint.empty() ? Value() : Value(report.key_hint)},
                          {"checks", std::move(checks)}});
}

}  // namespace freehold::bundle
