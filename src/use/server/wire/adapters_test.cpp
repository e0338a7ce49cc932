// Adapters by name and models made by POST /api/create, against a live server over the small model of tests/data.
#include <cmath>
#include <cstring>
#include <fstream>
#include <memory>
#include <mutex>
#include <thread>

#include "freehold/base/hash.h"
#include "freehold/engine/chat.h"
#include "freehold/engine/session.h"
#include "freehold/store/pull.h"
#include "go_template.h"
#include "testing.h"

namespace freehold::server {
namespace {

namespace fs = std::filesystem;
using testing::Client;
using testing::Fixture;

std::string read_all(const fs::path& path) {
    std::ifstream in(path, std::ios::binary);
    return {std::istreambuf_iterator<char>(in), {}};
}

// A PEFT folder for stories260K: rank 2 on q and down of the first layer.
void write_adapter(const fs::path& folder, float strength) {
    fs::create_directories(folder);
    std::ofstream(folder / "adapter_config.json")
        << R"({"peft_type":"LORA","r":2,"lora_alpha":4,"bias":"none","base_model_name_or_path":"tiny/stories"})";
    const std::string at = "base_model.model.model.layers.0.";
    const std::pair<std::string, std::array<std::size_t, 2>> tensors[] = {
        {at + "self_attn.q_proj.lora_A.weight", {2, 64}},
        {at + "self_attn.q_proj.lora_B.weight", {64, 2}},
        {at + "mlp.down_proj.lora_A.weight", {2, 172}},
        {at + "mlp.down_proj.lora_B.weight", {64, 2}}};
    ValueMap header;
    std::vector<float> numbers;
    for (const auto& [name, shape] : tensors) {
        const auto begin = static_cast<std::int64_t>(numbers.size() * 4);
        for (std::size_t i = 0; i < shape[0] * shape[1]; ++i)
            numbers.push_back(strength * std::sin(static_cast<float>(numbers.size()) * 1.7F));
        const auto end = static_cast<std::int64_t>(numbers.size() * 4);
        header.set(name, ValueMap{{"dtype", "F32"},
                                  {"shape",
                                   ValueList{static_cast<std::int64_t>(shape[0]), static_cast<std::int64_t>(shape[1])}},
                                  {"data_offsets", ValueList{begin, end}}});
    }
    std::string text = to_json(header);
    text.append((8 - text.size() % 8) % 8, ' ');
    const std::uint64_t length = text.size();
    std::ofstream out(folder / "adapter_model.safetensors", std::ios::binary);
    out.write(reinterpret_cast<const char*>(&length), 8);
    out << text;
    out.write(reinterpret_cast<const char*>(numbers.data()), static_cast<std::streamsize>(numbers.size() * 4));
}

class Adapted : public ::testing::Test {
 protected:
    Adapted() : store(fixture.pool().store()) {
        PullOptions options;
        options.as = ModelName::parse("stories");
        static_cast<void>(pull(store, std::string(FREEHOLD_TEST_DATA) + "/stories260K/stories260K.bin", options));
        for (const auto& [name, strength] : {std::pair{"notes", 0.25F}, std::pair{"letters", 0.4F}}) {
            write_adapter(scratch.path() / name, strength);
            options.as = ModelName::parse(name);
            options.base = ModelName::parse("stories");
            static_cast<void>(pull(store, (scratch.path() / name).string(), options));
        }
    }

    // Digests of manifests that may not be used.
    struct Recall {
        std::mutex mutex;
        std::string digest;
        void set(const std::string& which) {
            const std::lock_guard lock(mutex);
            digest = which;
        }
    };
    Fixture::Settings settings() const {
        Fixture::Settings s;
        s.memory = 1ULL << 30U;
        s.pool.heed = [recall = recall](const LocatedModel& located) {
            const std::lock_guard lock(recall->mutex);
            if (located.stored && located.stored->digest == recall->digest)
                throw Error(ErrorKind::denied, located.stored->name.str() + " was recalled.");
        };
        return s;
    }
    std::string direct(const std::string& adapter) {
        const ModelLease lease = fixture.pool().acquire("stories");
        GenerateOptions o;
        o.max_tokens = 30;
        o.sampler = recommended_sampler(*lease->model);
        o.sampler.temperature = 0;
        o.cache = CacheUse::none;
        if (!adapter.empty()) o.adapter = load_adapter(fixture.pool().host(), lease->model, scratch.path() / adapter);
        Engine engine(fixture.pool().host(), lease->model, EngineOptions{});
        return freehold::complete(engine, *lease->model, "Once upon a time", o).text;
    }
    Value ask(const std::string& model) {
        Client c(fixture.port());
        const auto reply =
            c.post("/v1/completions",
                   to_json(ValueMap{
                       {"model", model}, {"prompt", "Once upon a time"}, {"max_tokens", 30}, {"temperature", 0}}));
        EXPECT_EQ(reply.status, 200) << reply.body;
        return reply.json();
    }
    static std::string text_of(const Value& answer) {
        const Value* choices = find(*answer.get<ValueMap>(), "choices");
        const Value first = choices == nullptr ? Value() : choices->at(0);
        const Value* text = first.get<ValueMap>() == nullptr ? nullptr : first.get<ValueMap>()->find("text");
        return text == nullptr ? "?" : std::string(text->as_string().value_or("?"));
    }
    std::string post(const std::string& path, const ValueMap& body, int status = 200) {
        Client c(fixture.port());
        const auto reply = c.post(path, to_json(body));
        EXPECT_EQ(reply.status, status) << path << ": " << reply.body;
        return reply.body;
    }
    std::string send_blob(const std::string& bytes) {
        const std::string digest = "sha256:" + sha256_hex(std::as_bytes(std::span(bytes)));
        Client c(fixture.port());
        const int status = c.post("/api/blobs/" + digest, bytes).status;
        EXPECT_TRUE(status == 201 || status == 200) << status;  // 200: it was here
        return digest;
    }

    freehold::testing::Scratch scratch;
    std::shared_ptr<Recall> recall = std::make_shared<Recall>();
    Fixture fixture{settings()};
    Store store;
};

TEST_F(Adapted, AnswersByNameWithOneCopyOfTheWeights) {
    const std::string plain = direct(""), notes = direct("notes"), letters = direct("letters");
    EXPECT_NE(plain, notes);
    EXPECT_NE(notes, letters);
    EXPECT_EQ(text_of(ask("stories")), plain);
    const Value answer = ask("stories+notes");
    EXPECT_EQ(text_of(answer), notes);
    EXPECT_EQ(find(*answer.get<ValueMap>(), "model")->as_string(), "stories:latest+notes:latest");
    std::vector<std::thread> clients;
    for (int i = 0; i < 9; ++i) {
        clients.emplace_back([&, i] {
            const std::string model = i % 3 == 0 ? "stories" : i % 3 == 1 ? "stories+notes" : "stories:latest+letters";
            EXPECT_EQ(text_of(ask(model)), i % 3 == 0 ? plain : i % 3 == 1 ? notes : letters);
        });
    }
    for (auto& client : clients) client.join();
    EXPECT_EQ(fixture.pool().loaded().size(), 1U);
    EXPECT_EQ(fixture.pool().loads(), 1U);
}

TEST_F(Adapted, IsListedAndRefusedByName) {
    Client c(fixture.port());
    const std::string list = c.get("/v1/models").body;
    EXPECT_NE(list.find("\"stories:latest+notes:latest\""), std::string::npos) << list;
    EXPECT_NE(list.find("\"stories:latest\""), std::string::npos);
    EXPECT_EQ(list.find("\"id\":\"notes:latest\""), std::string::npos) << list;
    const ValueMap body{{"prompt", "x"}, {"max_tokens", 1}};
    for (const auto& [model, phrase] :
         {std::pair{"notes", "is an adapter"}, std::pair{"stories+missing", "no adapter missing"},
          std::pair{"stories+stories", "is a model and no adapter"},
          std::pair{"stories+notes+letters", "stories+notes"}}) {
        ValueMap asked = body;
        asked.set("model", model);
        const std::string said = post("/v1/completions", asked, 404);
        EXPECT_NE(said.find(phrase), std::string::npos) << said;
    }
    const std::string vectors = post("/v1/embeddings", {{"model", "stories+notes"}, {"input", "x"}}, 400);
    EXPECT_NE(vectors.find("without adapters"), std::string::npos) << vectors;
}

// What an advisory says of an adapter is asked for at each use, also while it is in memory (the rule is the program's:
// here a recall of the notes by their digest).
TEST_F(Adapted, IsRefusedOnceItIsRecalled) {
    ASSERT_EQ(text_of(ask("stories+notes")), direct("notes"));
    recall->set(store.find(ModelName::parse("notes"))->digest);
    const auto refused = [&](const std::string& path, ValueMap body, const std::string& model) {
        Client c(fixture.port());
        body.set("model", model);
        body.set("stream", false);
        const auto reply = c.post(path, to_json(body));
        EXPECT_EQ(reply.status, 403) << path << " " << model << ": " << reply.body;
        EXPECT_NE(reply.body.find("was recalled"), std::string::npos) << reply.body;
    };
    const ValueMap prompt{{"prompt", "Once"}, {"max_tokens", 1}};
    const ValueMap chat{{"messages", ValueList{chat_message("user", "Once")}}, {"max_tokens", 1}};
    for (const char* model : {"stories+notes", "stories:latest+notes:latest"}) {
        refused("/v1/completions", prompt, model);
        refused("/api/generate", prompt, model);
        refused("/v1/chat/completions", chat, model);
        refused("/v1/messages", chat, model);
        refused("/api/chat", chat, model);
    }
    EXPECT_EQ(text_of(ask("stories")), direct(""));
    EXPECT_EQ(text_of(ask("stories+letters")), direct("letters"));
    recall->set("");
    EXPECT_EQ(text_of(ask("stories+notes")), direct("notes"));
}

TEST_F(Adapted, IsToldWithItsModelAndOrigin) {
    Client c(fixture.port());
    const std::string list = c.get("/freehold/v1/models").body;
    EXPECT_NE(list.find(R"("adapter":{"name":"notes:latest","model":"stories:latest")"), std::string::npos) << list;
    const Value detail = c.get("/freehold/v1/models/stories:latest").json();
    const auto* map = detail.get<ValueMap>();
    ASSERT_NE(map, nullptr);
    EXPECT_EQ(find(*map, "files")->size(), 2U) << to_json(detail);
    EXPECT_EQ(find(*map, "derived")->size(), 2U) << to_json(detail);
    EXPECT_EQ(find(*map, "source")->as_string(), "a file of the server's machine");
    EXPECT_EQ(to_json(detail).find(scratch.path().string()), std::string::npos) << "paths of this machine stay here";
}

TEST_F(Adapted, GoesWithoutItsModel) {
    Client c(fixture.port());
    const std::string body = R"({"model":"stories:latest+notes:latest"})";
    c.send("DELETE /api/delete HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: " +
           std::to_string(body.size()) + "\r\n\r\n" + body);
    EXPECT_EQ(c.reply().status, 200);
    EXPECT_FALSE(store.find(ModelName::parse("notes")));
    EXPECT_TRUE(store.find(ModelName::parse("letters")));
    EXPECT_TRUE(store.find(ModelName::parse("stories"))) << "the model below must stay";
}

TEST_F(Adapted, CanBeMadeAndShown) {
    const ValueMap adapters{
        {"adapter_config.json", send_blob(read_all(scratch.path() / "notes" / "adapter_config.json"))},
        {"adapter_model.safetensors", send_blob(read_all(scratch.path() / "notes" / "adapter_model.safetensors"))}};
    const std::string source = "{{ if .System }}<s>{{ .System }}</s>{{ end }}{{ .Prompt }}{{ .Response }}";
    post("/api/create",
         {{"model", "mario"},
          {"from", "stories"},
          {"system", "Once upon"},
          {"template", source},
          {"parameters", ValueMap{{"temperature", 0}, {"num_predict", 7}, {"stop", ValueList{"@@", "##"}}}},
          {"license", "MIT"},
          {"adapters", adapters}});
    const Value shown = parse_json(post("/api/show", {{"model", "mario"}}), "show");
    const auto field = [&](const char* name) {
        const Value* v = shown.get<ValueMap>()->find(name);
        return v == nullptr ? std::string("?") : std::string(v->as_string().value_or("?"));
    };
    EXPECT_EQ(field("system"), "Once upon");
    EXPECT_EQ(field("template"), source);
    EXPECT_EQ(field("license"), "MIT");
    EXPECT_NE(field("parameters").find("num_predict"), std::string::npos) << field("parameters");
    EXPECT_NE(field("modelfile").find("ADAPTER mario-adapter:latest"), std::string::npos) << field("modelfile");

    // What a client gets is what the engine says to the same text with the same adapter.
    const ModelLease lease = fixture.pool().acquire("mario");
    ASSERT_TRUE(lease.adapter());
    EXPECT_EQ(lease.name(), "mario:latest");
    GenerateOptions o;
    o.max_tokens = 7;
    o.sampler = recommended_sampler(*lease->model);
    o.sampler.temperature = 0;
    o.adapter = lease.adapter();
    const std::string want =
        generate(*lease->engine, *lease->model, encode_chat(*lease->model, "<s>Once upon</s> a time"), o).text;
    for (const char* path : {"/api/generate", "/api/chat"}) {
        ValueMap body{{"model", "mario"}, {"stream", false}};
        const bool chat = std::string_view(path) == "/api/chat";
        if (chat) {
            body.set("messages", ValueList{chat_message("user", " a time")});
        } else {
            body.set("prompt", " a time");
        }
        const Value answer = parse_json(post(path, body), "answer");
        const Value* text = find(*answer.get<ValueMap>(), chat ? "message.content" : "response");
        ASSERT_NE(text, nullptr);
        EXPECT_EQ(text->as_string(), want) << path;
        EXPECT_EQ(find(*answer.get<ValueMap>(), "eval_count")->as_int(), 7) << path;
        EXPECT_EQ(find(*answer.get<ValueMap>(), "model")->as_string(), "mario:latest");
    }
    // The request's own word goes first.
    const Value longer = parse_json(
        post("/api/generate",
             {{"model", "mario"}, {"prompt", " a time"}, {"stream", false}, {"options", ValueMap{{"num_predict", 9}}}}),
        "answer");
    EXPECT_EQ(find(*longer.get<ValueMap>(), "eval_count")->as_int(), 9);
    // Settings of Ollama's own runner are taken, as Modelfiles have them.
    post("/api/create", {{"model", "peach"},
                         {"from", "stories"},
                         {"parameters", ValueMap{{"num_gpu", 99}, {"use_mmap", true}, {"num_ctx", 4096}}}});
    // Another on top keeps what is not said anew.
    post("/api/create", {{"model", "luigi"}, {"from", "mario"}, {"system", "Two"}});
    const std::string second = post("/api/show", {{"model", "luigi"}});
    EXPECT_NE(second.find("\"system\":\"Two\""), std::string::npos) << second;
    EXPECT_NE(second.find("num_predict"), std::string::npos) << second;
    EXPECT_TRUE(fixture.pool().acquire("luigi").adapter());
}

TEST_F(Adapted, RefusesWhatItCannotKeep) {
    const auto refused = [&](ValueMap more, const char* phrase) {
        more.set("model", "bad");
        more.set("from", "stories");
        more.set("stream", false);
        Client c(fixture.port());
        const auto reply = c.post("/api/create", to_json(more));
        EXPECT_GE(reply.status, 400) << reply.body;
        EXPECT_NE(reply.body.find(phrase), std::string::npos) << reply.body;
        // With a status also where lines were asked for, unless it is found in files that lie there by then.
        if (more.find("parameters") != nullptr) {
            more.set("stream", true);
            EXPECT_EQ(c.post("/api/create", to_json(more)).status, 400) << phrase;
        }
        EXPECT_FALSE(store.find(ModelName::parse("bad"))) << phrase;
    };
    refused({{"template", "{{ template \"x\" . }}"}}, "has no counterpart");
    refused({{"parameters", ValueMap{{"temperature", "hot"}}}}, "temperature");
    refused({{"parameters", ValueMap{{"temprature", 0.5}}}}, "temprature");
    refused({{"parameters", ValueMap{{"temperature", 0.5}, {"num_gpu", "all"}}}}, "parameters.num_gpu");
    refused({{"parameters", ValueMap{{"use_mmap", 1}}}}, "parameters.use_mmap");
    refused({{"parameters", ValueMap{{"num_ctx", -1}}}}, "parameters.num_ctx");
    refused({{"parameters", ValueMap{{"stop", 7}}}}, "parameters.stop");
    refused({{"parameters", ValueList{"temperature"}}}, "parameters");
    refused({{"adapters", ValueMap{{"adapter_config.json", "sha256:" + std::string(64, '0')}}}}, "has not been sent");
    refused({{"adapters", ValueMap{{"../x", "sha256:" + std::string(64, '0')}}}}, "no plain name");
    refused({{"messages", ValueList{ValueMap{{"role", "user"}}}}}, "content");
    write_adapter(scratch.path() / "wide", 1);
    std::string config = read_all(scratch.path() / "wide" / "adapter_config.json");
    config.replace(config.find("\"r\":2"), 5, "\"r\":3");
    refused({{"adapters", ValueMap{{"adapter_config.json", send_blob(config)},
                                   {"adapter_model.safetensors",
                                    send_blob(read_all(scratch.path() / "wide" / "adapter_model.safetensors"))}}}},
            "the rank 3");
}

TEST_F(Adapted, UploadsAreLookedAtBeforeTheyCanBeUsed) {
    std::vector<std::string> seen;
    bool refuse = true;
    fixture.service().vet = [&](const FetchedModel& sent) {
        PullVerdict verdict;
        for (const auto& [name, at] : sent.files) {
            seen.push_back(name);
            EXPECT_TRUE(fs::exists(at)) << at;
        }
        if (refuse) {
            verdict.refusal = "It is hostile.";
            verdict.hint = "Do not use it.";
            verdict.report = "{}";
        }
        verdict.note.set("scan", "looked at");
        return verdict;
    };
    freehold::testing::write_tiny_gguf(scratch.path() / "tiny.gguf", 3);
    const std::string gguf = read_all(scratch.path() / "tiny.gguf");
    const auto files = [&] { return ValueMap{{"tiny.gguf", send_blob(gguf)}}; };
    const auto adapters = [&] {
        return ValueMap{{"adapter_config.json", send_blob(read_all(scratch.path() / "notes" / "adapter_config.json"))},
                        {"adapter_model.safetensors",
                         send_blob(read_all(scratch.path() / "letters" / "adapter_model.safetensors"))}};
    };
    const auto quarantined = [&](const char* name) {
        for (const auto& entry : fs::recursive_directory_iterator(store.home() / "quarantine"))
            if (entry.path().filename() == name) return true;
        return false;
    };
    std::string said = post("/api/create", {{"model", "sent"}, {"stream", false}, {"files", files()}}, 403);
    EXPECT_NE(said.find("It is hostile."), std::string::npos) << said;
    EXPECT_EQ(seen, std::vector<std::string>{"tiny.gguf"});
    EXPECT_FALSE(store.find(ModelName::parse("sent")));
    EXPECT_TRUE(quarantined("tiny.gguf"));
    EXPECT_TRUE(quarantined("report.json"));
    // Nothing of it is left where a second try could take it from.
    Client c(fixture.port());
    EXPECT_EQ(c.get("/api/blobs/sha256:" + sha256_hex(std::as_bytes(std::span(gguf)))).status / 100, 4);
    said =
        post("/api/create", {{"model", "sent"}, {"stream", false}, {"from", "stories"}, {"adapters", adapters()}}, 403);
    EXPECT_FALSE(store.find(ModelName::parse("sent-adapter")));
    EXPECT_FALSE(store.find(ModelName::parse("sent")));
    EXPECT_TRUE(quarantined("adapter_model.safetensors"));
    refuse = false;
    post("/api/create", {{"model", "sent"}, {"stream", false}, {"files", files()}});
    ASSERT_TRUE(store.find(ModelName::parse("sent")));
    const StoredModel sent = store.get(ModelName::parse("sent"));
    ASSERT_NE(sent.record.extra.find("scan"), nullptr);
    EXPECT_EQ(sent.record.extra.find("scan")->as_string(), "looked at");
}

std::string rendered(std::string_view go, const ValueList& messages) {
    return render_chat(*ChatTemplate::parse(jinja_from_go(go)), nullptr, messages);
}

TEST(GoTemplate, SaysTurnsAndMessages) {
    const ValueList talk{chat_message("system", "Be brief."), chat_message("user", "Hi"),
                         chat_message("assistant", "Yes?"), chat_message("user", "Bye")};
    // The older form of chatml.
    EXPECT_EQ(rendered("{{ if .System }}<|im_start|>system\n{{ .System }}<|im_end|>\n{{ end }}{{ if .Prompt "
                       "}}<|im_start|>user\n{{ .Prompt }}<|im_end|>\n{{ end }}<|im_start|>assistant\n{{ .Response "
                       "}}<|im_end|>\n",
                       talk),
              "<|im_start|>system\nBe brief.<|im_end|>\n<|im_start|>user\nHi<|im_end|>\n<|im_start|>assistant\nYes?"
              "<|im_end|>\n<|im_start|>user\nBye<|im_end|>\n<|im_start|>assistant\n");
    // The newer one, as libraries of templates have it.
    EXPECT_EQ(rendered("{{- if .System }}[{{ .System }}]\n{{ end }}\n{{- range $i, $_ := .Messages }}\n{{- $last := eq "
                       "(len (slice $.Messages $i)) 1 -}}\n{{- if eq .Role \"user\" }}U:{{ .Content }}\n{{ else if eq "
                       ".Role \"assistant\" }}A:{{ .Content }}{{ if not $last }}.{{ end }}\n{{ end }}\n{{- if and "
                       "(ne .Role \"assistant\") $last }}A:{{ end }}\n{{- end }}",
                       talk),
              "[Be brief.]\nU:Hi\nA:Yes?.\nU:Bye\nA:");
    EXPECT_EQ(rendered("{{/* a note */}}{{ .Prompt }}", {chat_message("user", "it's {{ \\ }}\n")}), "it's {{ \\ }}\n");
}

TEST(GoTemplate, RefusesWhatItDoesNotKnow) {
    for (const char* source : {"{{ .Foo }}", "{{ template \"a\" }}", "{{ range .Tools }}{{ end }}", "{{ if .System }}",
                               "{{ end }}", "{{ .System | upper }}", "{{ json .Messages }}", "{{ \"open }}",
                               "{{ .System", "{{ if .Prompt }}{{ .Response }}{{ end }}", "{{ else }}"}) {
        EXPECT_THROW(static_cast<void>(jinja_from_go(source)), Error) << source;
    }
    EXPECT_THROW(static_cast<void>(jinja_from_go(std::string(100000, 'x'))), Error);
    EXPECT_TRUE(looks_like_jinja("{% for m in messages %}{% endfor %}"));
}

}  // namespace
}  // namespace freehold::server
