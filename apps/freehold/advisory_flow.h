// Advisories where models are fetched, listed and used: warned about, or refused, by one policy.
#pragma once

#include <functional>
#include <string>
#include <utility>
#include <vector>

#include "freehold/advisory/check.h"
#include "freehold/base/progress.h"
#include "freehold/base/value.h"
#include "freehold/store/pull.h"

namespace freehold::cli {

// The setting "advisories": FREEHOLD_ADVISORIES, else the file of settings, else "recall".
[[nodiscard]] advisory::Policy advisory_policy();

// Before a model, or an adapter, is loaded: told on stderr, or Error{denied}. `name` as the user called it.
void heed_advisories(const Store& store, const LocatedModel& located, const std::string& name);
void heed_advisories(const Store& store, const LocatedModel& located, const std::string& name, advisory::Policy policy);

// For PullOptions::vet.
[[nodiscard]] PullVerdict heed_fetched(const Store& store, const FetchedModel& model, advisory::Policy policy,
                                       const Progress& progress, const std::function<void(const std::string&)>& notice);
// Takes in what is attached to a version in a registry and signed by a trusted key; the rest is told.
void import_attached(const Store& store, const std::string& source, bool plain_http,
                     const std::function<void(const std::string&)>& notice);

// Every model of the store that is hit; empty where the policy is off.
[[nodiscard]] std::vector<std::pair<StoredModel, advisory::Hit>> list_advisories(const Store& store);
[[nodiscard]] ValueMap hit_json(const advisory::Hit& hit);

}  // namespace freehold::cli
