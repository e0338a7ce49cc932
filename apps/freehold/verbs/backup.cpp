// freehold backup, restore and purge: the state of an installation kept, brought back, and let go by policy.
#include <fmt/format.h>

#include <algorithm>

#include "../console.h"
#include "../database_settings.h"
#include "../session.h"
#include "../settings/settings.h"
#include "freehold/access/backup.h"
#include "freehold/access/json.h"
#include "verbs.h"

namespace freehold::cli {
namespace {

struct Options {
    std::string file, older_than, tenant;
    bool models = false, check = false, json = false, texts = false;
    SettingFlags database;
};

int told(const access::BackupFacts& facts, const Options& o, const char* what) {
    if (o.json) {
        ValueMap map;
        map.set("file", o.file);
        map.set("created", facts.created);
        map.set("files", static_cast<std::int64_t>(facts.files));
        map.set("bytes", static_cast<std::int64_t>(facts.bytes));
        map.set("models", facts.models);
        out(to_json(Value(std::move(map)), 2) + "\n");
    } else {
        out(fmt::format("{} {}: {} files, {}{}, of {}.\n", o.file, what, with_thousands(facts.files),
                        human_bytes(facts.bytes), facts.models ? " with models" : "", facts.created));
    }
    return 0;
}

int backup(const Options& o) {
    access::BackupOptions options;
    options.models = o.models;
    return told(access::backup_installation(default_home(), o.file, options), o, "is written");
}

void record(const std::filesystem::path& folder, access::AuditEntry entry) {
    access::AuditOptions audit;
    audit.folder = folder;
    audit.replica = "console";
    entry.by = "console";
    access::AuditLog::open(audit)->append(entry);
}

// A backup holds no texts: the log says that those which it names are gone.
void record_restore(const std::filesystem::path& home) {
    std::error_code ec;
    const std::filesystem::path folder = access::audit_folder(home);
    if (!std::filesystem::exists(folder, ec)) return;
    access::AuditEntry entry = access::erase_entry({access::system_clock_ms() + 86'400'000, {}}, 0);
    entry.details.set("why", "restored from a backup");
    record(folder, std::move(entry));
}

int restore(const Options& o) {
    if (o.check) return told(access::check_backup(o.file), o, "is whole");
    const access::BackupFacts facts = access::restore_installation(default_home(), o.file);
    record_restore(default_home());
    const int code = told(facts, o, "is restored");
    if (!o.json)
        notice("What was there before lies in before-restore-... under FREEHOLD_HOME; remove it when all is well.");
    return code;
}

// Stored texts only, of one tenant or of all; the chain remembers that they went, and holds.
std::uint64_t erase(const std::filesystem::path& home, const access::EraseWish& wish) {
    const std::filesystem::path folder = access::audit_folder(home);
    const std::uint64_t files = access::erase_texts(folder, wish);
    if (files > 0) record(folder, access::erase_entry(wish, files));
    return files;
}

int told_erased(std::uint64_t files, bool json) {
    if (json) {
        out(to_json(Value(ValueMap{{"text_files", static_cast<std::int64_t>(files)}}), 2) + "\n");
    } else {
        out(fmt::format("Erased: {} files of texts, with their keys.\n", files));
    }
    return 0;
}

int purge(const Options& o) {
    const std::filesystem::path home = default_home();
    if (o.texts || !o.tenant.empty()) {
        // Without an age: all of them, those of today too.
        const std::int64_t before = o.older_than.empty()
                                        ? access::system_clock_ms() + 86'400'000
                                        : access::system_clock_ms() - access::parse_duration(o.older_than);
        return told_erased(erase(home, {before, o.tenant.empty() ? "" : access::checked_tenant(o.tenant)}), o.json);
    }
    const Settings settings = Settings::load(o.database);
    access::AccessConfig config = settings.access(home);
    if (!o.older_than.empty())
        config.keep_audit = config.keep_use = config.keep_keys = config.keep_texts =
            access::parse_duration(o.older_than);
    if (config.keep_audit + config.keep_use + config.keep_keys + config.keep_texts == 0) {
        throw Error(ErrorKind::usage, "Nothing says how long to keep what.",
                    "Give --older-than 400d, or write `retention` into the settings (docs/configuration.md).");
    }
    const std::int64_t now = access::system_clock_ms();
    const auto database = open_database(settings);
    std::int64_t keys = 0, use = 0;
    std::uint64_t segments = 0, texts = 0;
    if (config.keep_texts > 0) texts = erase(home, {now - config.keep_texts, {}});
    if (config.keep_keys > 0) keys = access::Keys(*database).purge(now - config.keep_keys);
    if (config.keep_use > 0)
        use = access::Limiter(*database).purge(access::time_text(now - config.keep_use).substr(0, 10));
    if (config.keep_audit > 0) {
        for (const std::string& replica : access::audit_replicas(access::audit_folder(home))) {
            access::AuditOptions audit;
            audit.folder = access::audit_folder(home);
            audit.replica = replica;
            audit.export_to = config.audit_export;
            segments += access::AuditLog::open(audit)->purge(now - config.keep_audit);
        }
    }
    if (o.json) {
        ValueMap map;
        map.set("keys", keys);
        map.set("use_rows", use);
        map.set("audit_segments", static_cast<std::int64_t>(segments));
        map.set("text_files", static_cast<std::int64_t>(texts));
        out(to_json(Value(std::move(map)), 2) + "\n");
    } else {
        out(fmt::format(
            "Removed: {} keys that had ended, {} rows of use, {} segments of the audit log, {} files of texts.\n", keys,
            use, segments, texts));
    }
    return 0;
}

}  // namespace

Action setup_backup(CLI::App& app) {
    auto o = std::make_shared<Options>();
    app.add_option("FILE", o->file, "Where to write it (a gzipped tar)")->required()->type_name("FILE");
    app.add_flag("--models", o->models, "The models too");
    add_json_flag(app, o->json);
    app.footer(
        "Keys, counts of use, the audit log with its signing key, and the configuration; a server may go on "
        "running.\n\nExamples\n  freehold backup /mnt/safe/freehold-2026-11-23.tar.gz\n  freehold backup all.tar.gz "
        "--models");
    return [o] { return backup(*o); };
}

Action setup_restore(CLI::App& app) {
    auto o = std::make_shared<Options>();
    app.add_option("FILE", o->file, "A file of `freehold backup`")->required()->type_name("FILE");
    app.add_flag("--check", o->check, "Only look whether it is whole");
    add_json_flag(app, o->json);
    app.footer(
        "Every file, the database and the audit log are checked before anything is replaced; what was there is "
        "moved aside.\n\nExamples\n  freehold restore --check backup.tar.gz\n  freehold restore backup.tar.gz");
    return [o] { return restore(*o); };
}

Action setup_purge(CLI::App& app) {
    auto o = std::make_shared<Options>();
    app.add_option("--older-than", o->older_than, "Instead of the policy in the settings: 400d, 1y")->type_name("TIME");
    app.add_flag("--texts", o->texts, "Only the texts of requests and answers: all, or those older than that");
    app.add_option("--tenant", o->tenant, "Only the texts of this tenant")->type_name("T");
    add_database_flags(app, o->database);
    add_json_flag(app, o->json);
    app.footer(
        "Revoked and expired keys, counts of use, kept texts, and whole segments of the audit log, which records that "
        "itself. A running server does this by the policy every hour. Texts are erased with their keys, while the log "
        "goes on to hold.\n\nExamples\n  freehold purge\n  freehold purge --older-than 1y\n  freehold purge --texts "
        "--tenant ward-3");
    return [o] { return purge(*o); };
}

}  // namespace freehold::cli
