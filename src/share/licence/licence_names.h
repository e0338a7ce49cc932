// The names by which people call licences, in sentences and titles.
#pragma once

#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "library.h"

namespace freehold::licence {

// The licences that these words name, nothing more and nothing less ("the Apache License, Version 2.0", "CC
// BY-NC 4.0"); several where it is the name of a family.
[[nodiscard]] std::vector<const Known*> licences_named(std::span<const Word> words);

// Whether the name of a licence may begin with this word.
[[nodiscard]] bool begins_name(std::string_view word);

// Is this a name, word for word, without "the", "license", "version"?
[[nodiscard]] bool is_licence_phrase(const std::vector<std::string>& words);

}  // namespace freehold::licence
