// Mapping and atomic replacement, also when the process dies in the middle of a write.
#include "freehold/base/file.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <string>
#include <thread>

#include "freehold/base/error.h"

namespace freehold {
namespace {

namespace fs = std::filesystem;

class FileTest : public testing::Test {
 protected:
    void SetUp() override {
        folder_ = fs::path(testing::TempDir()) / ("freehold_file_test_" + std::to_string(::getpid()));
        fs::remove_all(folder_);
        fs::create_directories(folder_);
    }
    void TearDown() override { fs::remove_all(folder_); }
    [[nodiscard]] std::size_t files() const {
        return static_cast<std::size_t>(std::distance(fs::directory_iterator(folder_), fs::directory_iterator()));
    }
    fs::path folder_;
};

ErrorKind kind_of(const std::function<void()>& f) {
    try {
        f();
    } catch (const Error& e) {
        return e.kind();
    }
    ADD_FAILURE() << "no error";
    return ErrorKind::internal;
}

TEST_F(FileTest, MapsWhatWasWritten) {
    write_text_atomic(folder_ / "a", "hello");
    const auto mapped = MappedFile::open(folder_ / "a");
    EXPECT_EQ(std::string(reinterpret_cast<const char*>(mapped->bytes().data()), mapped->bytes().size()), "hello");
    EXPECT_EQ(mapped->path(), folder_ / "a");
    write_text_atomic(folder_ / "empty", "");
    EXPECT_TRUE(MappedFile::open(folder_ / "empty")->bytes().empty());
}

TEST_F(FileTest, ReleasedPagesReadTheSameAgain) {
    write_text_atomic(folder_ / "a", std::string(100'000, 'z'));
    const auto mapped = MappedFile::open(folder_ / "a");
    mapped->release(5000, 50'000);
    mapped->release(0, ~std::size_t{0});
    mapped->release(~std::size_t{0}, 1);
    for (const std::byte b : mapped->bytes()) ASSERT_EQ(b, std::byte{'z'});
}

TEST_F(FileTest, SaysWhatCannotBeOpened) {
    EXPECT_EQ(kind_of([&] { MappedFile::open(folder_ / "none"); }), ErrorKind::not_found);
    EXPECT_EQ(kind_of([&] { MappedFile::open(folder_); }), ErrorKind::io);
    EXPECT_EQ(kind_of([&] { static_cast<void>(read_text(folder_ / "none")); }), ErrorKind::not_found);
    EXPECT_EQ(kind_of([&] { AtomicFile(folder_ / "no" / "such"); }), ErrorKind::not_found);
    ASSERT_EQ(::mkfifo((folder_ / "pipe").c_str(), 0600), 0);
    EXPECT_EQ(kind_of([&] { MappedFile::open(folder_ / "pipe"); }), ErrorKind::io)
        << "and it must not wait for a writer";
}

TEST_F(FileTest, BoundsWhatIsTakenIntoMemory) {
    write_text_atomic(folder_ / "a", "0123456789");
    EXPECT_EQ(read_text(folder_ / "a", 10), "0123456789");
    EXPECT_EQ(kind_of([&] { static_cast<void>(read_text(folder_ / "a", 9)); }), ErrorKind::limit);
    EXPECT_FALSE(read_text("/proc/self/status").empty()) << "a file that says it has no size";
}

TEST_F(FileTest, WithoutCommitNothingHappened) {
    write_text_atomic(folder_ / "a", "old");
    {
        AtomicFile file(folder_ / "a");
        file.write("new and unfinished");
        EXPECT_EQ(read_text(folder_ / "a"), "old");
    }
    EXPECT_EQ(read_text(folder_ / "a"), "old");
    EXPECT_EQ(files(), 1U) << "the temporary file is gone";
}

TEST_F(FileTest, CommitReplacesAndKeepsPermissions) {
    write_text_atomic(folder_ / "a", "old");
    fs::permissions(folder_ / "a", fs::perms::owner_read | fs::perms::owner_write);
    AtomicFile file(folder_ / "a");
    const std::string large(700'000, 'b');
    file.write("start ");
    file.write(large);
    file.write(" end");
    EXPECT_EQ(file.written(), large.size() + 10);
    file.commit();
    EXPECT_EQ(read_text(folder_ / "a"), "start " + large + " end");
    EXPECT_EQ(fs::status(folder_ / "a").permissions(), fs::perms::owner_read | fs::perms::owner_write);
    EXPECT_EQ(files(), 1U);
    EXPECT_EQ(kind_of([&] { file.write("more"); }), ErrorKind::internal);
}

TEST_F(FileTest, AKillAtAnyMomentLeavesTheOldOrTheNew) {
    // A child rewrites one file over and over with texts of one letter; a reader must never see a mixture.
    const fs::path path = folder_ / "a";
    write_text_atomic(path, std::string(300'000, 'a'));
    for (int round = 0; round < 20; ++round) {
        const pid_t child = ::fork();
        ASSERT_GE(child, 0);
        if (child == 0) {
            for (char c = 'b';; c = c == 'z' ? 'b' : static_cast<char>(c + 1)) {
                write_text_atomic(path, std::string(300'000, c));
            }
        }
        std::this_thread::sleep_for(std::chrono::microseconds(1500 + 700 * round));
        ASSERT_EQ(::kill(child, SIGKILL), 0);
        ASSERT_EQ(::waitpid(child, nullptr, 0), child);
        const std::string text = read_text(path);
        ASSERT_EQ(text.size(), 300'000U);
        ASSERT_EQ(text, std::string(text.size(), text[0]));
    }
    // Leftovers of killed writers carry a name that says what they are.
    for (const auto& entry : fs::directory_iterator(folder_)) {
        const std::string name = entry.path().filename().string();
        EXPECT_TRUE(name == "a" || name.starts_with(".a.tmp-")) << name;
    }
}

TEST(AtomicFile, FollowsLinksAndWritesIntoDevicesAndPipes) {
    const auto folder = std::filesystem::temp_directory_path() / ("freehold-atomic-" + std::to_string(::getpid()));
    std::filesystem::create_directories(folder);
    write_text_atomic(folder / "target", "old");
    std::filesystem::create_symlink("target", folder / "link");
    write_text_atomic(folder / "link", "new");
    EXPECT_TRUE(std::filesystem::is_symlink(folder / "link"));
    EXPECT_EQ(read_text(folder / "target"), "new");
    // A link to the null device, so that a fault here cannot harm the machine's own.
    std::filesystem::create_symlink("/dev/null", folder / "null");
    write_text_atomic(folder / "null", "gone");
    EXPECT_TRUE(std::filesystem::is_symlink(folder / "null"));
    EXPECT_TRUE(std::filesystem::is_character_file("/dev/null"));
    ASSERT_EQ(::mkfifo((folder / "pipe").c_str(), 0600), 0);
    const int reader = ::open((folder / "pipe").c_str(), O_RDONLY | O_NONBLOCK);
    ASSERT_GE(reader, 0);
    write_text_atomic(folder / "pipe", "through");
    char read[16] = {};
    EXPECT_EQ(::read(reader, read, sizeof read), 7);
    EXPECT_STREQ(read, "through");
    ::close(reader);
    EXPECT_TRUE(std::filesystem::is_fifo(folder / "pipe"));
    EXPECT_THROW(write_text_atomic(folder, "x"), Error);
    std::filesystem::remove_all(folder);
}

}  // namespace
}  // namespace freehold
