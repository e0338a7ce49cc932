// Keys, use and the state of a log as JSON: one shape for the command line, HTTP and the page. And the configuration of
// who comes in, from a file.
#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "freehold/access/audit.h"
#include "freehold/access/door.h"
#include "freehold/access/keys.h"
#include "freehold/access/limits.h"
#include "freehold/access/texts.h"

namespace freehold::access {

// {id, name, prefix, role, tenant, created, expires, revoked, last_used, active, limits, models}; never a secret.
[[nodiscard]] ValueMap key_json(const Key& key, std::int64_t now);
// {name, role, tenant, expires (a time, or a length of time from `now`), limits or its fields, models}. Unknown fields
// are refused. Error{usage} names the field.
[[nodiscard]] NewKey new_key_from(const ValueMap& fields, std::int64_t now);
[[nodiscard]] ValueMap use_json(const Use& use);
// {ok, entries, texts, chains: [{replica, chain, entries, signed_up_to, head, faults, notes}], faults}
// For one tenant: its own counts and faults only, and whether the log as a whole holds.
[[nodiscard]] ValueMap audit_state_json(const std::vector<ChainReport>& reports, const TextReport& texts = {},
                                        const std::string& tenant = {});
// {prompt: {state, text}, answer: {state, text}}; text only where it is kept or unbound.
[[nodiscard]] ValueMap texts_json(const EntryTexts& texts);

// $FREEHOLD_HOME/access.json. Every part may be left out, and so may the file; an unknown key is Error{usage}.
//   {"hosts": ["ai.example"], "origins": ["https://chat.example"],
//    "proxy": {"addresses": ["10.0.0.0/8"], "user_header": "X-Remote-User", "groups_header": "X-Remote-Groups",
//              "tenant_header": "X-Tenant", "separator": ",", "groups": {"staff": "user", "it": "operator"},
//              "tenant": "default", "models": ["smollm2"], "limits": {"tokens_per_day": 100000}},
//    "audit": {"export_to": "/mnt/worm", "replica": "main", "texts": false},
//    "retention": {"audit": "1y", "use": "400d", "keys": "90d", "texts": "30d",
//                  "responses": "30d"}}
struct AccessConfig {
    DoorOptions door;
    std::filesystem::path audit_export;
    std::string replica = "main";
    bool audit_texts = false;  // keep what was asked and answered (texts.h)
    // Lengths of time in ms; 0: kept for ever.
    std::int64_t keep_audit = 0, keep_use = 0, keep_keys = 0, keep_texts = 0;
    std::int64_t keep_responses = 30LL * 86'400'000;  // never for ever: these are texts
};
[[nodiscard]] AccessConfig read_access_config(const std::filesystem::path& file);
[[nodiscard]] AccessConfig access_config_from(const ValueMap& map, const std::string& what);
[[nodiscard]] AccessConfig parse_access_config(std::string_view text, const std::string& what);

}  // namespace freehold::access
