// Kept texts: read back, erased by age and tenant while the chain holds, and told when they were changed in any way.
#include "freehold/access/texts.h"

#include <gtest/gtest.h>
#include <sys/stat.h>

#include "access_test_support.h"
#include "crypto.h"
#include "freehold/access/json.h"

namespace freehold::access {
namespace {

namespace fs = std::filesystem;
using freehold::testing::error_of;
using freehold::testing::read_file;
using freehold::testing::Scratch;
using freehold::testing::write_file;
using test::HandClock;

constexpr std::int64_t kDay = 86'400'000;

struct TextsTest : ::testing::Test {
    Scratch scratch;
    HandClock clock;
    fs::path folder = scratch / "audit";
    std::unique_ptr<AuditLog> log;
    std::unique_ptr<TextVault> vault;

    void SetUp() override {
        AuditOptions audit;
        audit.folder = folder;
        audit.clock = clock.clock();
        log = AuditLog::open(audit);
        TextOptions texts;
        texts.folder = folder;
        texts.clock = clock.clock();
        vault = TextVault::open(texts);
    }
    // A request with both texts, as the server records it.
    void ask(const std::string& id, const std::string& tenant, const std::string& prompt, const std::string& answer) {
        AuditEntry entry;
        entry.details.set("texts", ValueMap{{"prompt", vault->keep(tenant, id, "prompt", prompt)},
                                            {"answer", vault->keep(tenant, id, "answer", answer)}});
        entry.tenant = tenant;
        entry.request_id = id;
        entry.prompt_digest = log->digest(prompt);
        entry.completion_digest = log->digest(answer);
        log->append(entry);
        vault->flush();
        log->checkpoint();
    }
    [[nodiscard]] EntryTexts texts_of(const std::string& id) const {
        const auto record = find_audit_entry(folder, id);
        return record ? find_texts(folder, *record) : EntryTexts{};
    }
    [[nodiscard]] bool chain_holds() const { return verify_audit(folder).at(0).faults.empty(); }
    [[nodiscard]] fs::path file(const std::string& tenant, const char* tail) const {
        return folder / "texts" / tenant / (std::string("2026-01-01.main.") + tail);
    }
};

TEST_F(TextsTest, WhatWasKeptComesBackAndStandsNowhereInTheClear) {
    ask("req-1", "a", "the secret question", "the secret answer");
    ask("req-2", "a", "", "only an answer");
    EXPECT_EQ(texts_of("req-1").prompt.text, "the secret question");
    EXPECT_EQ(texts_of("req-1").answer.text, "the secret answer");
    EXPECT_EQ(texts_of("req-2").prompt.state, KeptText::State::kept);
    EXPECT_EQ(texts_of("req-2").answer.text, "only an answer");
    for (const auto& entry : fs::recursive_directory_iterator(folder)) {
        if (!entry.is_regular_file()) continue;
        EXPECT_EQ(read_file(entry.path()).find("secret"), std::string::npos) << entry.path();
    }
    struct stat info {};
    ASSERT_EQ(::stat(file("a", "key").c_str(), &info), 0);
    EXPECT_EQ(info.st_mode & 0777, 0600U);
    EXPECT_EQ(verify_texts(folder).texts, 4U);
    EXPECT_TRUE(verify_texts(folder).faults.empty());
    EXPECT_EQ(error_of([&] { vault->keep("../out", "r", "prompt", "x"); }).kind(), ErrorKind::usage);
}

TEST_F(TextsTest, ErasedByTenantAndByAgeWhileTheChainHolds) {
    ask("req-a", "a", "question of a", "answer to a");
    ask("req-b", "b", "question of b", "answer to b");
    clock.now += 3 * kDay;
    ask("req-late", "a", "late", "later");
    EXPECT_EQ(erase_texts(folder, {clock.now + kDay, "b"}), 1U);
    EXPECT_FALSE(fs::exists(file("b", "key")));
    EXPECT_EQ(texts_of("req-b").prompt.state, KeptText::State::gone);
    EXPECT_EQ(texts_of("req-a").prompt.state, KeptText::State::kept);
    EXPECT_EQ(erase_texts(folder, {clock.now - 2 * kDay, {}}), 1U);  // the first day has ended, the last has not
    EXPECT_EQ(texts_of("req-a").answer.state, KeptText::State::gone);
    EXPECT_EQ(texts_of("req-late").answer.text, "later");
    log->append(erase_entry({clock.now - 2 * kDay, {}}, 1));
    log->append(erase_entry({clock.now, "b"}, 2));
    log->checkpoint();
    EXPECT_TRUE(chain_holds());
    EXPECT_TRUE(verify_texts(folder).faults.empty());
    EXPECT_EQ(audit_tail(folder, "main", 1).at(0).kind, "erase");
    // The same server goes on, under a new key.
    EXPECT_EQ(erase_texts(folder, {clock.now + kDay, {}}), 1U);
    ask("req-new", "a", "new", "newer");
    EXPECT_EQ(texts_of("req-new").prompt.text, "new");
    EXPECT_EQ(texts_of("req-late").prompt.state, KeptText::State::gone);
}

TEST_F(TextsTest, AChangedTextIsTold) {
    ask("req-1", "a", "question", "answer");
    const std::string whole = read_file(file("a", "texts"));
    // Of the lines that are there; what lacks is told too.
    const auto changed = [&] {
        auto faults = verify_texts(folder).faults;
        std::erase_if(faults, [](const AuditFault& fault) { return fault.line == 0; });
        return faults;
    };
    // Bytes of a seal.
    std::string bad = whole;
    const std::size_t at = bad.find("\"sealed\":\"") + 40;
    bad[at] = bad[at] == '0' ? '1' : '0';
    write_file(file("a", "texts"), bad);
    EXPECT_EQ(texts_of("req-1").prompt.state, KeptText::State::altered);
    EXPECT_TRUE(texts_of("req-1").prompt.text.empty());
    EXPECT_EQ(texts_of("req-1").answer.state, KeptText::State::kept);
    ASSERT_EQ(changed().size(), 1U);
    EXPECT_EQ(changed()[0].line, 1U);
    // A text that passes for the other kind.
    bad = whole;
    bad.replace(bad.find("\"prompt\""), 8, "\"answer\"");
    write_file(file("a", "texts"), bad);
    EXPECT_EQ(changed().size(), 1U);
    // Somebody who has the key seals another text: the chain knows its digest.
    const crypto::Key32 key = crypto::load_key(file("a", "key"));
    const auto sealed = crypto::seal(key, "another question", "freehold text\na\nreq-1\nprompt");
    write_file(file("a", "texts"),
               R"({"request":"req-1","kind":"prompt","time":"2026-01-01T00:00:00.000Z","sealed":")" +
                   crypto::to_hex(sealed) + "\"}\n");
    EXPECT_EQ(texts_of("req-1").prompt.state, KeptText::State::altered);
    ASSERT_EQ(changed().size(), 1U);
    EXPECT_NE(changed()[0].message.find("digest"), std::string::npos);
    write_file(file("a", "texts"), "no JSON\n");
    EXPECT_EQ(changed().size(), 1U);
    write_file(file("a", "texts"), whole);
    EXPECT_TRUE(verify_texts(folder).faults.empty());
    EXPECT_TRUE(chain_holds());
}

TEST_F(TextsTest, WhatWasCutOffOrRemovedIsNamed) {
    ask("req-1", "a", "first question", "first answer");
    ask("req-2", "a", "second question", "second answer");
    ask("req-3", "b", "third question", "third answer");
    for (const char* kind : {"stop", "start"}) {
        AuditEntry entry;
        entry.kind = kind;
        log->append(entry);
    }
    log->checkpoint();
    ASSERT_TRUE(verify_texts(folder).faults.empty());
    EXPECT_EQ(verify_texts(folder).tenants.at("a"), 4U);
    const std::string whole = read_file(file("a", "texts"));
    // The end of a file, in the middle of a line.
    write_file(file("a", "texts"), whole.substr(0, whole.size() - 30));
    auto faults = verify_texts(folder).faults;
    ASSERT_EQ(faults.size(), 1U);
    EXPECT_EQ(faults[0].file, "texts/a/2026-01-01.main.texts");
    EXPECT_NE(faults[0].message.find("answer of req-2"), std::string::npos) << faults[0].message;
    // All of it, with and without its key.
    fs::remove(file("a", "texts"));
    faults = verify_texts(folder).faults;
    ASSERT_EQ(faults.size(), 1U);
    EXPECT_NE(faults[0].message.find("4 texts"), std::string::npos) << faults[0].message;
    EXPECT_NE(faults[0].message.find("of req-1"), std::string::npos) << faults[0].message;
    fs::remove_all(folder / "texts");
    EXPECT_EQ(verify_texts(folder).faults.size(), 2U);
    // An erasure that the chain tells of, of these days and this tenant only.
    log->append(erase_entry({clock.now, "a"}, 1));
    log->checkpoint();
    EXPECT_EQ(verify_texts(folder).faults.size(), 2U) << "that day has not ended";
    log->append(erase_entry({clock.now + kDay, "a"}, 1));
    log->checkpoint();
    faults = verify_texts(folder).faults;
    ASSERT_EQ(faults.size(), 1U);
    EXPECT_TRUE(faults[0].file.starts_with("texts/b/"));
    EXPECT_TRUE(chain_holds());
}

TEST_F(TextsTest, WhatAKillLosesIsNoFault) {
    ask("req-1", "a", "old question", "old answer");
    clock.now += 60'000;
    ask("req-2", "a", "question", "answer");
    const std::string whole = read_file(file("a", "texts"));
    write_file(file("a", "texts"), whole.substr(0, whole.find("req-2") - 12));
    EXPECT_EQ(verify_texts(folder).faults.size(), 1U);
    AuditEntry started;
    started.kind = "start";
    log->append(started);
    log->checkpoint();
    EXPECT_TRUE(verify_texts(folder).faults.empty());
    write_file(file("a", "texts"), "");
    EXPECT_EQ(verify_texts(folder).faults.size(), 1U) << "a minute before it, nothing was lost";
}

TEST_F(TextsTest, ATenantIsToldOfItsOwnOnly) {
    ask("req-1", "a", "question", "answer");
    ask("req-2", "b", "question", "answer");
    ask("req-3", "b", "question", "answer");
    fs::remove(file("b", "texts"));
    const auto seen = [&](const char* tenant) {
        return audit_state_json(verify_audit(folder), verify_texts(folder), tenant);
    };
    const ValueMap a = seen("a"), b = seen("b");
    EXPECT_EQ(a.find("ok")->as_bool(), true);
    EXPECT_EQ(a.find("entries")->as_int(), 1);
    EXPECT_EQ(a.find("texts")->as_int(), 2);
    EXPECT_EQ(b.find("ok")->as_bool(), false);
    EXPECT_EQ(b.find("entries")->as_int(), 2);
    EXPECT_EQ(b.find("texts")->as_int(), 0);
    EXPECT_EQ(to_json(Value(a)).find("main"), std::string::npos) << to_json(Value(a));
    // That the log does not hold is everybody's business; where, is not.
    const fs::path segment = audit_segments(folder, "main").at(0).file;
    std::string lines = read_file(segment);
    lines.replace(lines.find("req-2"), 5, "req-9");
    write_file(segment, lines);
    const ValueMap broken = seen("a");
    EXPECT_EQ(broken.find("ok")->as_bool(), false);
    EXPECT_EQ(to_json(Value(broken)).find("req-9"), std::string::npos);
}

TEST_F(TextsTest, WithoutADigestItIsSaidSo) {
    vault->keep("a", "req-1", "answer", "half an ans");
    AuditEntry entry;
    entry.tenant = "a";
    entry.request_id = "req-1";
    log->append(entry);
    log->flush();
    vault->flush();
    EXPECT_EQ(texts_of("req-1").answer.state, KeptText::State::unbound);
    EXPECT_EQ(texts_of("req-1").answer.text, "half an ans");
}

TEST_F(TextsTest, AFullDiskIsToldAndNothingIsLost) {
    fs::remove_all(folder / "texts");
    write_file(folder / "texts", "in the way");
    vault->keep("a", "req-1", "prompt", "kept");
    EXPECT_THROW(vault->flush(), Error);
    EXPECT_THROW(vault->keep("a", "req-2", "prompt", "refused"), Error);
    fs::remove(folder / "texts");
    fs::create_directories(folder / "texts");
    vault->flush();
    EXPECT_EQ(verify_texts(folder).texts, 1U);
}

}  // namespace
}  // namespace freehold::access
