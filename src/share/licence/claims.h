// What the card and the metadata of a model say about its licence and its origin.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "freehold/licence/review.h"

namespace freehold::licence {

// The model's own words that are looked at besides the licence.
struct Origins {
    std::vector<Claim> claims;
    std::vector<Claim> bases;        // value: the name of a model that this one was made from
    std::vector<std::string> names;  // how the model calls itself
    std::string card;                // the whole README.md
    std::string card_name;
    std::vector<Finding> findings;
};

// Front matter of a model card: license, license_name, license_link, base_model, model_name. A small subset of YAML:
// scalars and lists of scalars at the top level.
void read_card(std::string_view name, std::string_view text, Origins& out);
// Keys general.license*, general.name, general.base_model.* of a GGUF file.
void read_gguf(const SubjectFile& file, Origins& out);

// The licence that binds what is made from a model of this name ("meta-llama/Llama-3.1-8B"), or null.
[[nodiscard]] const Known* licence_of_base(std::string_view model);

}  // namespace freehold::licence
