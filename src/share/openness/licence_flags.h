// Lists of SPDX identifiers, sorted, by what the OSI, the FSF and the Model Openness Tool say of them.
#pragma once

#include <span>
#include <string_view>

namespace freehold::openness {

extern const std::span<const std::string_view> kOsiApproved, kFsfLibre;
// Open for data and documents by the tool's own list.
extern const std::span<const std::string_view> kOpenData;
// The few identifiers of which the tool says for what they are made.
extern const std::span<const std::string_view> kForCode, kForData, kForDocuments;

}  // namespace freehold::openness
