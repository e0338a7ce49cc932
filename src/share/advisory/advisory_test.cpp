// Advisories: what is read and refused, who is believed, and which models are
// hit.
#include <gtest/gtest.h>

#include <algorithm>

#include "freehold/advisory/check.h"
#include "freehold/advisory/register.h"
#include "freehold/base/hash.h"
#include "freehold/base/threads.h"
#include "freehold/bundle/signature.h"
#include "freehold/formats/model_files.h"
#include "freehold/formats/quantise.h"
#include "freehold/store/pull.h"
#include "support/scratch.h"

namespace freehold::advisory {
namespace {

namespace fs = std::filesystem;
using freehold::testing::error_of;
using freehold::testing::Scratch;
using freehold::testing::write_file;

std::string digest(char c) {
    return "sha256:" + std::string(64, c);
}

Advisory sample(const std::string& hit = digest('a'), const std::string& modified = "2026-01-02T03:04:05Z") {
    Advisory a;
    a.id = "x_TEST-2026-1";
    a.modified = a.published = modified;
    a.summary = "It tells what it was told.";
    a.details = "Line one.\nLine two.";
    a.aliases = {"x_OTHER-1"};
    a.references = {{"WEB", "https://example.org/1"}};
    a.cvss = {"CVSS:3.1/AV:N/AC:L/PR:N/UI:N/S:U/C:H/I:N/A:N"};
    a.severity = Severity::high;
    a.action = Action::recall;
    a.affected = {{"weights", hit, 12, "model.gguf"}};
    a.fixed = {digest('f')};
    return a;
}

TEST(Advisory, IsReadAsItWasWritten) {
    const std::string text = write(sample());
    const Advisory again = parse(text, "x");
    EXPECT_EQ(write(again), text);
    EXPECT_EQ(again.affected, sample().affected);
    EXPECT_EQ(again.severity, Severity::high);
    EXPECT_EQ(again.action, Action::recall);
    EXPECT_EQ(again.details, "Line one.\nLine two.");
    EXPECT_NE(text.find("\"schema_version\": \"1.6.0\""), std::string::npos);
    Advisory no_id = sample();
    no_id.id = "../x";
    EXPECT_EQ(error_of([&] { static_cast<void>(write(no_id)); }).kind(), ErrorKind::usage);
}

TEST(Advisory, RefusesWhatCouldMislead) {
    const std::string good = write(sample());
    const auto with = [&](const std::string& from, const std::string& to) {
        std::string text = good;
        text.replace(text.find(from), from.size(), to);
        return text;
    };
    static_cast<void>(parse(with("\"summary\"", "\"unknown_key\""), "x"));
    for (const std::string& bad :
         {with("x_TEST-2026-1", "../../etc/x"), with("x_TEST-2026-1", ""), with("2026-01-02T03:04:05Z", "yesterday"),
          with("2026-01-02T03:04:05Z", "2026-13-02T03:04:05Z"),
          with("2026-01-02T03:04:05Z", "2026-01-02T03:04:05+01:00"), with(digest('a'), "sha256:abc"),
          with(digest('a'), "md5:" + std::string(32, 'a')), with("\"weights\"", "\"everything\""),
          with("\"high\"", "\"dreadful\""), with("\"recall\"", "\"burn\""), with("1.6.0", "2.0.0"),
          with("\"size\": 12", "\"size\": -1"), with("\"digests\"", "\"dogests\""), std::string("{}"),
          std::string("[]"), std::string(), good.substr(0, good.size() / 2)})
        EXPECT_THROW(static_cast<void>(parse(bad, "x")), Error) << bad;
    // Nothing that plays with a terminal comes through.
    EXPECT_EQ(parse(with("tells", "\\u001b[2Jtells"), "x").summary.find('\x1b'), std::string::npos);
}

struct Bench {
    Scratch scratch;
    Register kept{scratch.path()};
    bundle::PrivateKey ours = bundle::PrivateKey::generate(bundle::KeyKind::ed25519);
    bundle::PrivateKey theirs = bundle::PrivateKey::generate(bundle::KeyKind::p256);

    std::string by(const bundle::PrivateKey& key, const Advisory& a) const {
        return bundle::sign_envelope(key, kMediaType, write(a));
    }
    void trust_ours() const { static_cast<void>(kept.trust(ours.public_key().pem(), "ours")); }
};

TEST(AdvisoryRegister, BelievesTrustedKeysOnly) {
    Bench b;
    EXPECT_TRUE(b.kept.empty());
    EXPECT_EQ(error_of([&] { b.kept.import(b.by(b.ours, sample()), "x", false); }).kind(), ErrorKind::denied);
    EXPECT_EQ(error_of([&] { b.kept.import(write(sample()), "x", false); }).kind(), ErrorKind::denied);
    EXPECT_TRUE(b.kept.empty());
    b.trust_ours();
    EXPECT_TRUE(b.kept.empty()) << "a key is no advisory";
    EXPECT_EQ(b.kept.import(b.by(b.ours, sample()), "x", false).how, Imported::How::added);
    EXPECT_EQ(b.kept.import(b.by(b.ours, sample()), "x", false).how, Imported::How::present);
    ASSERT_EQ(b.kept.list().size(), 1U);
    EXPECT_TRUE(b.kept.list()[0].trusted);
    EXPECT_EQ(b.kept.list()[0].signer, "ours");
    // Another's signature, or none, takes nothing away.
    Advisory withdrawn = sample(digest('a'), "2026-02-01T00:00:00Z");
    withdrawn.withdrawn = withdrawn.modified;
    EXPECT_EQ(error_of([&] { b.kept.import(b.by(b.theirs, withdrawn), "x", true); }).kind(), ErrorKind::conflict);
    EXPECT_EQ(error_of([&] { b.kept.import(write(withdrawn), "x", true); }).kind(), ErrorKind::conflict);
    // Nor does an older text of the same signer; a newer one does.
    EXPECT_EQ(b.kept.import(b.by(b.ours, sample(digest('b'), "2025-01-01T00:00:00Z")), "x", false).how,
              Imported::How::older);
    EXPECT_EQ(b.kept.list()[0].advisory.affected[0].digest, digest('a'));
    EXPECT_EQ(b.kept.import(b.by(b.ours, withdrawn), "x", false).how, Imported::How::renewed);
    EXPECT_FALSE(b.kept.list()[0].advisory.withdrawn.empty());
    EXPECT_TRUE(b.kept.distrust("ours"));
    EXPECT_FALSE(b.kept.list()[0].trusted);
    EXPECT_TRUE(b.kept.remove("x_TEST-2026-1"));
    EXPECT_FALSE(b.kept.remove("x_TEST-2026-1"));
}

TEST(AdvisoryRegister, SeesWhenTheTextWasChanged) {
    Bench b;
    b.trust_ours();
    std::string text = b.by(b.ours, sample());
    const auto at = text.find("\"payload\":\"") + 60;
    text[at] = text[at] == 'A' ? 'B' : 'A';
    EXPECT_THROW(b.kept.import(text, "x", false), Error);
    // On the disk too.
    static_cast<void>(b.kept.import(b.by(b.ours, sample()), "x", false));
    fs::path path;
    for (const auto& entry : fs::directory_iterator(b.kept.folder()))
        if (entry.path().extension() == ".json") path = entry.path();
    write_file(path, b.by(b.theirs, sample()));
    EXPECT_FALSE(b.kept.list().at(0).trusted);
    write_file(path, "nonsense");
    std::vector<std::string> faults;
    EXPECT_TRUE(b.kept.list(&faults).empty());
    EXPECT_EQ(faults.size(), 1U);
    // Something else that is signed by a trusted key is no advisory.
    EXPECT_THROW(b.kept.import(bundle::sign_envelope(b.ours, "text/plain", write(sample())), "x", false), Error);
    EXPECT_EQ(error_of([&] { static_cast<void>(b.kept.trust(b.theirs.public_key().pem(), "ours")); }).kind(),
              ErrorKind::conflict);
    EXPECT_EQ(error_of([&] { static_cast<void>(b.kept.trust(b.theirs.public_key().pem(), "../x")); }).kind(),
              ErrorKind::usage);
}

// Whoever else is trusted may speak of the same model, under the same id too; it takes nothing away from the first.
TEST(AdvisoryRegister, OnlyItsOwnKeyRenewsOrWithdraws) {
    Bench b;
    b.trust_ours();
    static_cast<void>(b.kept.trust(b.theirs.public_key().pem(), "theirs"));
    static_cast<void>(b.kept.import(b.by(b.ours, sample()), "x", false));
    Advisory withdrawn = sample(digest('a'), "2030-02-01T00:00:00Z");
    withdrawn.withdrawn = withdrawn.modified;
    EXPECT_EQ(b.kept.import(b.by(b.theirs, withdrawn), "x", false).how, Imported::How::added);
    const auto in_force = [&] {
        return std::ranges::count_if(b.kept.list(), [](const Kept& k) {
            return k.trusted && k.signer == "ours" && k.advisory.withdrawn.empty();
        });
    };
    EXPECT_EQ(b.kept.list().size(), 2U);
    EXPECT_EQ(in_force(), 1);
    EXPECT_EQ(b.kept.import(b.by(b.ours, sample()), "x", false).how, Imported::How::present);
    // What the distrusted key did is undone, also when it was the first.
    EXPECT_TRUE(b.kept.distrust("theirs"));
    EXPECT_EQ(in_force(), 1);
    ASSERT_EQ(b.kept.list().size(), 2U);
    EXPECT_TRUE(b.kept.list()[0].trusted);
    EXPECT_FALSE(b.kept.list()[1].trusted);
    static_cast<void>(b.kept.trust(b.theirs.public_key().pem(), "theirs"));
    EXPECT_TRUE(b.kept.distrust("ours"));
    EXPECT_EQ(in_force(), 0);
    // What ours renews is ours, and the earlier text stays to be read.
    b.trust_ours();
    EXPECT_EQ(b.kept.import(b.by(b.ours, sample(digest('c'), "2026-03-01T00:00:00Z")), "x", false).how,
              Imported::How::renewed);
    EXPECT_EQ(b.kept.list().size(), 2U);
    std::size_t earlier = 0;
    for (const auto& entry : fs::directory_iterator(b.kept.folder() / "earlier"))
        earlier += entry.path().filename().string().find("2026-01-02") != std::string::npos ? 1U : 0U;
    EXPECT_EQ(earlier, 1U);
    // A file from before there was one for each signer is renewed where it lies.
    EXPECT_TRUE(b.kept.remove("x_TEST-2026-1"));
    EXPECT_TRUE(b.kept.empty());
    write_file(b.kept.folder() / "x_TEST-2026-1.json", b.by(b.ours, sample()));
    EXPECT_EQ(b.kept.import(b.by(b.ours, withdrawn), "x", false).how, Imported::How::renewed);
    EXPECT_EQ(b.kept.list().size(), 1U);
}

Kept trusted(Advisory a) {
    return {std::move(a), true, "ours", {}};
}

// Two signers' texts of one id: both are told, and the one that refuses does.
TEST(AdvisoryCheck, OneSignerHidesNothingOfAnother) {
    Kept mild = trusted(sample());
    mild.signer = "theirs";
    mild.advisory.action = Action::note;
    mild.advisory.severity = Severity::low;
    const auto hits = check_versions({digest('a')}, {mild, trusted(sample())});
    ASSERT_EQ(hits.size(), 2U);
    EXPECT_TRUE(std::ranges::any_of(hits, [](const Hit& h) { return refuses(Policy::recall, h); }));
}

// A bare file that was quantised tells of what, and so does a stored one whose source is not here.
TEST(AdvisoryCheck, KnowsAQuantisedFileByItsKey) {
    const Scratch scratch;
    testing::write_tiny_gguf(scratch / "source.gguf", 1);
    const std::string source = "sha256:" + sha256_file(scratch / "source.gguf");
    const auto quantise = [&](const fs::path& from, const fs::path& to) {
        ThreadPool pool(1);
        write_quantised(plan_quantise(ModelFiles::open(from), quant_mix("q8_0"), "sha256:" + sha256_file(from)), to,
                        pool);
    };
    quantise(scratch / "source.gguf", scratch / "q8.gguf");
    quantise(scratch / "q8.gguf", scratch / "again.gguf");
    for (const char* name : {"q8.gguf", "again.gguf"}) {
        const auto hits = check_files({{name, scratch / name, {}}}, {trusted(sample(source))});
        ASSERT_EQ(hits.size(), 1U) << name;
        EXPECT_NE(sentence(hits[0]).find("from which this was made"), std::string::npos) << sentence(hits[0]);
        Store store = Store::open(scratch / "home");
        const PullResult kept = pull(store, (scratch / name).string(), {});
        EXPECT_EQ(check(store, kept.model, {trusted(sample(source))}).size(), 1U) << name;
    }
    EXPECT_TRUE(check_files({{"s", scratch / "q8.gguf", {}}}, {trusted(sample(digest('d')))}).empty());
}

// A folder that was converted says so in its config.json, as bare files and in the store.
TEST(AdvisoryCheck, KnowsAConvertedFolderByItsConfig) {
    const Scratch scratch;
    const std::string source = digest('e'), earlier = digest('f');
    testing::write_file(scratch / "sf" / "config.json", R"({"model_type":"llama","freehold.converted_from":")" +
                                                            source + R"(","freehold.quantised_before":")" + earlier +
                                                            "\"}");
    testing::write_file(scratch / "sf" / "model.safetensors", testing::tiny_safetensors(1));
    Store store = Store::open(scratch / "home");
    PullOptions options;
    options.as = ModelName::parse("sf");
    const PullResult kept = pull(store, (scratch / "sf").string(), options);
    for (const std::string& from : {source, earlier}) {
        EXPECT_EQ(check_files({{"config.json", scratch / "sf" / "config.json", {}}}, {trusted(sample(from))}).size(),
                  1U);
        EXPECT_EQ(check(store, kept.model, {trusted(sample(from))}).size(), 1U);
    }
    EXPECT_TRUE(check(store, kept.model, {trusted(sample(digest('d')))}).empty());
}

TEST(AdvisoryCheck, HitsAModelAndWhatWasMadeOfIt) {
    const Scratch scratch;
    Store store = Store::open(scratch / "home");
    const auto add = [&](const std::string& name, unsigned seed, const std::vector<std::string>& parents) {
        testing::write_tiny_gguf(scratch / (name + ".gguf"), seed);
        NewFile file;
        file.path = name + ".gguf";
        file.at = scratch / (name + ".gguf");
        ModelRecord record;
        record.parents = parents;
        return store.add(ModelName::parse(name), {file}, record);
    };
    const StoredModel base = add("base", 1, {}), child = add("child", 2, {base.digest});
    const StoredModel grandchild = add("grandchild", 3, {child.digest}), other = add("other", 4, {digest('9')});
    std::vector<Kept> kept{trusted(sample(base.files[0].digest))};
    ASSERT_EQ(check(store, base, kept).size(), 1U);
    EXPECT_EQ(check(store, base, kept)[0].part, "base.gguf");
    EXPECT_EQ(check(store, base, kept)[0].ancestor, "");
    ASSERT_EQ(check(store, grandchild, kept).size(), 1U);
    EXPECT_EQ(check(store, grandchild, kept)[0].ancestor, "base:latest");
    EXPECT_TRUE(check(store, other, kept).empty());
    EXPECT_EQ(all_hits(store, kept).size(), 3U);
    EXPECT_NE(sentence(check(store, child, kept)[0]).find("from which this was made"), std::string::npos);
    // A parent that is not here is known by its digest.
    kept = {trusted(sample(digest('9')))};
    ASSERT_EQ(check(store, other, kept).size(), 1U);
    EXPECT_TRUE(check(store, base, kept).empty());
    // Withdrawn: nothing any more.
    kept = {trusted(sample(base.files[0].digest))};
    kept[0].advisory.withdrawn = kept[0].advisory.modified;
    EXPECT_TRUE(all_hits(store, kept).empty());
    // A circle of parents ends.
    const StoredModel round = add("round", 5, {digest('7')});
    kept = {trusted(sample(digest('8')))};
    EXPECT_TRUE(check(store, round, kept).empty());
}

TEST(AdvisoryCheck, HashesOnlyFilesOfTheRightSize) {
    const Scratch scratch;
    write_file(scratch / "a.gguf", "hello world!");
    const std::string text = "hello world!";
    Advisory a = sample("sha256:" + sha256_hex(std::as_bytes(std::span(text))));
    const std::vector<LooseFile> files{{"a.gguf", scratch / "a.gguf", {}}};
    int hashed = 0;
    const Progress count = [&](const ProgressEvent&) { ++hashed; };
    a.affected[0].size = 13;
    EXPECT_TRUE(check_files(files, {trusted(a)}, count).empty());
    EXPECT_EQ(hashed, 0);
    a.affected[0].size = 12;
    EXPECT_EQ(check_files(files, {trusted(a)}, count).size(), 1U);
    a.affected[0].size = 0;
    EXPECT_EQ(check_files(files, {trusted(a)}, count).size(), 1U);
}

TEST(AdvisoryPolicy, RefusesWhatIsTrustedAndRecalledOrCritical) {
    Hit hit{trusted(sample()), sample().affected[0], "model.gguf", {}};
    EXPECT_FALSE(refuses(Policy::off, hit));
    EXPECT_FALSE(refuses(Policy::warn, hit));
    EXPECT_TRUE(refuses(Policy::recall, hit));
    EXPECT_TRUE(refuses(Policy::all, hit));
    hit.kept.advisory.action = Action::update;
    EXPECT_FALSE(refuses(Policy::recall, hit));
    EXPECT_TRUE(refuses(Policy::all, hit));
    hit.kept.advisory.severity = Severity::critical;
    EXPECT_TRUE(refuses(Policy::recall, hit));
    hit.kept.trusted = false;
    for (const Policy p : {Policy::off, Policy::warn, Policy::recall, Policy::all}) EXPECT_FALSE(refuses(p, hit));
    EXPECT_EQ(error_of([] { static_cast<void>(policy_from("maybe")); }).kind(), ErrorKind::usage);
}

}  // namespace
}  // namespace freehold::advisory
