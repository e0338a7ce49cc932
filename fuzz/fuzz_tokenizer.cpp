// tokenizer.json, and (first byte 0x0A) SentencePiece models: what loads must encode any text without a fault, and give
// ids that it knows; decoding them and streaming them agree.
#include "freehold/text/tokenizer.h"
#include "fuzz.h"

namespace {

void use(const freehold::Tokenizer& tokenizer, std::string_view text, bool parse) {
    using freehold::fuzz::require;
    const auto ids = tokenizer.encode(text, {.add_special = parse, .parse_special = parse});
    for (const auto id : ids) {
        require(id >= 0 && id < tokenizer.size());
        require(tokenizer.token(id).text.size() <= 1U << 20U);
    }
    (void)tokenizer.decode(ids, true);
    (void)tokenizer.decode(ids, false);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    using namespace freehold;
    if (size > 1U << 16U) return 0;
    return fuzz::run([&] {
        const std::string_view bytes = fuzz::as_text(data, size);
        const bool protobuf = size > 0 && data[0] == 0x0A;
        const auto tokenizer =
            protobuf ? Tokenizer::from_sentencepiece(bytes, nullptr) : Tokenizer::from_hf(bytes, nullptr);
        fuzz::planted_bug(tokenizer->kind() == "unigram" && tokenizer->size() > 1 &&
                          tokenizer->token(1).text.size() > 6);
        // An exploding pattern is a refusal of its own, so each text is tried by itself.
        for (const std::string_view text :
             {std::string_view("Hello  world, don't 123 \n\t \xC3\xA9\xF0\x9F\x98\x80"),
              std::string_view("a\xFF\xC3 \xE2\x96\x81<s></s>aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"),
              bytes.substr(0, 200)}) {
            fuzz::run([&] { use(*tokenizer, text, false); });
            fuzz::run([&] { use(*tokenizer, text, true); });
        }
        const auto shared = tokenizer;
        StreamDecoder stream(shared, true);
        for (std::int32_t id = -1; id < 40; ++id) (void)stream.push(id);
        (void)stream.finish();
    });
}
