// Who owns a model, and what follows for those who ask for it.
#include "freehold/server/owner.h"

#include <fmt/format.h>

#include "freehold/access/principal.h"
#include "freehold/server/errors.h"
#include "freehold/server/guard.h"

namespace freehold::server {

std::string owner_of(const ModelRecord& record) {
    const Value* const tenant = record.extra.find("tenant");
    return tenant == nullptr ? std::string() : std::string(tenant->as_string().value_or(""));
}

std::string owner_of(const KnownModel& model) {
    std::string own = model.stored ? owner_of(model.stored->record) : std::string();
    return own.empty() && model.adapter ? owner_of(model.adapter->record) : own;
}

// Weights and adapter may have been made by different tenants: then nobody's key may use them together.
bool open_to(const KnownModel& model, const std::string& tenant) {
    const auto mine = [&](const ModelRecord& record) {
        const std::string owner = owner_of(record);
        return owner.empty() || owner == tenant;
    };
    return (!model.stored || mine(model.stored->record)) && (!model.adapter || mine(model.adapter->record));
}

bool is_host(const std::string& tenant) noexcept {
    return tenant.empty() || tenant == access::kDefaultTenant;
}

bool may_use(const Principal& principal, const KnownModel& model) {
    return open_to(model, principal.tenant) && model_allowed(principal.models, model.name);
}

bool may_change(const Principal& principal, const KnownModel& model) {
    if (is_host(principal.tenant)) return true;
    return owner_of(model) == principal.tenant && model_allowed(principal.models, model.name);
}

void check_pulled_name(const Store& store, const ModelName& name) {
    for (const StoredModel& model : store.list()) {
        if (model.name.name != name.name || owner_of(model.record).empty()) continue;
        throw RequestError(403, ErrorKind::denied,
                           fmt::format("The name {} is taken by a model that was made with a key.", name.name),
                           "Whoever made it may remove it; on the machine, freehold pull --as gives another name.",
                           "model", "name_taken");
    }
}

void check_new_name(const ModelPool& pool, const Principal& who, const ModelName& name, const char* field) {
    const auto refuse = [&] {
        throw RequestError(403, ErrorKind::denied,
                           fmt::format("The name {} is taken, and not by a model of yours.", name.str()),
                           "Choose another name.", field, "name_taken");
    };
    if (is_host(who.tenant)) {
        // He may remove a tenant's model, not put another in its place.
        if (const auto there = pool.store().find(name); there && !owner_of(there->record).empty()) refuse();
        return;
    }
    try {
        if (!may_change(who, pool.resolve(name.str()))) refuse();
    } catch (const RequestError& error) {
        if (error.status() != 404) throw;
    }
    // A new tag would change what the bare name means for everybody.
    for (const StoredModel& model : pool.store().list()) {
        if (model.name.name == name.name && owner_of(model.record) != who.tenant) refuse();
    }
}

void check_use(const ModelPool& pool, const std::string& name, const std::string& tenant,
               const std::vector<std::string>& allowed) {
    KnownModel known;
    try {
        known = pool.resolve(name);
    } catch (const Error&) {
        if (!allowed.empty()) throw;
        return;
    }
    if (!open_to(known, tenant)) {
        throw RequestError(404, ErrorKind::not_found,
                           fmt::format("There is no model \"{}\" here.", name.substr(0, 200)),
                           "GET /v1/models lists the models that are here.", "model", "model_not_found");
    }
    if (!model_allowed(allowed, known.name)) {
        throw RequestError(403, ErrorKind::denied, fmt::format("This key may not use {}.", known.name),
                           "Ask who runs the server for a key that may.", "model");
    }
}

}  // namespace freehold::server
