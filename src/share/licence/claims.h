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
    std::string card;                // the whole README.md, of a bundle that of its publisher too
    std::string card_name;
    std::vector<Finding> findings;
    struct Limit {
        std::string file;
        Worry worry;
    };
    std::vector<Limit> limits;  // what the card's sentences forbid or ask for
};

// Front matter of a model card: license, license_name, license_link, base_model, model_name. A small subset of YAML:
// scalars and lists of scalars at the top level.
void read_card(std::string_view name, std::string_view text, Origins& out);
// Keys general.license*, general.name, general.base_model.* of a GGUF file.
void read_gguf(const SubjectFile& file, Origins& out);

// config.json and adapter_config.json: license, _name_or_path, base_model_name_or_path.
void read_config(std::string_view name, std::string_view text, Origins& out);
// The key "license" in the metadata of a safetensors file. Only its head is read.
void read_safetensors(const SubjectFile& file, Origins& out);

// The same licence, or the same family under one tag of a card (the Gemma terms of several dates are "gemma").
[[nodiscard]] bool same_licence(const Known& a, const Known& b);

// The licence that binds what is made from a model of this name ("meta-llama/Llama-3.1-8B"), or null.
[[nodiscard]] const Known* licence_of_base(std::string_view model);

}  // namespace freehold::licence
