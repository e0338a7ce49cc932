// The parts of a tokenizer.json: normalizers, pre-tokenizers, decoders and post-processors, from their JSON.
#pragma once

#include <simdjson.h>

#include <string_view>

#include "pipeline.h"

namespace freehold::text {

using Json = simdjson::dom::element;

// A member of an object, or nothing if it is absent or null.
[[nodiscard]] std::optional<Json> member(const Json& object, std::string_view key);
// Typed members; a member of another type is Error{bad_file} naming `where`.
[[nodiscard]] std::string_view text_of(const Json& object, std::string_view key, std::string_view where);
[[nodiscard]] std::string_view text_or(const Json& object, std::string_view key, std::string_view otherwise,
                                       std::string_view where);
[[nodiscard]] bool flag_or(const Json& object, std::string_view key, bool otherwise, std::string_view where);
[[nodiscard]] std::int64_t number_or(const Json& object, std::string_view key, std::int64_t otherwise,
                                     std::string_view where);

// Each appends to the pipeline; absent or null parts are nothing. Error{unsupported} names a part that is not known.
void read_normalizer(const Json& json, Pipeline& p);
void read_pre_tokenizer(const Json& json, Pipeline& p);
void read_decoder(const Json& json, Pipeline& p);
// Sets prefix and suffix: what stands around one text.
void read_post_processor(const Json& json, Pipeline& p);

}  // namespace freehold::text
