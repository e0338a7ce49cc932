// Registries by the specification: addresses, challenges, manifests of strangers, uploads that break, and who gets to
// see a password. The real registry is tried by tests/registry.
#include <gtest/gtest.h>
#include <sys/stat.h>

#include "../layout.h"
#include "client.h"
#include "contents.h"
#include "credentials.h"
#include "freehold/store/pull.h"
#include "freehold/store/push.h"
#include "freehold/store/version.h"
#include "reference.h"
#include "support/fake_registry.h"
#include "support/scratch.h"

namespace freehold {
namespace {

namespace fs = std::filesystem;
using testing::error_of;
using testing::FakeRegistry;
using testing::HttpReply;
using testing::HttpRequest;
using testing::HttpServer;
using testing::Scratch;
using testing::sha256_of;
using testing::Variable;
using testing::write_file;

TEST(RegistryReference, IsTakenApart) {
    const auto at = registry::parse_reference("oci:Registry.Example.org:5000/team/model:v2");
    EXPECT_EQ(at.host, "registry.example.org:5000");
    EXPECT_EQ(at.name, "team/model");
    EXPECT_EQ(at.tag, "v2");
    EXPECT_EQ(at.str(), "oci:registry.example.org:5000/team/model:v2");
    EXPECT_EQ(registry::parse_reference("oci://localhost/x").tag, "latest");
    EXPECT_EQ(registry::parse_reference("oci:[::1]:5000/x").host, "[::1]:5000");
    const std::string digest = "sha256:" + std::string(64, 'a');
    EXPECT_EQ(registry::parse_reference("oci:h:1/x@" + digest).version(), digest);
    EXPECT_EQ(registry::parse_reference("oci:h:1/x@" + digest).tag, "");
    EXPECT_EQ(registry::parse_reference("oci:docker.io/tiny").name, "library/tiny");
    EXPECT_EQ(registry::parse_reference("oci:docker.io/tiny").api_host(), "registry-1.docker.io");
    for (const char* bad : {"oci:", "oci:x", "oci:team/model", "oci:h.org/", "oci:h.org/Model", "oci:h.org/a:b:c",
                            "oci:h.org:x/a", "oci:h.org/../a", "oci:h.org/a@sha256:12", "oci:h.org/a@md5:00",
                            "oci:u:p@h.org/a", "oci:h_x.org/a", "oci:h.org/a b", "oci:[::1/a"})
        EXPECT_EQ(error_of([&] { static_cast<void>(registry::parse_reference(bad)); }).kind(), ErrorKind::usage) << bad;
}

TEST(RegistryChallenge, IsReadAsServersWriteIt) {
    const auto one = registry::parse_challenges(
        R"(Bearer realm="https://auth.example.org/token",service="reg",scope="repository:a/b:pull,push")");
    ASSERT_EQ(one.size(), 1U);
    EXPECT_EQ(one[0].scheme, "bearer");
    EXPECT_EQ(one[0].parameters.at("scope"), "repository:a/b:pull,push");
    const auto two = registry::parse_challenges(R"(Basic realm="a \"b\"", Bearer realm=x , service = "y")");
    ASSERT_EQ(two.size(), 2U);
    EXPECT_EQ(two[0].parameters.at("realm"), "a \"b\"");
    EXPECT_EQ(two[1].parameters.at("realm"), "x");
    EXPECT_EQ(two[1].parameters.at("service"), "y");
    for (const char* odd : {"", ",,", "=", "\"", "Basic", "Bearer realm=\"", "a=b", "\x01"})
        static_cast<void>(registry::parse_challenges(odd));
}

TEST(RegistryCredentials, AreFoundInThreePlaces) {
    const Scratch scratch;
    const Variable home("HOME", scratch.path().string()), none("REGISTRY_AUTH_FILE", ""), docker("DOCKER_CONFIG", "");
    std::vector<std::string> notices;
    const auto notice = [&](const std::string& s) { notices.push_back(s); };
    const fs::path own = scratch / "registries.json";
    EXPECT_FALSE(registry::find_credentials("h.org", own, notice));
    write_file(
        scratch / ".docker" / "config.json",
        R"({"auths":{"h.org":{"auth":"YW5uOnM6ZQ=="},"https://index.docker.io/v1/":{"auth":"Ym9iOng="}},"credsStore":"desktop"})");
    EXPECT_EQ(registry::find_credentials("h.org", own, notice)->password, "s:e");
    EXPECT_EQ(registry::find_credentials("docker.io", own, notice)->user, "bob");
    EXPECT_FALSE(registry::find_credentials("other.org", own, notice));
    EXPECT_EQ(notices.size(), 1U);  // a helper keeps it, and is not started
    write_file(own, R"({"auths":{"h.org":{"username":"me","password":"mine"}}})");
    ::chmod(own.c_str(), 0644);
    EXPECT_EQ(error_of([&] { static_cast<void>(registry::find_credentials("h.org", own, notice)); }).kind(),
              ErrorKind::denied);
    ::chmod(own.c_str(), 0600);
    EXPECT_EQ(registry::find_credentials("h.org", own, notice)->user, "me");
    for (const std::string text : {"", "a", "ab", "abc", "abcd"})
        EXPECT_EQ(registry::from_base64(registry::base64(text)), text);
    EXPECT_FALSE(registry::from_base64("a!b"));
}

std::string manifest_of(const std::string& layers, const std::string& more = {}) {
    return R"({"schemaVersion":2,"mediaType":"application/vnd.oci.image.manifest.v1+json","config":{"mediaType":"x","digest":"sha256:)" +
           std::string(64, 'c') + R"(","size":2},"layers":[)" + layers + "]" + more + "}";
}

std::string layer_of(const std::string& title, const std::string& type = "application/octet-stream") {
    return R"({"mediaType":")" + type + R"(","digest":"sha256:)" + std::string(64, 'a') +
           R"(","size":5,"annotations":{"org.opencontainers.image.title":")" + title + "\"}}";
}

TEST(RegistryContents, TakeOnlyWhatStaysInside) {
    const auto read = [](const std::string& text, const std::string& file = {}) {
        return registry::read_contents(text, "oci:h.org/x:v1", file);
    };
    EXPECT_EQ(read(manifest_of(layer_of("a.gguf"))).files.at(0).path, "a.gguf");
    EXPECT_EQ(read(manifest_of(layer_of("sub/a.gguf"))).files.at(0).path, "a.gguf");
    EXPECT_EQ(read(manifest_of(layer_of("a.gguf") + "," + layer_of("b.gguf")), "b.gguf").files.at(0).path, "b.gguf");
    EXPECT_EQ(
        error_of([&] { static_cast<void>(read(manifest_of(layer_of("a.gguf") + "," + layer_of("b.gguf")))); }).kind(),
        ErrorKind::usage);
    for (const char* bad : {"../a.gguf", "/a.gguf", "a/../../b.gguf", "a\\\\b.gguf", "c:/a.gguf", "a//b.gguf"})
        EXPECT_EQ(error_of([&] { static_cast<void>(read(manifest_of(layer_of(bad)))); }).kind(), ErrorKind::bad_file)
            << bad;
    EXPECT_EQ(
        error_of([&] { static_cast<void>(read(manifest_of(layer_of("a.gguf") + "," + layer_of("a.gguf")))); }).kind(),
        ErrorKind::bad_file);
    EXPECT_EQ(
        error_of([&] { static_cast<void>(read(manifest_of(layer_of("a.gguf") + "," + layer_of("a.gguf/b")))); }).kind(),
        ErrorKind::bad_file);
    EXPECT_EQ(error_of([&] {
                  static_cast<void>(read(manifest_of(layer_of("a.tar", "application/vnd.cncf.model.weight.v1.tar"))));
              }).kind(),
              ErrorKind::unsupported);
    EXPECT_EQ(error_of([&] { static_cast<void>(read(manifest_of(layer_of("w.pt")))); }).kind(), ErrorKind::unsupported);
    // With our own record too, pickles stay outside.
    EXPECT_EQ(
        error_of([&] {
            static_cast<void>(read(manifest_of(layer_of("w.pt"), R"(,"annotations":{"vnd.freehold.record":"{}"})")));
        }).kind(),
        ErrorKind::unsupported);
    for (const char* odd : {"", "{}", "[]", R"({"schemaVersion":1,"layers":[]})", R"({"schemaVersion":2,"layers":[]})",
                            R"({"schemaVersion":2,"layers":[{}]})"})
        EXPECT_THROW(static_cast<void>(read(odd)), Error) << odd;
}

TEST(RegistryContents, ReadsOllamaAndLists) {
    const std::string ollama = "application/vnd.ollama.image.";
    const auto got = registry::read_contents(
        manifest_of(layer_of("", ollama + "model") + "," + layer_of("", ollama + "license") + "," +
                    layer_of("", ollama + "license") + "," + layer_of("", ollama + "system") + "," +
                    layer_of("", ollama + "params") + "," + layer_of("", ollama + "projector")),
        "x", {});
    ASSERT_EQ(got.files.size(), 3U);
    EXPECT_EQ(got.files[0].path, "model.gguf");
    EXPECT_EQ(got.files[2].path, "LICENSE.2");
    ASSERT_EQ(got.settings.size(), 2U);
    EXPECT_EQ(got.settings[1].key, "parameters");
    EXPECT_EQ(got.left_out.size(), 1U);
    EXPECT_EQ(error_of([&] {
                  static_cast<void>(registry::read_contents(
                      manifest_of(layer_of("", ollama + "model") + "," + layer_of("", ollama + "adapter")), "x", {}));
              }).kind(),
              ErrorKind::unsupported);
    const std::string a = "sha256:" + std::string(64, 'a'), b = "sha256:" + std::string(64, 'b');
    EXPECT_EQ(registry::choose_manifest(R"({"manifests":[{"digest":")" + a + R"("},{"digest":")" + b +
                                            R"(","artifactType":"application/vnd.cncf.model.manifest.v1+json"}]})",
                                        "x"),
              b);
    EXPECT_EQ(error_of([&] {
                  static_cast<void>(registry::choose_manifest(
                      R"({"manifests":[{"digest":")" + a + R"("},{"digest":")" + b + R"("}]})", "x"));
              }).kind(),
              ErrorKind::usage);
}

// A store with one model of 40 kB, and an empty one.
struct Two {
    Scratch scratch;
    Store mine = Store::open(scratch / "mine"), other = Store::open(scratch / "other");
    StoredModel model;
    Variable home{"HOME", (scratch / "nobody").string()};

    Two() {
        testing::write_tiny_gguf(scratch / "m.gguf", 3, 10000);
        PullOptions options;
        options.as = ModelName::parse("team/m:v1");
        model = pull(mine, (scratch / "m.gguf").string(), options).model;
    }
    PushOptions small() const {
        PushOptions out;
        out.chunk = 4096;
        out.attempts = 3;
        return out;
    }
    PullResult get(const std::string& what) {
        PullOptions options;
        options.attempts = 2;
        return pull(other, what, options);
    }
};

TEST(RegistryPush, BringsAModelThereAndBack) {
    FakeRegistry registry;
    Two two;
    const PushResult sent = push(two.mine, two.model, registry.at("x/m:v1"), two.small());
    EXPECT_GT(sent.bytes_sent, 40000U);
    EXPECT_GT(registry.patches.size(), 8U);
    EXPECT_EQ(sent.digest, sha256_of(registry.manifests.at("v1")));
    // Where the file lay on this machine is nobody's business.
    EXPECT_EQ(registry.manifests.at("v1").find(two.scratch.path().string()), std::string::npos);
    const PullResult got = two.get(registry.at("x/m:v1"));
    EXPECT_EQ(got.model.name.str(), "x/m:v1");
    EXPECT_EQ(got.model.files.at(0).digest, two.model.files.at(0).digest);
    EXPECT_EQ(got.model.record.source_revision, sent.digest);
    EXPECT_TRUE(is_version(got.model, sent.digest));
    EXPECT_TRUE(is_version(got.model, two.model.digest)) << "the publisher's own digest is forgotten";
    EXPECT_FALSE(is_version(got.model, "sha256:" + std::string(64, '0')));
    EXPECT_TRUE(two.get(registry.at("x/m:v1")).was_present);
    EXPECT_TRUE(two.other.verify().empty());
    EXPECT_TRUE(push(two.mine, two.model, registry.at("x/m:v1"), two.small()).was_present);
    // A child names its parent by the digest that the parent has here.
    testing::write_tiny_gguf(two.scratch / "child.gguf", 4);
    ModelRecord record;
    record.parents = {two.model.digest};
    record.container = "gguf";
    NewFile file;
    file.path = "child.gguf";
    file.at = two.scratch / "child.gguf";
    const StoredModel child = two.mine.add(ModelName::parse("child"), {file}, record);
    static_cast<void>(push(two.mine, child, registry.at("x/child:v1"), two.small()));
    EXPECT_EQ(two.get(registry.at("x/child:v1")).model.record.parents, std::vector<std::string>{got.model.digest});
}

TEST(RegistryPush, GoesOnInTheMiddleOfAPart) {
    FakeRegistry registry;
    registry.break_patches = 2;
    Two two;
    static_cast<void>(push(two.mine, two.model, registry.at("x/m:v1"), two.small()));
    EXPECT_TRUE(registry.blobs.contains(two.model.files.at(0).digest));
    std::size_t posts = 0;
    for (const std::string& line : registry.log) posts += line.starts_with("POST") ? 1 : 0;
    EXPECT_EQ(posts, 2U) << "an upload was begun anew";  // the config and the file
}

TEST(RegistryPush, GoesOnWhereAnEarlierOneWasStopped) {
    FakeRegistry registry;
    Two two;
    PushOptions options = two.small();
    options.progress = [](const ProgressEvent& event) {
        if (event.done > 20000) throw Error(ErrorKind::cancelled, "stopped");
    };
    EXPECT_EQ(error_of([&] { push(two.mine, two.model, registry.at("x/m:v1"), options); }).kind(),
              ErrorKind::cancelled);
    EXPECT_FALSE(registry.manifests.contains("v1"));
    const PushResult rest = push(two.mine, two.model, registry.at("x/m:v1"), two.small());
    EXPECT_GE(rest.bytes_resumed, 16000U);
    EXPECT_EQ(rest.bytes_resumed + rest.bytes_sent, two.model.files.at(0).size);
    EXPECT_TRUE(fs::is_empty(two.mine.partial_dir()));
    // A registry that has forgotten gets all of it.
    FakeRegistry forgetful;
    EXPECT_EQ(error_of([&] { push(two.mine, two.model, forgetful.at("x/m:v1"), options); }).kind(),
              ErrorKind::cancelled);
    forgetful.forgets_uploads = true;
    EXPECT_EQ(push(two.mine, two.model, forgetful.at("x/m:v1"), two.small()).bytes_resumed, 0U);
    EXPECT_TRUE(forgetful.blobs.contains(two.model.files.at(0).digest));
}

TEST(RegistryPush, HeedsTheLeastLengthOfAPart) {
    FakeRegistry registry;
    registry.least_chunk = "15000";
    Two two;
    static_cast<void>(push(two.mine, two.model, registry.at("x/m:v1"), two.small()));
    ASSERT_GE(registry.patches.size(), 2U);
    for (std::size_t i = 0; i + 1 < registry.patches.size(); ++i) EXPECT_GE(registry.patches[i], 15000U);
}

TEST(RegistryPush, SendsNoPasswordToOthers) {
    std::mutex mutex;
    std::vector<HttpRequest> seen;
    Two two;
    const std::string content = testing::read_file(two.scratch / "m.gguf");
    const HttpServer elsewhere([&](const HttpRequest& r) {
        const std::lock_guard lock(mutex);
        seen.push_back(r);
        HttpReply reply;
        reply.status = r.method == "GET" ? 200 : 404;
        if (r.method == "GET") reply.body = content;
        return reply;
    });
    FakeRegistry registry;
    write_file(two.mine.home() / "registries.json",
               R"({"auths":{")" + registry.host() + R"(":{"username":"ann","password":"secret"}}})");
    ::chmod((two.mine.home() / "registries.json").c_str(), 0600);
    fs::create_directories(two.other.home());
    fs::copy_file(two.mine.home() / "registries.json", two.other.home() / "registries.json");
    registry.password = "Basic " + registry::base64("ann:secret");
    static_cast<void>(push(two.mine, two.model, registry.at("x/m:v1"), two.small()));
    registry.blobs_elsewhere = elsewhere.url("");
    EXPECT_EQ(two.get(registry.at("x/m:v1")).model.files.at(0).digest, two.model.files.at(0).digest);
    {
        const std::lock_guard lock(mutex);
        ASSERT_FALSE(seen.empty());
        for (const HttpRequest& r : seen) EXPECT_EQ(r.header("authorization"), "");
        seen.clear();
    }
    registry.uploads_elsewhere = elsewhere.url("");
    registry.blobs.clear();  // or nothing would be sent
    registry.manifests.clear();
    EXPECT_THROW(push(two.mine, two.model, registry.at("y/m:v1"), two.small()), Error);
    const std::lock_guard lock(mutex);
    EXPECT_FALSE(seen.empty());
    for (const HttpRequest& r : seen) EXPECT_EQ(r.header("authorization"), "");
}

TEST(RegistryPull, RefusesWhatDoesNotFitItsDigest) {
    FakeRegistry registry;
    Two two;
    static_cast<void>(push(two.mine, two.model, registry.at("x/m:v1"), two.small()));
    registry.spoils_manifests = true;
    EXPECT_EQ(error_of([&] { two.get(registry.at("x/m:v1")); }).kind(), ErrorKind::bad_file);
    registry.spoils_manifests = false;
    std::string& blob = registry.blobs.at(two.model.files.at(0).digest);
    blob[20000] = static_cast<char>(blob[20000] ^ 1);
    const Error fault = error_of([&] { two.get(registry.at("x/m:v1")); });
    EXPECT_EQ(fault.kind(), ErrorKind::bad_file) << fault.message();
    EXPECT_TRUE(two.other.list().empty());
    for (const auto& entry : fs::recursive_directory_iterator(two.other.home())) {
        if (!entry.is_regular_file()) continue;
        EXPECT_LT(entry.file_size(), 2000U) << entry.path();
    }
}

TEST(RegistryAttachments, ComeBackByEitherWay) {
    for (const bool keeps : {true, false}) {
        FakeRegistry registry;
        registry.keeps_referrers = keeps;
        Two two;
        PushOptions options = two.small();
        options.attachments = {{"model.sig", attachment_type("model.sig"), "{\"a\":1}"},
                               {"bom.cdx.json", attachment_type("bom.cdx.json"), "{\"b\":2}"},
                               {"../x.md", attachment_type("x.md"), "hello"}};
        EXPECT_EQ(push(two.mine, two.model, registry.at("x/m:v1"), options).attached.size(), 3U);
        const auto all = attachments_of(two.other, registry.at("x/m:v1"), {});
        ASSERT_EQ(all.size(), 3U) << keeps;
        for (const RemoteAttachment& one : all) EXPECT_EQ(one.document.name.find('/'), std::string::npos);
        const auto bom = attachments_of(two.other, registry.at("x/m:v1"), "application/vnd.cyclonedx+json");
        ASSERT_EQ(bom.size(), 1U);
        EXPECT_EQ(bom[0].document.text, "{\"b\":2}");
        // Once more is not twice.
        EXPECT_EQ(attach(two.mine, registry.at("x/m:v1"), {options.attachments[0]}).size(), 1U);
        EXPECT_EQ(attachments_of(two.other, registry.at("x/m:v1"), {}).size(), 3U);
        std::string& text = registry.blobs.at(sha256_of("{\"b\":2}"));
        text = "{\"b\":3}";
        std::vector<std::string> notices;
        RegistryOptions options_with_notice;
        options_with_notice.notice = [&](const std::string& s) { notices.push_back(s); };
        EXPECT_EQ(attachments_of(two.other, registry.at("x/m:v1"), {}, options_with_notice).size(), 2U);
        EXPECT_EQ(notices.size(), 1U);
    }
}

}  // namespace
}  // namespace freehold
