// The audit log: what is written is read back and verified; every way of tampering is found, named and placed.
// The kill tests write from a child process and cut lines on purpose.
#include "freehold/access/audit.h"

#include <gtest/gtest.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <thread>

#include "access_test_support.h"
#include "crypto.h"

namespace freehold::access {
namespace {

namespace fs = std::filesystem;
using freehold::testing::error_of;
using freehold::testing::read_file;
using freehold::testing::Scratch;
using freehold::testing::write_file;

AuditEntry request(int i) {
    AuditEntry entry;
    entry.key_id = "key_a";
    entry.tenant = i % 2 == 0 ? "even" : "odd";
    entry.request_id = "req-" + std::to_string(i);
    entry.response_id = "chatcmpl-" + std::to_string(i);
    entry.route = "POST /v1/chat/completions";
    entry.model = "smollm2:135m";
    entry.weights = "sha256:" + std::string(64, 'a');
    entry.prompt_tokens = 10 + i;
    entry.completion_tokens = i;
    entry.outcome = "ok";
    entry.status = 200;
    entry.safeguards = {"pii: none"};
    return entry;
}

struct AuditTest : ::testing::Test {
    Scratch scratch;
    AuditOptions options;
    fs::path segment;

    void SetUp() override {
        options.folder = scratch / "audit";
        options.export_to = scratch / "exported";
        segment = options.folder / "main" / "entries-000000000000.jsonl";
    }
    // Entries 0 (chain) and 1 to n.
    void write(int n) const {
        const auto log = AuditLog::open(options);
        for (int i = 1; i <= n; ++i) log->append(request(i));
    }
    [[nodiscard]] ChainReport verify(bool exported = false) const {
        VerifyOptions how;
        if (exported) how.checkpoints = options.export_to;
        const auto reports = verify_audit(options.folder, how);
        EXPECT_EQ(reports.size(), 1U);
        return reports.empty() ? ChainReport{} : reports[0];
    }
    [[nodiscard]] std::vector<std::string> lines() const {
        std::vector<std::string> all;
        std::istringstream in(read_file(segment));
        for (std::string line; std::getline(in, line);) all.push_back(line);
        return all;
    }
    void put(const std::vector<std::string>& all) const {
        std::string text;
        for (const auto& line : all) text += line + "\n";
        write_file(segment, text);
    }
    void expect_fault(const std::string& kind, std::uint64_t entry, bool exported = false) const {
        const ChainReport report = verify(exported);
        ASSERT_FALSE(report.faults.empty()) << kind << " was not found";
        EXPECT_EQ(report.faults[0].kind, kind) << report.faults[0].message;
        EXPECT_EQ(report.faults[0].entry, entry) << report.faults[0].message;
    }
};

TEST_F(AuditTest, TheLastEntriesAreSignedThoughNothingFollows) {
    options.checkpoint_after = std::chrono::milliseconds(50);
    const auto log = AuditLog::open(options);
    log->append(request(1));
    log->flush();
    const std::uint64_t last = log->append(request(2)).seq;
    log->flush();
    std::uint64_t signed_to = 0;
    for (int i = 0; i < 200 && signed_to < last; ++i) {
        std::this_thread::sleep_for(std::chrono::milliseconds(20));
        std::istringstream in(read_file(options.folder / "main" / "checkpoints.jsonl"));
        for (std::string line; std::getline(in, line);) signed_to = parse_checkpoint_line(line, "a head").seq;
    }
    EXPECT_EQ(signed_to, last);
}

TEST_F(AuditTest, WhatIsWrittenIsReadAndHolds) {
    write(20);
    const ChainReport report = verify(true);
    EXPECT_TRUE(report.faults.empty()) << report.faults[0].message;
    EXPECT_EQ(report.entries, 21U);
    EXPECT_EQ(report.last, 20U);
    EXPECT_EQ(report.signed_up_to, 20U);
    write(5);  // a second process goes on with the same chain
    EXPECT_EQ(verify(true).last, 25U);
    EXPECT_TRUE(verify(true).faults.empty());
    const auto found = find_audit_entry(options.folder, "chatcmpl-7");
    ASSERT_TRUE(found);
    EXPECT_EQ(found->seq, 7U);
    EXPECT_EQ(found->prompt_tokens, 17);
    EXPECT_EQ(found->safeguards, std::vector<std::string>{"pii: none"});
    EXPECT_EQ(find_audit_entry(options.folder, "req-7")->seq, 7U);
    EXPECT_EQ(find_audit_entry(options.folder, "main/12")->response_id, "chatcmpl-12");
    EXPECT_FALSE(find_audit_entry(options.folder, "chatcmpl-99"));
    EXPECT_FALSE(find_audit_entry(options.folder, "key_a"));
    const auto tail = audit_tail(options.folder, "main", 3, 10, "odd");
    ASSERT_EQ(tail.size(), 3U);
    EXPECT_EQ(tail[0].seq, 9U);
    EXPECT_EQ(tail[2].seq, 5U);
    struct stat info {};
    ASSERT_EQ(::stat((options.folder / "signing.key.pem").c_str(), &info), 0);
    EXPECT_EQ(info.st_mode & 0777, 0600U);
}

TEST_F(AuditTest, DigestsAreKeyed) {
    const auto log = AuditLog::open(options);
    const std::string digest = log->digest("hello");
    EXPECT_EQ(digest.size(), 64U);
    EXPECT_EQ(digest, log->digest("hello"));
    EXPECT_NE(digest, crypto::sha256("hello"));
    // RFC 4231, test case 2: the function itself.
    EXPECT_EQ(crypto::hmac_sha256(std::as_bytes(std::span("Jefe", 4)), "what do ya want for nothing?"),
              "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843");
    AuditOptions other = options;
    other.folder = scratch / "other";
    EXPECT_NE(AuditLog::open(other)->digest("hello"), digest);
}

TEST_F(AuditTest, AnAlteredEntryIsFound) {
    write(10);
    auto all = lines();
    const auto original = all;
    all[4].replace(all[4].find("smollm2"), 7, "smollm3");
    put(all);
    expect_fault("altered", 4);
    // With a hash made anew, the next entry no longer follows.
    AuditRecord record = parse_audit_line(original[4], "line");
    record.outcome = "refused";
    all[4] = audit_line(record);
    put(all);
    expect_fault("rewritten", 4);
    // The last one has no next; its signed head says so.
    all = original;
    record = parse_audit_line(original[10], "line");
    record.completion_tokens = 1;
    all[10] = audit_line(record);
    put(all);
    expect_fault("rewritten", 0);
    // Every single byte counts.
    for (std::size_t at = 0; at < original[3].size(); at += 7) {
        all = original;
        all[3][at] = all[3][at] == '1' ? '2' : '1';
        if (all[3] == original[3]) continue;
        put(all);
        EXPECT_FALSE(verify().faults.empty()) << at;
    }
    put(original);
    EXPECT_TRUE(verify().faults.empty());
}

TEST_F(AuditTest, RemovedMovedAndRepeatedEntriesAreTold) {
    write(10);
    const auto original = lines();
    auto all = original;
    all.erase(all.begin() + 5);
    put(all);
    expect_fault("removed", 5);
    all = original;
    all.erase(all.begin() + 5, all.begin() + 8);
    put(all);
    expect_fault("removed", 5);
    EXPECT_NE(verify().faults[0].message.find("5 to 7"), std::string::npos);
    all = original;
    std::swap(all[3], all[4]);
    put(all);
    expect_fault("reordered", 3);
    all = original;
    all.insert(all.begin() + 6, all[2]);
    put(all);
    expect_fault("repeated", 2);
    all = original;
    all.erase(all.begin(), all.begin() + 2);
    put(all);
    expect_fault("removed", 0);
}

TEST_F(AuditTest, TruncationIsFoundByWhatWasSigned) {
    write(10);
    auto all = lines();
    all.resize(8);
    put(all);
    expect_fault("truncated", 8);
    EXPECT_EQ(error_of([&] { static_cast<void>(AuditLog::open(options)); }).kind(), ErrorKind::bad_file);
    // Whoever cuts the signed heads as well is found by the exported ones.
    write_file(options.folder / "main" / "checkpoints.jsonl", "");
    EXPECT_TRUE(verify(false).faults.empty());
    expect_fault("truncated", 8, true);
    fs::remove(segment);
    write_file(options.folder / "main" / "checkpoints.jsonl",
               read_file(options.export_to / fs::directory_iterator(options.export_to)->path().filename()));
    EXPECT_EQ(verify_audit(options.folder)[0].faults.at(0).kind, "truncated");
}

TEST_F(AuditTest, AChainThatWasRemovedWholeIsFoundByTheExportedHeads) {
    write(10);
    write_file(options.export_to / "notes.jsonl", "not of this log\n");
    fs::remove_all(options.folder / "main");
    write(3);  // a new chain begins, under the same key
    VerifyOptions how;
    EXPECT_TRUE(verify(false).faults.empty());
    how.checkpoints = options.export_to;
    const auto reports = verify_audit(options.folder, how);
    ASSERT_EQ(reports.size(), 2U);
    EXPECT_TRUE(reports[0].faults.empty());
    ASSERT_EQ(reports[1].faults.size(), 1U);
    EXPECT_EQ(reports[1].faults[0].kind, "truncated");
    EXPECT_EQ(reports[1].signed_up_to, 10U);
    // Heads of another machine's key in the same folder say nothing of this log.
    AuditOptions neighbour = options;
    neighbour.folder = scratch / "neighbour";
    static_cast<void>(AuditLog::open(neighbour));
    EXPECT_EQ(verify_audit(options.folder, how).size(), 2U);
}

TEST_F(AuditTest, AWholeLogWrittenAnewIsFoundBySignatures) {
    write(4);
    write(6);
    auto all = lines();
    std::string prev = std::string(64, '0');
    for (std::size_t i = 0; i < all.size(); ++i) {
        AuditRecord record = parse_audit_line(all[i], "line");
        if (i == 9) record.key_id = "key_b";
        record.prev = prev;
        all[i] = audit_line(record);
        prev = record.hash;
    }
    put(all);
    const ChainReport report = verify();
    ASSERT_FALSE(report.faults.empty());
    EXPECT_EQ(report.faults[0].kind, "rewritten");
    EXPECT_LE(report.faults[0].entry, 9U);
    // Heads signed by another key do not help.
    AuditOptions forger = options;
    forger.folder = scratch / "forger";
    forger.export_to.clear();
    static_cast<void>(AuditLog::open(forger));
    VerifyOptions how;
    how.public_key = forger.folder / "signing.pub.pem";
    EXPECT_EQ(verify_audit(options.folder, how)[0].faults.at(0).kind, "checkpoint");
    // A removed head leaves a gap in their numbers.
    put(all);
    const std::string heads = read_file(options.folder / "main" / "checkpoints.jsonl");
    write_file(options.folder / "main" / "checkpoints.jsonl", heads.substr(heads.find('\n') + 1));
    EXPECT_EQ(verify().faults.at(0).kind, "checkpoint");
}

TEST_F(AuditTest, SegmentsFollowEachOtherAndCanBePurged) {
    test::HandClock clock;
    options.clock = clock.clock();
    options.segment_bytes = 2000;
    options.flush_entries = 1;
    std::uint64_t before = 0;
    {
        const auto log = AuditLog::open(options);
        for (int i = 1; i <= 20; ++i) {
            clock.now += 1000;
            log->append(request(i));
            log->flush();
        }
        before = audit_segments(options.folder, "main").size();
        ASSERT_GT(before, 4U);
        EXPECT_EQ(log->purge(clock.now - 1'000'000), 0U);
        EXPECT_GT(log->purge(clock.now - 10'000), 0U);
        EXPECT_GT(log->purge(clock.now), 0U);
    }
    EXPECT_LT(audit_segments(options.folder, "main").size(), before);
    EXPECT_TRUE(verify(true).faults.empty()) << verify(true).faults[0].message;
    EXPECT_FALSE(find_audit_entry(options.folder, "req-1"));
    EXPECT_TRUE(find_audit_entry(options.folder, "req-20"));
    // A segment more than the purge said, or one from the middle, is tampering.
    fs::remove(audit_segments(options.folder, "main")[0].file);
    EXPECT_EQ(verify().faults.at(0).kind, "removed");
}

TEST_F(AuditTest, APurgeThatNobodySignedExcusesNothing) {
    options.segment_bytes = 2000;
    options.flush_entries = 1;
    write(20);
    const fs::path heads = options.folder / "main" / "checkpoints.jsonl";
    const std::string as_signed = read_file(heads);
    const std::vector<AuditSegment> segments = audit_segments(options.folder, "main");
    ASSERT_GT(segments.size(), 2U);
    {
        // What somebody without the key can write: an entry that follows from the last, and no head behind it.
        options.export_to.clear();
        AuditEntry forged;
        forged.kind = "purge";
        forged.details.set("through", static_cast<std::int64_t>(segments[1].first - 1));
        AuditLog::open(options)->append(forged);
        write_file(heads, as_signed);
    }
    EXPECT_TRUE(verify().faults.empty()) << verify().faults[0].message;
    fs::remove(segments[0].file);
    expect_fault("removed", 0);
}

TEST_F(AuditTest, ATornLineIsHealedAndTold) {
    write(5);
    const std::string whole = read_file(segment);
    for (const std::string& tail : {std::string("{\"v\":1,\"chain\":\"ma"), std::string("x"), std::string(300, '\0')}) {
        write_file(segment, whole + tail);
        EXPECT_TRUE(verify().faults.empty());
        EXPECT_EQ(verify().notes.size(), 1U);
        for (const auto& entry : fs::directory_iterator(options.folder / "main")) {
            if (entry.path().filename().string().starts_with("torn-")) fs::remove(entry.path());
        }
        static_cast<void>(AuditLog::open(options));
        const auto healed = find_audit_entry(options.folder, "6");
        ASSERT_TRUE(healed);
        EXPECT_EQ(healed->kind, "healed");
        EXPECT_EQ(find(healed->details, "sha256")->as_string(), crypto::sha256(tail));
        EXPECT_EQ(read_file(options.folder / "main" / "torn-000000000006"), tail);
        EXPECT_TRUE(verify().faults.empty());
        // Back to the state before, signed heads too.
        write_file(segment, whole);
        const fs::path heads = options.folder / "main" / "checkpoints.jsonl";
        const std::string text = read_file(heads);
        write_file(heads, text.substr(0, text.find('\n') + 1));
    }
    // A whole line that does not hold is no torn one: nothing is healed, the log stays as it is.
    std::string bad = whole;
    bad[bad.size() - 20] = bad[bad.size() - 20] == 'a' ? 'b' : 'a';
    write_file(segment, bad);
    EXPECT_EQ(error_of([&] { static_cast<void>(AuditLog::open(options)); }).kind(), ErrorKind::bad_file);
    EXPECT_EQ(read_file(segment), bad);
}

// A disk that is full is a limit on the size of files here: what is written up to it stays, then writing fails.
struct FullDisk {
    explicit FullDisk(std::uint64_t most) {
        ::signal(SIGXFSZ, SIG_IGN);
        ::getrlimit(RLIMIT_FSIZE, &before);
        struct rlimit now = before;
        now.rlim_cur = most;
        ::setrlimit(RLIMIT_FSIZE, &now);
    }
    ~FullDisk() { free(); }
    void free() const { ::setrlimit(RLIMIT_FSIZE, &before); }
    struct rlimit before {};
};

bool eventually(const std::function<bool()>& what) {
    for (int i = 0; i < 500 && !what(); ++i) std::this_thread::sleep_for(std::chrono::milliseconds(10));
    return what();
}

TEST_F(AuditTest, AFullDiskClosesItAndNothingIsLostWhenThereIsRoomAgain) {
    options.retry_after = std::chrono::milliseconds(20);
    options.flush_after = std::chrono::milliseconds(10);
    {
        const auto log = AuditLog::open(options);
        for (int i = 1; i <= 3; ++i) log->append(request(i));
        log->flush();
        EXPECT_EQ(log->fault(), "");
        const FullDisk full(fs::file_size(segment) + 100);
        for (int i = 4; i <= 9; ++i) log->append_ended(request(i));
        EXPECT_THROW(log->flush(), Error);
        EXPECT_NE(log->fault(), "");
        EXPECT_EQ(error_of([&] { static_cast<void>(log->append(request(99))); }).kind(), ErrorKind::io);
        EXPECT_EQ(log->append_ended(request(10)).seq, 10U);  // it has happened: it waits
        EXPECT_THROW(log->checkpoint(), Error);
        EXPECT_TRUE(verify().faults.empty()) << verify().faults[0].message;
        EXPECT_EQ(verify().last, 3U);
        full.free();
        EXPECT_TRUE(eventually([&] { return log->fault().empty(); })) << log->fault();
        log->append(request(11));
        log->flush();
    }
    EXPECT_TRUE(verify(true).faults.empty()) << verify(true).faults[0].message;
    EXPECT_EQ(verify(true).last, 11U);
    EXPECT_EQ(verify(true).signed_up_to, 11U);
}

TEST_F(AuditTest, WhatAFullDiskNeverTookWasNotSigned) {
    options.flush_after = options.retry_after = std::chrono::milliseconds(10);
    {
        auto log = AuditLog::open(options);
        for (int i = 1; i <= 3; ++i) log->append(request(i));
        log->flush();
        // Heads still find their place while entries do not, as on a disk with a few bytes left.
        const FullDisk full(fs::file_size(segment) + 100);
        for (int i = 4; i <= 9; ++i) log->append_ended(request(i));
        EXPECT_THROW(log->checkpoint(), Error);
        log.reset();  // the process ends on the full disk
    }
    EXPECT_TRUE(verify(true).faults.empty()) << verify(true).faults[0].message;
    // Whether a head was signed before the disk was full is a matter of time; none says more than what lies there.
    EXPECT_LE(verify(true).signed_up_to.value_or(0), 3U);
    write(2);  // no alarm: the next start goes on
    EXPECT_TRUE(verify(true).faults.empty());
    EXPECT_EQ(verify(true).last, 5U);
}

TEST_F(AuditTest, WithoutRoomAheadNothingNewBegins) {
    options.room_ahead = 1ULL << 50U;
    const auto log = AuditLog::open(options);
    EXPECT_NE(log->fault(), "");
    EXPECT_EQ(error_of([&] { static_cast<void>(log->append(request(1))); }).kind(), ErrorKind::io);
    static_cast<void>(log->append_ended(request(1)));
    EXPECT_TRUE(eventually([&] { return verify().last == 1; }));  // what there is room for is written
}

TEST_F(AuditTest, OneProcessWritesAChain) {
    const auto log = AuditLog::open(options);
    EXPECT_EQ(error_of([&] { static_cast<void>(AuditLog::open(options)); }).kind(), ErrorKind::conflict);
    AuditOptions second = options;
    second.replica = "second";
    static_cast<void>(AuditLog::open(second)->append(request(1)));
    EXPECT_EQ(audit_replicas(options.folder).size(), 2U);
    for (const char* wrong : {"", ".", "../x", "a/b", ".hidden"}) {
        second.replica = wrong;
        EXPECT_EQ(error_of([&] { static_cast<void>(AuditLog::open(second)); }).kind(), ErrorKind::usage) << wrong;
    }
}

TEST_F(AuditTest, HostileTextsStayInsideTheirLine) {
    {
        const auto log = AuditLog::open(options);
        AuditEntry entry = request(1);
        entry.model = "a\"}\n{\"v\":1,\"hash\":\"\xff\x00" + std::string(100000, 'm');
        entry.name = std::string("zero\0byte", 9);
        ValueMap deep;
        deep.set("text", std::string(200000, 'x'));
        entry.details = deep;
        log->append(entry);
    }
    EXPECT_TRUE(verify().faults.empty());
    const auto record = find_audit_entry(options.folder, "req-1");
    ASSERT_TRUE(record);
    EXPECT_LE(record->model.size(), 520U);
    EXPECT_NE(record->details.find("left_out"), nullptr);
}

TEST_F(AuditTest, ThreadsAppendInOneOrder) {
    {
        const auto log = AuditLog::open(options);
        std::vector<std::thread> threads;
        for (int t = 0; t < 4; ++t) {
            threads.emplace_back([&, t] {
                for (int i = 0; i < 100; ++i) log->append(request(t * 1000 + i));
                log->flush();
            });
        }
        for (auto& thread : threads) thread.join();
        EXPECT_EQ(verify().entries, 401U);
    }
    EXPECT_TRUE(verify(true).faults.empty());
}

// kill -9 while entries are appended: what flush() promised is there, the next start goes on, and verify finds nothing.
TEST_F(AuditTest, KilledWritersLeaveAChainThatHolds) {
    std::uint64_t least = 0;
    for (int round = 0; round < 10; ++round) {
        int told[2];
        ASSERT_EQ(::pipe(told), 0);
        const pid_t pid = ::fork();
        ASSERT_GE(pid, 0);
        if (pid == 0) {
            options.flush_after = std::chrono::milliseconds(2);
            const auto log = AuditLog::open(options);
            for (int i = 0;; ++i) {
                const std::uint64_t seq = log->append(request(i)).seq;
                if (i % 5 != 0) continue;
                log->flush();
                if (::write(told[1], &seq, sizeof seq) != sizeof seq) ::_exit(1);
            }
        }
        std::this_thread::sleep_for(std::chrono::milliseconds(40 + 13 * round));
        ::kill(pid, SIGKILL);
        ::waitpid(pid, nullptr, 0);
        ::close(told[1]);
        for (std::uint64_t seq = 0; ::read(told[0], &seq, sizeof seq) == sizeof seq;) least = std::max(least, seq);
        ::close(told[0]);
        if (!fs::exists(segment)) continue;
        const ChainReport report = verify(true);
        EXPECT_TRUE(report.faults.empty()) << report.faults[0].message;
        EXPECT_GE(report.last, least);
    }
    static_cast<void>(AuditLog::open(options));
    EXPECT_TRUE(verify(true).faults.empty());
    EXPECT_GT(least, 10U);
}

}  // namespace
}  // namespace freehold::access
