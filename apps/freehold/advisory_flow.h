// Advisories where models are fetched, listed and used: warned about, or refused, by one policy.
#pragma once

#include <chrono>
#include <functional>
#include <map>
#include <mutex>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "freehold/advisory/check.h"
#include "freehold/base/error.h"
#include "freehold/base/progress.h"
#include "freehold/base/value.h"
#include "freehold/store/pull.h"

namespace freehold::cli {

// The setting "advisories": FREEHOLD_ADVISORIES, else the file of settings, else "recall".
[[nodiscard]] advisory::Policy advisory_policy();

// Before a model, or an adapter, is loaded: told on stderr, or Error{denied}. `name` as the user called it.
void heed_advisories(const Store& store, const LocatedModel& located, const std::string& name);
void heed_advisories(const Store& store, const LocatedModel& located, const std::string& name, advisory::Policy policy);

// The same for a server, which asks for each request: the answer is kept until the register or the model changes, and
// of stored models, whose ancestors may come and go, a few seconds at most. Any number of threads.
class AdvisoryWatch {
 public:
    AdvisoryWatch(Store store, advisory::Policy policy) : store_(std::move(store)), policy_(policy) {}
    void heed(const LocatedModel& located);  // Error{denied}; what only warns is told on stderr once

 private:
    struct Answer {
        std::optional<Error> refusal;
        std::chrono::steady_clock::time_point at;
    };
    Store store_;
    advisory::Policy policy_;
    std::mutex mutex_;
    std::string register_state_;
    std::map<std::string, Answer, std::less<>> answers_;  // by digest of the manifest, or path, size and time
    std::set<std::string, std::less<>> told_;
};

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
