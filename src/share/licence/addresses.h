// Addresses beside a licence or in a card: whose terms stand there, as far as the address itself says it.
#pragma once

#include <string_view>

#include "differences.h"

namespace freehold::licence {

// Is this an address at which terms of somebody may stand ("https://acme.example/commercial-terms")? Pages of those who
// publish the licences themselves are none, nor is a page of a licence at one of the places where everybody keeps
// models and code.
[[nodiscard]] bool foreign_terms(std::string_view address);
// The address at word `i`, as it is written.
[[nodiscard]] std::string_view address_of(const File& file, std::uint32_t i);

// The licence that stands at a well-known address ("https://creativecommons.org/licenses/by-nc/4.0/"), or that binds
// the model which a hub keeps there; null where the address does not say.
[[nodiscard]] const Known* licence_at(std::string_view address);

}  // namespace freehold::licence
