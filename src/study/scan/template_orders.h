// Sentences that a chat template adds to the conversation when a word was said: how a template carries a backdoor.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace freehold::scan {

struct PlantedOrder {
    std::size_t at = 0;    // of the condition, in the template
    std::string word;      // that it waits for
    std::string sentence;  // that it then adds, or the beginning of it
};

// Conditions on what the messages say, by a word in plain letters, whose branch writes words of its own. Conditions on
// marks ("</think>", "/no_think"), roles and kinds of content are what templates are for and are none.
[[nodiscard]] std::vector<PlantedOrder> planted_orders(std::string_view source);

}  // namespace freehold::scan
