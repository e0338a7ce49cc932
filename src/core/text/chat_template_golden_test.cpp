// Chat templates of real models against what jinja2, set up as transformers does, makes of them
// (tests/oracle/templates_make.py wrote the vectors).
#include <gtest/gtest.h>

#include <fstream>
#include <iterator>
#include <map>
#include <string>

#include "freehold/base/error.h"
#include "freehold/text/chat_template.h"

namespace freehold {
namespace {

std::string read_file(const std::string& path) {
    std::ifstream in(path, std::ios::binary);
    EXPECT_TRUE(in.good()) << path;
    return {std::istreambuf_iterator<char>(in), {}};
}

TEST(ChatTemplateGolden, RealTemplatesRenderAsJinja2DoesToTheByte) {
    const std::string folder = FREEHOLD_SOURCE_DIR "/tests/golden/templates/";
    std::map<std::string, ValueMap> contexts;
    const Value conversations = parse_json(read_file(folder + "conversations.json"), "conversations.json");
    for (std::size_t i = 0; i < conversations.size(); ++i) {
        const Value entry = conversations.at(i);
        const auto* map = entry.get<ValueMap>();
        contexts.emplace(std::string(*map->find("name")->as_string()), *map->find("context")->get<ValueMap>());
    }
    ASSERT_GT(contexts.size(), 90U);

    std::map<std::string, std::shared_ptr<const ChatTemplate>> templates;
    std::ifstream in(folder + "expected.jsonl");
    std::string line;
    int texts = 0, errors = 0;
    while (std::getline(in, line)) {
        const Value row = parse_json(line, "expected.jsonl");
        const auto* map = row.get<ValueMap>();
        const std::string name(*map->find("template")->as_string());
        const std::string conversation(*map->find("conversation")->as_string());
        auto& parsed = templates[name];
        if (parsed == nullptr) parsed = ChatTemplate::parse(read_file(folder + name));
        const Value* text = map->find("text");
        SCOPED_TRACE(name + " with " + conversation);
        if (text == nullptr) {
            ++errors;
            EXPECT_THROW((void)parsed->render(contexts.at(conversation), 1718450123), Error);
        } else {
            ++texts;
            EXPECT_EQ(parsed->render(contexts.at(conversation), 1718450123), *text->as_string());
        }
    }
    EXPECT_GE(templates.size(), 7U);
    EXPECT_GT(texts, 500);
    EXPECT_GT(errors, 20);
}

}  // namespace
}  // namespace freehold
