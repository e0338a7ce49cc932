// The store by itself: names, adding, finding, removing, links, views, sweeps, and what damage looks like.
#include <gtest/gtest.h>
#include <sys/stat.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <thread>

#include "freehold/base/file.h"
#include "freehold/formats/model_files.h"
#include "freehold/formats/panel_file.h"
#include "freehold/store/store.h"
#include "store_files.h"
#include "support/scratch.h"

namespace freehold {
namespace fs = std::filesystem;
namespace {

using testing::error_of;
using testing::Scratch;
using testing::write_file;
using testing::write_tiny_gguf;

NewFile file(const std::string& path, const fs::path& at, NewFile::How how = NewFile::How::copy) {
    NewFile out;
    out.path = path;
    out.at = at;
    out.how = how;
    return out;
}

std::size_t count_blobs(const Store& store) {
    return static_cast<std::size_t>(
        std::distance(fs::directory_iterator(store.home() / "blobs" / "sha256"), fs::directory_iterator()));
}

TEST(ModelName, KeepsWhatRegistriesTake) {
    EXPECT_EQ(ModelName::parse("smollm2:135m").str(), "smollm2:135m");
    EXPECT_EQ(ModelName::parse("SmolLM2").str(), "smollm2:latest");
    EXPECT_EQ(ModelName::parse("org/model.name-1__x:V1.0_a").str(), "org/model.name-1__x:V1.0_a");
}

TEST(ModelName, RefusesTheRestAndSaysWhere) {
    for (const char* bad : {"", ":x", "a:", "../a", "a//b", "/a", "a/", "-a", "a-", "a..b", "a b", "a:b:c", "a:.b",
                            "a\nb", "a/../b", "a:b/c", "\xc3\xa4", "a___b"}) {
        EXPECT_FALSE(ModelName::try_parse(bad)) << bad;
        EXPECT_EQ(error_of([&] { static_cast<void>(ModelName::parse(bad)); }).kind(), ErrorKind::usage) << bad;
    }
    EXPECT_NE(error_of([] { static_cast<void>(ModelName::parse("a b")); }).message().find("position 2"),
              std::string::npos);
}

TEST(Licence, FallsIntoItsCategory) {
    EXPECT_EQ(classify_licence("Apache-2.0").category, LicenceCategory::permissive);
    EXPECT_EQ(classify_licence("cc-by-nc-4.0").category, LicenceCategory::non_commercial);
    EXPECT_EQ(classify_licence("llama3.2").category, LicenceCategory::custom);
    EXPECT_EQ(classify_licence("gemma").category, LicenceCategory::custom);
    EXPECT_EQ(classify_licence("GPL-3.0").category, LicenceCategory::copyleft);
    EXPECT_EQ(classify_licence("my own words").category, LicenceCategory::unknown);
}

TEST(Store, AddsFindsListsAndOpens) {
    const Scratch scratch;
    Store store = Store::open(scratch / "home");
    EXPECT_TRUE(store.list().empty());
    write_tiny_gguf(scratch / "a.gguf", 1);
    ModelRecord record;
    record.architecture = "llama";
    record.licence = classify_licence("mit");
    record.source = "file:/a.gguf";
    record.parents = {"sha256:" + std::string(64, 'a')};
    record.extra.set("note", "kept");
    const StoredModel added = store.add(ModelName::parse("a"), {file("a.gguf", scratch / "a.gguf")}, record);
    EXPECT_TRUE(fs::exists(scratch / "a.gguf"));
    const StoredModel found = store.get(ModelName::parse("A:latest"));
    EXPECT_EQ(found.digest, added.digest);
    EXPECT_EQ(found.record.parents, record.parents);
    EXPECT_EQ(found.record.licence.category, LicenceCategory::permissive);
    ASSERT_NE(found.record.extra.find("note"), nullptr);
    EXPECT_EQ(found.record.created.size(), 20U);
    EXPECT_EQ(store.list().size(), 1U);
    EXPECT_EQ(store.get_by_digest(added.digest).name.str(), "a:latest");
    const auto model = ModelFiles::open(store.open_path(found));
    EXPECT_EQ(model->architecture(), "llama");
    EXPECT_TRUE(store.verify().empty());
    struct stat st {};
    ASSERT_EQ(::stat(store.open_path(found).c_str(), &st), 0);
    EXPECT_EQ(st.st_mode & 0777, 0444U) << "blobs are not to be written";
}

TEST(Store, KeepsEqualContentOnce) {
    const Scratch scratch;
    Store store = Store::open(scratch / "home");
    write_tiny_gguf(scratch / "a.gguf", 1);
    write_tiny_gguf(scratch / "b.gguf", 1);
    store.add(ModelName::parse("a"), {file("m.gguf", scratch / "a.gguf")}, {});
    const std::size_t before = count_blobs(store);
    store.add(ModelName::parse("b"), {file("m.gguf", scratch / "b.gguf"), file("n.gguf", scratch / "a.gguf")}, {});
    EXPECT_EQ(count_blobs(store), before + 2) << "a manifest and a config, no second copy of the weights";
    EXPECT_TRUE(store.verify().empty());
}

TEST(Store, MoveTakesTheFile) {
    const Scratch scratch;
    Store store = Store::open(scratch / "home");
    write_tiny_gguf(scratch / "a.gguf", 1);
    store.add(ModelName::parse("a"), {file("a.gguf", scratch / "a.gguf", NewFile::How::move)}, {});
    EXPECT_FALSE(fs::exists(scratch / "a.gguf"));
    EXPECT_TRUE(store.verify().empty());
}

TEST(Store, RefusesWhatWasNotExpected) {
    const Scratch scratch;
    Store store = Store::open(scratch / "home");
    write_tiny_gguf(scratch / "a.gguf", 1);
    NewFile wrong = file("a.gguf", scratch / "a.gguf");
    wrong.digest = "sha256:" + std::string(64, '0');
    for (const auto how : {NewFile::How::copy, NewFile::How::move, NewFile::How::link}) {
        wrong.how = how;
        EXPECT_EQ(error_of([&] { store.add(ModelName::parse("a"), {wrong}, {}); }).kind(), ErrorKind::bad_file);
    }
    for (const char* path : {"../a", "/a", "a/../../b", "a\\b", "", "c:x", "a//b"})
        EXPECT_EQ(error_of([&] { store.add(ModelName::parse("a"), {file(path, scratch / "a.gguf")}, {}); }).kind(),
                  ErrorKind::bad_file)
            << path;
    EXPECT_EQ(error_of([&] {
                  store.add(ModelName::parse("a"), {file("a", scratch / "a.gguf"), file("a", scratch / "a.gguf")}, {});
              }).kind(),
              ErrorKind::bad_file);
    EXPECT_TRUE(store.list().empty());
    store.collect_garbage();
    EXPECT_EQ(count_blobs(store), 0U);
}

TEST(Store, PanelsGoWithTheLastNameOfTheirFiles) {
    const Scratch scratch;
    Store store = Store::open(scratch / "home");
    write_tiny_gguf(scratch / "a.gguf", 1);
    write_tiny_gguf(scratch / "b.gguf", 2);
    const StoredModel a = store.add(ModelName::parse("a"), {file("a.gguf", scratch / "a.gguf")}, {});
    const StoredModel b = store.add(ModelName::parse("b"), {file("b.gguf", scratch / "b.gguf")}, {});
    // The same file under another name of its own, and the same model under another name: both share.
    const StoredModel twin = store.add(ModelName::parse("twin"), {file("other.gguf", scratch / "a.gguf")}, {});
    store.copy(ModelName::parse("a"), ModelName::parse("a:copy"));
    EXPECT_EQ(store.panels_path(a), store.panels_path(twin));
    EXPECT_NE(store.panels_path(a), store.panels_path(b));
    EXPECT_EQ(store.panel_bytes(a), 0U);

    const auto write = [&](const StoredModel& model, const std::string& profile) {
        fs::path path = store.panels_path(model);
        const std::string key = path.filename().string();
        fs::create_directories(path.parent_path());
        path += "." + profile + ".panels";
        PanelFileWriter writer(path, key);
        writer.add({"w", DType::F32, 0, 1, 256, 0, 1024}, std::vector<std::byte>(1024));
        writer.finish();
        return path;
    };
    const fs::path a_q8 = write(a, "q8"), a_f32 = write(a, "f32"), b_q8 = write(b, "q8");
    EXPECT_EQ(store.panel_bytes(twin), fs::file_size(a_q8) + fs::file_size(a_f32));
    EXPECT_TRUE(store.verify().empty());

    EXPECT_EQ(store.remove(ModelName::parse("a")).bytes, 0U);
    store.remove(ModelName::parse("a:copy"));
    EXPECT_TRUE(fs::exists(a_q8)) << "another model has the same file";
    const std::uint64_t kept = fs::file_size(a_q8) + fs::file_size(a_f32);
    EXPECT_GE(store.remove(ModelName::parse("twin")).bytes, kept + fs::file_size(scratch / "a.gguf"));
    EXPECT_FALSE(fs::exists(a_q8));
    EXPECT_FALSE(fs::exists(a_f32));
    EXPECT_TRUE(fs::exists(b_q8));

    // What a killed writer left goes, with a sweep or before the next one writes, but not what is being written.
    const fs::path half = scratch / "home/panels/.x.q8.panels.tmp-1-0";
    {
        const auto turn = PanelTurn::try_take(store.home());
        ASSERT_TRUE(turn.has_value());
        EXPECT_FALSE(PanelTurn::try_take(store.home()).has_value());
        testing::write_file(half, "half");
        store.collect_garbage();
        EXPECT_TRUE(fs::exists(half));
    }
    store.collect_garbage();
    EXPECT_FALSE(fs::exists(half));
    testing::write_file(half, "half");
    EXPECT_TRUE(PanelTurn::try_take(store.home()).has_value());
    EXPECT_FALSE(fs::exists(half));
    EXPECT_TRUE(fs::exists(b_q8));
}

TEST(Store, VerifyReadsPanels) {
    const Scratch scratch;
    Store store = Store::open(scratch / "home");
    write_tiny_gguf(scratch / "a.gguf", 1);
    const StoredModel a = store.add(ModelName::parse("a"), {file("a.gguf", scratch / "a.gguf")}, {});
    fs::path path = store.panels_path(a);
    const std::string key = path.filename().string();
    fs::create_directories(path.parent_path());
    path += ".q8.panels";
    PanelFileWriter writer(path, key);
    writer.add({"w", DType::F32, 0, 1, 256, 0, 1024}, std::vector<std::byte>(1024));
    writer.finish();
    EXPECT_TRUE(store.verify().empty());
    std::string bytes = testing::read_file(path);
    bytes[500] = 1;
    testing::write_file(path, bytes);
    const auto faults = store.verify();
    ASSERT_EQ(faults.size(), 1U);
    EXPECT_EQ(faults[0].model, "a:latest");
    EXPECT_NE(faults[0].message.find("digest"), std::string::npos) << faults[0].message;
    EXPECT_NE(faults[0].hint.find(path.string()), std::string::npos);
    EXPECT_EQ(store.verify(ModelName::parse("a")).size(), 1U);
}

TEST(Store, CopiesAndRemoves) {
    const Scratch scratch;
    Store store = Store::open(scratch / "home");
    write_tiny_gguf(scratch / "a.gguf", 1, 100000);
    write_tiny_gguf(scratch / "b.gguf", 2);
    store.add(ModelName::parse("a"), {file("a.gguf", scratch / "a.gguf")}, {});
    store.add(ModelName::parse("b"), {file("b.gguf", scratch / "b.gguf")}, {});
    store.copy(ModelName::parse("a"), ModelName::parse("c:v1"));
    EXPECT_EQ(error_of([&] { store.copy(ModelName::parse("a"), ModelName::parse("b")); }).kind(), ErrorKind::conflict);
    EXPECT_EQ(error_of([&] { store.copy(ModelName::parse("nobody"), ModelName::parse("d")); }).kind(),
              ErrorKind::not_found);
    EXPECT_EQ(store.remove(ModelName::parse("a")).files, 0U) << "c:v1 still needs its blobs";
    EXPECT_TRUE(store.verify().empty());
    const GcResult freed = store.remove(ModelName::parse("c:v1"));
    EXPECT_EQ(freed.files, 3U);
    EXPECT_GT(freed.bytes, 400000U);
    EXPECT_EQ(store.list().size(), 1U);
    EXPECT_EQ(count_blobs(store), 3U);
    const Error gone = error_of([&] { static_cast<void>(store.get(ModelName::parse("bb"))); });
    EXPECT_NE(gone.hint().find("b:latest"), std::string::npos) << gone.hint();
}

TEST(Store, FoldersOpenThroughAViewThatMendsItself) {
    const Scratch scratch;
    Store store = Store::open(scratch / "home");
    write_file(scratch / "config.json", R"({"model_type":"llama"})");
    write_file(scratch / "model.safetensors", testing::tiny_safetensors(1));
    write_file(scratch / "pool.json", "{}");
    const StoredModel model = store.add(
        ModelName::parse("f"),
        {file("config.json", scratch / "config.json"), file("model.safetensors", scratch / "model.safetensors"),
         file("1_Pooling/config.json", scratch / "pool.json")},
        {});
    const fs::path view = store.open_path(model);
    EXPECT_EQ(ModelFiles::open(view)->tensors().size(), 1U);
    EXPECT_TRUE(fs::exists(view / "1_Pooling" / "config.json"));
    fs::remove(view / "config.json");
    EXPECT_TRUE(fs::exists(store.open_path(model) / "config.json"));
    // What somebody lays beside the files is gone with the next opening: readers would take it, and no digest covers
    // it.
    testing::write_file(view / "chat_template.jinja", "{{ 'evil' }}");
    EXPECT_FALSE(fs::exists(store.open_path(model) / "chat_template.jinja"));
    fs::create_symlink("config.json", view / "generation_config.json");
    EXPECT_FALSE(fs::is_symlink(store.open_path(model) / "generation_config.json"));
    EXPECT_TRUE(fs::exists(store.open_path(model) / "config.json"));
    store.remove(model.name);
    EXPECT_FALSE(fs::exists(view));
}

TEST(Store, SplitFilesOpenByTheirFirstPart) {
    const Scratch scratch;
    Store store = Store::open(scratch / "home");
    write_tiny_gguf(scratch / "1", 1);
    write_tiny_gguf(scratch / "2", 2);
    const StoredModel model =
        store.add(ModelName::parse("s"),
                  {file("m-00002-of-00002.gguf", scratch / "2"), file("m-00001-of-00002.gguf", scratch / "1")}, {});
    EXPECT_EQ(store.open_path(model).filename(), "m-00001-of-00002.gguf");
}

TEST(Store, LinkedFilesStayWhereTheyAreAndAreWatched) {
    const Scratch scratch;
    Store store = Store::open(scratch / "home");
    write_tiny_gguf(scratch / "a.gguf", 1);
    const StoredModel model =
        store.add(ModelName::parse("a"), {file("a.gguf", scratch / "a.gguf", NewFile::How::link)}, {});
    EXPECT_FALSE(store.has_blob(model.files[0].digest));
    EXPECT_EQ(store.open_path(store.get(model.name)), fs::canonical(scratch / "a.gguf"));
    EXPECT_TRUE(store.verify().empty());
    fs::last_write_time(scratch / "a.gguf", fs::file_time_type::clock::now() + std::chrono::seconds(5));
    EXPECT_EQ(error_of([&] { static_cast<void>(store.open_path(model)); }).kind(), ErrorKind::conflict);
    EXPECT_EQ(store.verify().size(), 1U);
    fs::remove(scratch / "a.gguf");
    EXPECT_EQ(error_of([&] { static_cast<void>(store.open_path(model)); }).kind(), ErrorKind::not_found);
    store.remove(model.name);
}

TEST(Store, VerifyTellsDamage) {
    const Scratch scratch;
    Store store = Store::open(scratch / "home");
    write_tiny_gguf(scratch / "a.gguf", 1);
    const StoredModel model = store.add(ModelName::parse("a"), {file("a.gguf", scratch / "a.gguf")}, {});
    const fs::path blob = store.blob_path(model.files[0].digest);
    std::string bytes = testing::read_file(blob);
    bytes[bytes.size() - 1] = static_cast<char>(bytes[bytes.size() - 1] ^ 1);
    fs::remove(blob);
    write_file(blob, bytes);
    auto faults = store.verify(model.name);
    ASSERT_EQ(faults.size(), 1U);
    EXPECT_NE(faults[0].message.find("damaged"), std::string::npos);
    fs::remove(blob);
    ASSERT_EQ(store.verify().size(), 1U);
    EXPECT_EQ(error_of([&] { static_cast<void>(store.open_path(model)); }).kind(), ErrorKind::not_found);
    const fs::path manifest = store.blob_path(model.digest);
    fs::remove(manifest);
    write_file(manifest, "{}");
    EXPECT_EQ(store.verify().size(), 1U);
    EXPECT_TRUE(store.list().empty());
    EXPECT_EQ(error_of([&] { static_cast<void>(store.get(model.name)); }).kind(), ErrorKind::bad_file);
}

TEST(Store, ADamagedManifestStopsTheSweepOfBlobs) {
    const Scratch scratch;
    Store store = Store::open(scratch / "home");
    write_tiny_gguf(scratch / "a.gguf", 1);
    const StoredModel model = store.add(ModelName::parse("a"), {file("a.gguf", scratch / "a.gguf")}, {});
    fs::remove(store.blob_path(model.digest));
    store.collect_garbage();
    EXPECT_TRUE(store.has_blob(model.files[0].digest)) << "nobody knows what the lost manifest named";
    store.remove(model.name);
    EXPECT_EQ(count_blobs(store), 0U);
}

TEST(Store, SweepSparesLiveStagingAndClearsTheDead) {
    const Scratch scratch;
    Store store = Store::open(scratch / "home");
    write_file(store.home() / "partial" / "stage-old" / "0", "left over by a kill");
    {
        const detail::Staging live(store.home());
        EXPECT_FALSE(fs::exists(store.home() / "partial" / "stage-old")) << "the next import clears it away";
        write_file(store.home() / "partial" / "stage-dead" / "0", "left over by a kill");
        write_file(store.home() / "blobs" / "sha256" / "abc.tmp", "left over by a kill");
        write_file(live.dir() / "0", "in use");
        const GcResult swept = store.collect_garbage();
        EXPECT_EQ(swept.files, 2U);
        EXPECT_TRUE(fs::exists(live.dir() / "0"));
        EXPECT_FALSE(fs::exists(store.home() / "partial" / "stage-dead"));
    }
    EXPECT_TRUE(fs::is_empty(store.home() / "partial"));
}

TEST(Store, ManyWritersAndReadersAtOnce) {
    const Scratch scratch;
    static_cast<void>(Store::open(scratch / "home"));
    constexpr int kThreads = 4, kModels = 5;
    for (int t = 0; t < kThreads; ++t)
        for (int i = 0; i < kModels; ++i)
            write_tiny_gguf(scratch / (std::to_string(t) + std::to_string(i)), static_cast<unsigned>(t * 10 + i));
    std::vector<std::thread> threads;
    std::atomic<int> bad = 0;
    for (int t = 0; t < kThreads; ++t) {
        threads.emplace_back([&, t] {
            Store store = Store::open(scratch / "home");
            for (int i = 0; i < kModels; ++i) {
                const std::string id = std::to_string(t) + std::to_string(i);
                store.add(ModelName::parse("m" + id), {file("m.gguf", scratch / id)}, {});
                static_cast<void>(store.list());
                if (i % 2 == 1) store.remove(ModelName::parse("m" + std::to_string(t) + std::to_string(i - 1)));
                store.collect_garbage();
                if (!store.verify(ModelName::parse("m" + id)).empty()) ++bad;
            }
        });
    }
    for (std::thread& t : threads) t.join();
    const Store store = Store::open(scratch / "home");
    EXPECT_EQ(bad, 0);
    EXPECT_EQ(store.list().size(), 12U);
    EXPECT_TRUE(store.verify().empty());
    EXPECT_EQ(count_blobs(store), 36U);
}

TEST(Store, KeepsEntriesOfOtherTools) {
    const Scratch scratch;
    Store store = Store::open(scratch / "home");
    fs::create_directories(store.home() / "blobs" / "sha256");
    const std::string digest = detail::put_blob(store.home(), R"({"foreign":true})");
    write_file(
        store.home() / "index.json",
        R"({"schemaVersion":2,"manifests":[{"mediaType":"application/x","size":16,"digest":")" + digest + R"("}]})");
    write_tiny_gguf(scratch / "a.gguf", 1);
    store.add(ModelName::parse("a"), {file("a.gguf", scratch / "a.gguf")}, {});
    store.remove(ModelName::parse("a"));
    EXPECT_NE(read_text(store.home() / "index.json").find(digest), std::string::npos);
    EXPECT_TRUE(store.has_blob(digest));
}

TEST(Store, RefusesAFileAsItsHome) {
    const Scratch scratch;
    write_file(scratch / "home", "not a folder");
    EXPECT_EQ(error_of([&] { static_cast<void>(Store::open(scratch / "home")); }).kind(), ErrorKind::bad_file);
    write_file(scratch / "other" / "oci-layout", R"({"imageLayoutVersion":"9.0"})");
    EXPECT_EQ(error_of([&] { static_cast<void>(Store::open(scratch / "other")); }).kind(), ErrorKind::unsupported);
}

TEST(Store, HomeFollowsTheEnvironment) {
    const testing::Variable home("FREEHOLD_HOME", "");
    {
        const testing::Variable data("XDG_DATA_HOME", "/data");
        EXPECT_EQ(default_home(), "/data/freehold");
        const testing::Variable own("FREEHOLD_HOME", "/own");
        EXPECT_EQ(default_home(), "/own");
    }
    const testing::Variable data("XDG_DATA_HOME", "relative");
    const testing::Variable user("HOME", "/home/u");
    EXPECT_EQ(default_home(), "/home/u/.local/share/freehold");
}

}  // namespace
}  // namespace freehold
