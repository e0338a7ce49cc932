// What a model says of itself, held against the licence texts that were found: every contradiction becomes a finding.
#pragma once

#include "claims.h"
#include "freehold/licence/review.h"

namespace freehold::licence {

// Claims of the card and the metadata against the texts and each other.
void hold_claims(Review& review);
// Addresses and files that license_link names.
void hold_links(const Origins& origins, const Subject& subject, Review& review);
// What must be agreed to before the model is given out.
void hold_gates(const Origins& origins, Review& review);
// Sentences of the card that forbid or ask for what no licence text does.
void hold_limits(const Origins& origins, Review& review);
// Bases whose terms follow.
void hold_bases(Origins& origins, Review& review);

// "README.md:3" of a claim.
[[nodiscard]] std::string place_of(const Claim& c);

}  // namespace freehold::licence
