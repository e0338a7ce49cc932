// Reads one call of a tool as the model writes it, byte by byte: an object with a name and arguments, or arguments
// alone. Follows the structure, copies the arguments, builds no tree. Private to the room.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace freehold::output {

class CallReader {
 public:
    enum class Step : std::uint8_t { more, done, wrong };

    // Of an object {"name": ..., "arguments": {...}}, in any order, other keys skipped; or of arguments alone.
    explicit CallReader(bool arguments_only = false);
    // The next byte. After `wrong` it belongs to nothing; after `done` the value is complete.
    [[nodiscard]] Step feed(char c);

    [[nodiscard]] const std::string& name() const noexcept { return name_; }
    [[nodiscard]] const std::string& id() const noexcept { return id_; }
    // Bytes of the arguments since the last call.
    [[nodiscard]] std::string take_arguments();

 private:
    enum class State : std::uint8_t { object, key_or_end, key, in_key, colon, value, in_text, in_value, after_value };
    enum class Use : std::uint8_t { skip, name, id, arguments, arguments_text };

    [[nodiscard]] Step begin_value(char c);
    [[nodiscard]] Step value_byte(char c);
    [[nodiscard]] Step end_of_text();
    [[nodiscard]] Step end_of_value();

    State state_;
    Use use_ = Use::skip;
    bool alone_;
    int wrapped_ = 0;    // inside {"function": {...}}
    std::string text_;   // of a key or of a text value, with its escapes
    std::string stack_;  // brackets that are open inside the value
    bool quoted_ = false, escaped_ = false, scalar_ = false;
    bool had_arguments_ = false;
    std::string name_, id_, arguments_;
};

}  // namespace freehold::output
