// Chat templates: the input is a template, or a JSON object (the context), a zero byte and a template. Whatever it
// says, it must end within its limits, and twice with the same text.
#include <string>

#include "freehold/text/chat_template.h"
#include "fuzz.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    using namespace freehold;
    return fuzz::run([&] {
        std::string_view source = fuzz::as_text(data, size);
        ValueMap context{
            {"messages", Value(ValueList{Value(ValueMap{{"role", "user"}, {"content", "Hi {{ x }} \u00e9"}}),
                                         Value(ValueMap{{"role", "assistant"}, {"content", Value()}})})},
            {"add_generation_prompt", Value(true)},
            {"tools", Value()},
            {"bos_token", "<s>"},
            {"n", 3}};
        if (const std::size_t zero = source.find('\0'); zero != std::string_view::npos) {
            const Value given = parse_json(source.substr(0, zero), "context");
            if (const auto* map = given.get<ValueMap>()) context = *map;
            source.remove_prefix(zero + 1);
        }
        const auto parsed =
            ChatTemplate::parse(source, TemplateLimits{.steps = 20'000, .output_bytes = 1U << 16U, .depth = 60});
        const std::string text = parsed->render(context, 1'700'000'000);
        fuzz::require(text.size() <= 1U << 16U);
        fuzz::require(parsed->render(context, 1'700'000'000) == text);
        fuzz::planted_bug(text.find("True") != std::string::npos && text.find("user") != std::string::npos);
    });
}
