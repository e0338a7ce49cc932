// A small model packed and verified: whole, changed in every way that counts, twice with the same bytes.
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <functional>

#include "freehold/base/error.h"
#include "freehold/base/file.h"
#include "freehold/base/value.h"
#include "freehold/bundle/contents.h"
#include "freehold/bundle/manifest.h"
#include "freehold/bundle/pack.h"
#include "freehold/bundle/verify.h"

namespace freehold::bundle {
namespace {

namespace fs = std::filesystem;

constexpr const char* kCard =
    "---\nlicense: apache-2.0\nlanguage:\n- en\nbase_model: someone/base\ndatasets:\n- someone/stories\n"
    "pipeline_tag: text-generation\ntags: [tiny, test]\n---\n# Tiny\nWords of the publisher.\n";

class Bundle : public testing::Test {
 protected:
    void SetUp() override {
        root_ = fs::path(testing::TempDir()) / ("freehold_bundle_" + std::to_string(::getpid()) + "_" +
                                                testing::UnitTest::GetInstance()->current_test_info()->name());
        fs::remove_all(root_);
        fs::create_directories(root_ / "in");
        for (const char* name : {"stories260K.bin", "tok512.bin"})
            fs::copy_file(fs::path(FREEHOLD_TEST_DATA) / "stories260K" / name, root_ / "in" / name);
        write_text_atomic(root_ / "in" / "README.md", kCard);
        store_ = std::make_unique<Store>(Store::open(root_ / "home"));
        std::vector<NewFile> files;
        for (const char* name : {"stories260K.bin", "tok512.bin", "README.md"})
            files.push_back({name, root_ / "in" / name, {}, NewFile::How::copy, false});
        ModelRecord record;
        record.architecture = "llama";
        record.container = "llama2c";
        record.source = "file:/home/somebody/secret/in";
        record.created = "2026-01-02T03:04:05Z";
        record.parameters = 260032;
        model_ = store_->add(ModelName::parse("tiny:1"), files, record);
    }
    void TearDown() override { fs::remove_all(root_); }

    PackOptions options(const std::string& out) const {
        PackOptions o;
        o.out = root_ / out;
        o.key = key_;
        o.store = store_.get();
        o.tool_version = "test";
        return o;
    }
    PackResult pack(const std::string& out) const {
        const PackOptions o = options(out);
        return Pack::prepare(source_of_model(*store_, model_), o).write(o);
    }
    VerifyReport check(const std::string& out, bool with_key = true) const {
        VerifyOptions o;
        if (with_key) o.key = key_.public_key();
        o.store = store_.get();
        return verify(contents_of_path(root_ / out), o);
    }
    static bool says(const VerifyReport& report, const std::string& key, Outcome outcome) {
        return std::ranges::any_of(report.checks, [&](const Check& c) { return c.key == key && c.outcome == outcome; });
    }
    static std::string all(const VerifyReport& report) { return to_json(to_value(report), 1); }

    fs::path root_;
    std::unique_ptr<Store> store_;
    StoredModel model_;
    PrivateKey key_ = PrivateKey::generate(KeyKind::p256);
};

TEST_F(Bundle, AFolderIsPackedAndVerified) {
    const PackResult result = pack("b");
    EXPECT_FALSE(result.plan.gaps.empty()) << "nobody said what it is for";
    const VerifyReport report = check("b");
    EXPECT_EQ(report.outcome(), Outcome::good) << all(report);
    EXPECT_EQ(report.root, result.root);
    for (const char* key : {"signature", "digests", "index", "cyclonedx", "spdx"})
        EXPECT_TRUE(says(report, key, Outcome::good)) << key << all(report);
    EXPECT_TRUE(says(report, "lineage", Outcome::note)) << "the base is only named";
    const std::string card = read_text(root_ / "b" / "README.md");
    EXPECT_TRUE(card.starts_with("---\nlicense: \"apache-2.0\"\n")) << card;
    EXPECT_NE(card.find("someone/base"), std::string::npos);
    EXPECT_EQ(read_text(root_ / "b" / "upstream" / "README.md"), kCard) << "the publisher's words are kept";
    EXPECT_NE(read_text(root_ / "b" / "documents" / "licences" / "Apache-2.0.txt").find("Apache License"),
              std::string::npos);
    for (const Entry& entry : contents_of_path(root_ / "b").entries)
        EXPECT_EQ(read_entry(entry, 64 << 20).find("secret"), std::string::npos)
            << entry.name << " tells a path of the packer's machine";
    EXPECT_THROW(pack("b"), Error) << "nothing is overwritten";
}

TEST_F(Bundle, ATarIsPackedAndVerifiedWithoutUnpacking) {
    const PackResult result = pack("b.tar");
    const VerifyReport report = check("b.tar");
    EXPECT_EQ(report.outcome(), Outcome::good) << all(report);
    EXPECT_EQ(report.root, result.root);
    EXPECT_EQ(pack("folder").root, result.root) << "a folder and an archive hold the same";
}

TEST_F(Bundle, TheSameInputGivesTheSameBytes) {
    for (const char* name : {"one.tar", "two.tar"}) {
        PackOptions o = options(name);
        o.key.reset();
        Pack::prepare(source_of_model(*store_, model_), o).write(o);
    }
    EXPECT_EQ(read_text(root_ / "one.tar"), read_text(root_ / "two.tar"));
    PackOptions o = options("three.tar");
    o.key.reset();
    o.time = 1;
    Pack::prepare(source_of_model(*store_, model_), o).write(o);
    EXPECT_NE(read_text(root_ / "one.tar"), read_text(root_ / "three.tar"));
}

TEST_F(Bundle, ABundlePackedAgainIsMadeAnewFromTheModel) {
    pack("b");
    const PackOptions o = options("again");
    Pack::prepare(source_of_path(root_ / "b"), o).write(o);
    EXPECT_EQ(check("again").outcome(), Outcome::good) << all(check("again"));
    EXPECT_FALSE(fs::exists(root_ / "again" / "upstream" / "upstream"));
    EXPECT_EQ(read_text(root_ / "again" / "upstream" / "README.md"), kCard);
}

TEST_F(Bundle, WithoutAKeyOrASignatureNothingIsVouchedFor) {
    pack("b");
    EXPECT_EQ(check("b", false).outcome(), Outcome::unknown);
    EXPECT_TRUE(says(check("b", false), "signature", Outcome::unknown));
    fs::remove(root_ / "b" / kSignatureFile);
    const VerifyReport report = check("b");
    EXPECT_EQ(report.outcome(), Outcome::unknown) << all(report);
    EXPECT_TRUE(says(report, "index", Outcome::good)) << "the index still holds";
}

TEST_F(Bundle, AnotherKeysSignatureIsRefused) {
    pack("b");
    VerifyOptions o;
    o.key = PrivateKey::generate(KeyKind::p256).public_key();
    const VerifyReport report = verify(contents_of_path(root_ / "b"), o);
    EXPECT_EQ(report.outcome(), Outcome::bad);
    EXPECT_TRUE(says(report, "signature", Outcome::bad));
}

TEST_F(Bundle, EveryChangeIsSeen) {
    struct Case {
        const char* what;
        const char* key;
        std::function<void(const fs::path&)> change;
    };
    const auto text = [](const char* name, const char* bytes) {
        return [=](const fs::path& b) {
            fs::create_directories((b / name).parent_path());
            write_text_atomic(b / name, bytes);
        };
    };
    const std::vector<Case> cases = {
        {"weights changed", "digests", text("stories260K.bin", "x")},
        {"a document changed", "digests", text("documents/lineage.json", "{}")},
        {"a file removed", "files-missing", [](const fs::path& b) { fs::remove(b / "tok512.bin"); }},
        {"a file renamed", "files-outside", [](const fs::path& b) { fs::rename(b / "tok512.bin", b / "tok513.bin"); }},
        {"a file added", "files-outside", text("more.txt", "")},
        {"hidden weights", "files-outside", text(".hidden.safetensors", "x")},
        {"weights in a hidden folder", "files-outside", text(".cache/model.safetensors", "x")},
        {"weights where git is", "files-outside", text(".github/model.safetensors", "x")},
        {"a link for a file", "files-odd",
         [](const fs::path& b) {
             fs::rename(b / "tok512.bin", b.parent_path() / "elsewhere");
             fs::create_symlink(b.parent_path() / "elsewhere", b / "tok512.bin");
         }},
        {"a link to a folder outside", "files-odd", [](const fs::path& b) { fs::create_symlink("/etc", b / "more"); }},
        {"a pipe", "files-odd", [](const fs::path& b) { ::mkfifo((b / "pipe").c_str(), 0600); }},
        {"no signature but rubbish", "signature", text("model.sig", "{}")},
    };
    int n = 0;
    for (const Case& c : cases) {
        const std::string name = "b" + std::to_string(n++);
        pack(name);
        c.change(root_ / name);
        const VerifyReport report = check(name);
        EXPECT_EQ(report.outcome(), Outcome::bad) << c.what << all(report);
        EXPECT_TRUE(says(report, c.key, Outcome::bad)) << c.what << all(report);
    }
}

TEST_F(Bundle, FilesOfGitAreToldAsUncovered) {
    pack("b");
    write_text_atomic(root_ / "b" / ".gitattributes", "* text");
    EXPECT_EQ(check("b").outcome(), Outcome::unknown) << all(check("b"));
    fs::create_directories(root_ / "b" / ".git");
    EXPECT_TRUE(says(check("b"), "files-skipped", Outcome::unknown));
}

TEST_F(Bundle, AnEmptyOrForeignFolderIsNotVerified) {
    fs::create_directories(root_ / "empty");
    EXPECT_EQ(check("empty").outcome(), Outcome::bad);
    fs::create_directories(root_ / "plain");
    write_text_atomic(root_ / "plain" / "a.txt", "a");
    EXPECT_EQ(check("plain").outcome(), Outcome::unknown);
    write_text_atomic(root_ / "plain.bin", "no archive");
    EXPECT_THROW(static_cast<void>(contents_of_path(root_ / "plain.bin")), Error);
}

TEST_F(Bundle, AStoredModelIsHeldAgainstItsManifest) {
    VerifyOptions o;
    o.store = store_.get();
    EXPECT_TRUE(says(verify(contents_of_model(*store_, model_), o), "digests-stored", Outcome::good));
    const fs::path blob = store_->file_path(model_.files.front());
    fs::permissions(blob, fs::perms::owner_all);
    std::string bytes = read_text(blob);
    bytes[100] = static_cast<char>(bytes[100] ^ 1);
    write_text_atomic(blob, bytes);
    EXPECT_EQ(verify(contents_of_model(*store_, model_), o).outcome(), Outcome::bad);
    EXPECT_THROW(pack("damaged"), Error) << "what is damaged is not packed";
    EXPECT_FALSE(fs::exists(root_ / "damaged"));
    for (const auto& entry : fs::directory_iterator(root_))
        EXPECT_EQ(entry.path().filename().string().find(".tmp-"), std::string::npos) << entry.path();
}

TEST_F(Bundle, WhatPeopleKnowFillsTheGaps) {
    PackOptions o = options("b");
    write_text_atomic(root_ / "data.csv", "text\nhello\n");
    o.facts = read_facts(
        R"({"uses":"Stories for children.","supplier":"Example House","release_date":"2026-01-02",
            "download_url":"https://example.org/m","languages":["en"],
            "datasets":[{"name":"stories","url":"https://example.org/d","description":"d","licence":"cc0-1.0","version":"1",
                         "published":"2026-01-01","creator":"Example","types":["text"],
                         "files":[{"name":"data.csv","path":"data.csv","columns":["text"]}]}],
            "results":[{"task":"text-generation","dataset":"stories","metric":"perplexity","value":5.5}],
            "training_content":{"2.3.used":"No."}})",
        "facts", root_);
    const Pack p = Pack::prepare(source_of_model(*store_, model_), o);
    const auto gap = [&](const std::string& document, const std::string& what) {
        return std::ranges::any_of(p.plan().gaps, [&](const Gap& g) {
            return g.document == document && g.what.find(what) != std::string::npos;
        });
    };
    EXPECT_FALSE(gap("model card", "what it is meant for"));
    EXPECT_TRUE(gap("model card", "its known limits"));
    p.write(o);
    EXPECT_EQ(check("b").outcome(), Outcome::good) << all(check("b"));
    EXPECT_NE(read_text(root_ / "b/documents/training-content-summary.md").find("No. _[the provider]_"),
              std::string::npos);
    EXPECT_NE(read_text(root_ / "b/README.md").find("perplexity"), std::string::npos);
    EXPECT_NE(read_text(root_ / "b/documents/data/stories.croissant.json").find("\"sha256\""), std::string::npos);
}

TEST(Facts, AreReadStrictly) {
    for (const char* wrong :
         {"[]", "{\"usess\":\"x\"}", "{\"uses\":[1]}", "{\"datasets\":{}}",
          "{\"datasets\":[{\"name\":\"x\",\"relation\":\"stolen from\"}]}", "{\"training_content\":{\"9.9\":\"x\"}}",
          "{\"results\":[{\"metric\":\"m\",\"value\":\"x\"}]}", "{\"approach\":\"magic\"}", "{\"uses\":1,\"uses\":2}"})
        EXPECT_THROW(static_cast<void>(read_facts(wrong, "facts", {})), Error) << wrong;
    const Facts empty = read_facts(facts_form(), "form", {});
    EXPECT_TRUE(empty.texts.empty() && empty.datasets.empty() && empty.results.empty() &&
                empty.training_content.empty())
        << "a form that nobody filled in says nothing";
}

}  // namespace
}  // namespace freehold::bundle
