// Models that a tenant's key made over HTTP are that tenant's; all others are the host's and everybody's to use.
// docs/decisions/0012-models-have-tenants.md
#pragma once

#include <string>
#include <vector>

#include "freehold/server/http.h"
#include "freehold/server/model_pool.h"

namespace freehold::server {

// The tenant that was written into a record as the model (or its adapter) was made; empty: it is the host's.
[[nodiscard]] std::string owner_of(const ModelRecord& record);
[[nodiscard]] std::string owner_of(const KnownModel& model);
// Is it the tenant that runs the installation (or is nobody asked for one)?
[[nodiscard]] bool is_host(const std::string& tenant) noexcept;
// May this principal use, list and look at a model: by the names of its key, and no model of another tenant.
[[nodiscard]] bool may_use(const Principal& principal, const KnownModel& model);
// May he replace or remove it: a model of his own tenant, or any where he is of the host's.
[[nodiscard]] bool may_change(const Principal& principal, const KnownModel& model);
// May this principal give that name to something? Names are the whole server's: not one that another tenant's model
// has, and where he is not of the host's tenant no new tag of a name that is not his tenant's. Throws RequestError 403.
void check_new_name(const ModelPool& pool, const Principal& who, const ModelName& name, const char* field);
// A pull makes a model of the host: it may take no name that a model of a tenant has, nor that name with another tag,
// because a name without a tag means the one model that has it. Throws RequestError 403 (name_taken).
void check_pulled_name(const Store& store, const ModelName& name);
// A model of another tenant counts as one that does not exist (404); one that the key does not name is refused (403).
// What cannot be resolved is left to whoever loads it.
void check_use(const ModelPool& pool, const std::string& name, const std::string& tenant,
               const std::vector<std::string>& allowed);

}  // namespace freehold::server
