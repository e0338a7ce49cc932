// What POST /api/create put on top of a model: a system message, a template, settings, messages that go before, an
// adapter. Kept in the record of the stored model and in force for every request that names it.
#pragma once

#include "freehold/base/value.h"
#include "freehold/server/generation.h"
#include "freehold/server/service.h"

namespace freehold::server {

// The part of a record's `extra` that holds them; null: none. Keys: system, template (as it was sent), jinja (what is
// used of it), parameters, messages, license, adapter (a name of the store).
[[nodiscard]] const ValueMap* created_settings(const std::optional<StoredModel>& stored) noexcept;
// Completes a request with what its model was created with; what the request says itself goes first. A model that is
// not known is left to whoever loads it.
void apply_created(Service& service, GenerationRequest& request);
// Holds parameters against what a request may say. Throws RequestError 400.
void check_parameters(const ValueMap& parameters);
// "name value" lines, as a Modelfile has them.
[[nodiscard]] std::string parameter_lines(const ValueMap& parameters);

}  // namespace freehold::server
