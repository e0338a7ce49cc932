// Chat templates: an interpreter for the Jinja that real models ship, bounded in steps, depth and output, with access
// to nothing but its inputs. Byte-equal with jinja2 as transformers configures it (trim_blocks, lstrip_blocks, loop
// controls).
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

#include "freehold/base/value.h"

namespace freehold {

struct TemplateLimits {
    std::uint64_t steps = 2'000'000;  // evaluated nodes
    std::size_t output_bytes = 32U << 20U;
    int depth = 200;  // nesting of expressions, macros, values
};

class ChatTemplate {
 public:
    // Parses; Error{bad_file} with line and column.
    static std::shared_ptr<const ChatTemplate> parse(std::string_view source, TemplateLimits limits = {});
    virtual ~ChatTemplate() = default;
    // context: messages, tools, add_generation_prompt, bos_token, eos_token, and whatever the caller adds. `now` is the
    // Unix time that strftime_now sees (local time zone UTC), so that a rendering can be repeated.
    // Error{bad_file} with what raise_exception said or what went wrong and where; Error{limit} at a bound.
    [[nodiscard]] virtual std::string render(const ValueMap& context, std::int64_t now) const = 0;
};

}  // namespace freehold
