// Backups: there and back, beside writers; damaged, hostile and foreign files change nothing.
#include "freehold/access/backup.h"

#include <gtest/gtest.h>
#include <sys/stat.h>

#include "access_test_support.h"
#include "freehold/access/audit.h"
#include "freehold/access/keys.h"

namespace freehold::access {
namespace {

namespace fs = std::filesystem;
using freehold::testing::error_of;
using freehold::testing::read_file;
using freehold::testing::Scratch;
using freehold::testing::write_file;
using test::named;

AuditOptions audit_in(const fs::path& home) {
    AuditOptions options;
    options.folder = audit_folder(home);
    return options;
}

TEST(Backup, AnInstallationComesBack) {
    const Scratch scratch;
    const fs::path home = scratch / "home", file = scratch / "backup.tar.gz";
    fs::create_directories(home);
    std::string secret;
    {
        const auto db = open_sqlite(home / "state.db");
        Keys keys(*db);
        secret = keys.create(named("a")).secret;
        const auto log = AuditLog::open(audit_in(home));
        for (int i = 0; i < 10; ++i) log->append({});
        log->checkpoint();
        write_file(home / "access.json", "{}");
        // While both are open and written to.
        const BackupFacts facts = backup_installation(home, file);
        EXPECT_GE(facts.files, 6U);
        log->append({});
        keys.revoke("a");
        EXPECT_EQ(error_of([&] { restore_installation(home, file); }).kind(), ErrorKind::conflict);
    }
    struct stat info {};
    ASSERT_EQ(::stat(file.c_str(), &info), 0);
    EXPECT_EQ(info.st_mode & 0777, 0600U);
    EXPECT_EQ(check_backup(file).files, restore_installation(home, file).files);
    const auto db = open_sqlite(home / "state.db");
    EXPECT_EQ(Keys(*db).authenticate(secret).name, "a");
    EXPECT_EQ(verify_audit(audit_folder(home))[0].entries, 11U);
    EXPECT_TRUE(verify_audit(audit_folder(home))[0].faults.empty());
    const fs::path fresh = scratch / "fresh";
    restore_installation(fresh, file);
    static_cast<void>(AuditLog::open(audit_in(fresh)));
    int kept = 0;
    for (const auto& entry : fs::directory_iterator(home)) {
        kept += entry.path().filename().string().starts_with("before-restore-");
        EXPECT_FALSE(entry.path().filename().string().starts_with(".")) << entry.path();
    }
    EXPECT_EQ(kept, 1);
}

TEST(Backup, DamageChangesNothing) {
    const Scratch scratch;
    const fs::path home = scratch / "home", file = scratch / "backup.tar.gz";
    fs::create_directories(home);
    {
        const auto db = open_sqlite(home / "state.db");
        Keys(*db).create(named("a"));
    }
    write_file(home / "access.json", "{\"hosts\": []}");
    backup_installation(home, file);
    write_file(home / "access.json", "{}");
    const std::string whole = read_file(file);
    restore_installation(scratch / "fresh", file);
    const std::string state = read_file(scratch / "fresh" / "state.db");
    int harmless = 0;
    for (std::size_t at = 0; at < whole.size(); at += whole.size() / 37 + 1) {
        std::string bad = whole;
        bad[at] = static_cast<char>(bad[at] ^ 0x20);
        write_file(scratch / "bad.tar.gz", bad);
        try {
            restore_installation(home, scratch / "bad.tar.gz");
        } catch (const Error& fault) {
            EXPECT_EQ(fault.kind(), ErrorKind::bad_file) << at << ": " << fault.message();
            EXPECT_EQ(read_file(home / "access.json"), "{}") << at;
            continue;
        }
        // A byte of a header or of padding says nothing about the content: what comes back is what went in.
        ++harmless;
        EXPECT_EQ(read_file(home / "access.json"), "{\"hosts\": []}") << at;
        EXPECT_EQ(read_file(home / "state.db"), state) << at;
        write_file(home / "access.json", "{}");
    }
    for (const std::size_t length : {std::size_t{0}, std::size_t{5}, whole.size() / 2, whole.size() - 1}) {
        write_file(scratch / "cut.tar.gz", whole.substr(0, length));
        EXPECT_EQ(error_of([&] { restore_installation(home, scratch / "cut.tar.gz"); }).kind(), ErrorKind::bad_file)
            << length;
    }
    EXPECT_LT(harmless, 12);
    EXPECT_EQ(error_of([&] { restore_installation(home, scratch / "none"); }).kind(), ErrorKind::not_found);
    EXPECT_EQ(read_file(home / "access.json"), "{}");
}

// A manifest that was changed as a whole still is not the one that was written.
TEST(Backup, TheManifestCarriesItsOwnDigest) {
    const Scratch scratch;
    const fs::path home = scratch / "home", file = scratch / "backup.tar.gz", made = scratch / "made";
    fs::create_directories(home);
    fs::create_directories(made);
    write_file(home / "access.json", "{}");
    backup_installation(home, file);
    const auto shell = [](const std::string& line) { ASSERT_EQ(std::system(line.c_str()), 0) << line; };
    shell("tar -C " + made.string() + " -xzf " + file.string());
    const std::string manifest = read_file(made / "freehold-backup.json");
    const auto repack = [&](const std::string& text) {
        write_file(made / "freehold-backup.json", text);
        shell("tar -C " + made.string() + " -czf " + file.string() + " freehold-backup.json access.json");
    };
    repack(manifest);
    EXPECT_EQ(check_backup(file).files, 1U);
    const std::size_t year = manifest.find("20", manifest.find("\"created\""));
    std::string other = manifest;
    other[year + 3] = other[year + 3] == '1' ? '2' : '1';
    std::string cut = manifest;
    cut[cut.size() - 4] = cut[cut.size() - 4] == '0' ? '1' : '0';
    for (const std::string& bad : {other, manifest.substr(0, manifest.rfind(",\n \"digest\"")) + "\n}", cut}) {
        repack(bad);
        EXPECT_EQ(error_of([&] { static_cast<void>(check_backup(file)); }).kind(), ErrorKind::bad_file) << bad;
    }
}

TEST(Backup, TextsStayOut) {
    const Scratch scratch;
    const fs::path home = scratch / "home";
    {
        const auto log = AuditLog::open(audit_in(home));
        log->append({});
    }
    fs::create_directories(home / "audit" / "texts" / "default");
    write_file(home / "audit" / "texts" / "default" / "2026-01-01.main.key", "00");
    backup_installation(home, scratch / "b.tar.gz");
    restore_installation(scratch / "fresh", scratch / "b.tar.gz");
    EXPECT_TRUE(fs::exists(scratch / "fresh" / "audit" / "signing.key.pem"));
    EXPECT_FALSE(fs::exists(scratch / "fresh" / "audit" / "texts"));
}

TEST(Backup, HostileNamesAreRefused) {
    const Scratch scratch;
    for (const std::string& name : {std::string("../escape"), std::string("/etc/passwd"), std::string("audit/../../x"),
                                    std::string("bin/sh"), std::string("audit//x")}) {
        const fs::path folder = scratch / "made";
        fs::remove_all(folder);
        fs::create_directories(folder);
        write_file(
            folder / "freehold-backup.json",
            "{\"version\":1,\"created\":\"2026-01-01T00:00:00Z\",\"files\":[{\"name\":\"" + name +
                "\",\"size\":0,\"sha256\":\"e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855\"}]}");
        const std::string tar =
            "tar -C " + folder.string() + " -czf " + (scratch / "bad.tar.gz").string() + " freehold-backup.json";
        ASSERT_EQ(std::system(tar.c_str()), 0);
        EXPECT_EQ(error_of([&] { restore_installation(scratch / "home", scratch / "bad.tar.gz"); }).kind(),
                  ErrorKind::bad_file)
            << name;
    }
}

}  // namespace
}  // namespace freehold::access
