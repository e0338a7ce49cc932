// What the card and the metadata of a model say about its licence and its origin.
#pragma once

#include <span>
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
    std::vector<Finding> findings;
    struct Limit {
        std::string file;
        Worry worry;
        bool of_parts = false;  // it speaks of data or code alone
    };
    std::vector<Limit> limits;  // what the card's sentences forbid or ask for
    std::vector<Claim> links;   // license_link: a file, or an address that says no licence by itself
    std::vector<Claim> gates;   // what must be agreed to before it is given out
};

// Front matter of a model card: license, license_name, license_link, base_model, model_name, extra_gated_*. A small
// subset of YAML: scalars, blocks of lines and lists of scalars at the top level.
void read_card(std::string_view name, std::string_view text, Origins& out);
// Keys general.license*, general.name, general.base_model.*, general.architecture, general.description of a GGUF file.
void read_gguf(const SubjectFile& file, Origins& out);

// config.json and adapter_config.json: license, model_type, _name_or_path, base_model_name_or_path.
void read_config(std::string_view name, std::string_view text, Origins& out);
// The keys "license", "licence" and "modelspec.license" in the metadata of a safetensors file. Only its head is read.
void read_safetensors(const SubjectFile& file, Origins& out);

// The same licence, or the same family under one tag of a card (the Gemma terms of several dates are "gemma").
[[nodiscard]] bool same_licence(const Known& a, const Known& b);

// Where several licences answer to one name: the one that they all are, or stand for; else null.
[[nodiscard]] const Known* one_of_family(std::span<const Known* const> found);

// The licence that a claim names, as identifier, tag or in words; of a family without version only where all its
// licences bind alike. Else null.
[[nodiscard]] const Known* licence_named(std::string_view value);

// The licence that binds what is of this architecture, where all weights of that kind are under one; or null.
[[nodiscard]] const Known* licence_of_architecture(std::string_view name);

// The licence that binds what is made from a model of this name ("meta-llama/Llama-3.1-8B"), or null.
[[nodiscard]] const Known* licence_of_base(std::string_view model);

}  // namespace freehold::licence
