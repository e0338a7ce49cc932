// The tables of this room in the installation's database.
// A step that was released is never changed; what comes later is a step of its own.
#pragma once

#include "freehold/database/database.h"

namespace freehold::access {

inline void migrate_access(Database& database) {
    // NOLINTBEGIN(bugprone-suspicious-missing-comma): a statement is several literals.
    static const std::vector<Migration> steps = {
        {1,
         {"CREATE TABLE access_keys (id TEXT PRIMARY KEY, name TEXT NOT NULL, roles TEXT NOT NULL, tenant TEXT NOT "
          "NULL, "
          "created BIGINT NOT NULL, expires BIGINT, revoked BIGINT, last_used BIGINT, "
          "requests_per_minute BIGINT NOT NULL, tokens_per_minute BIGINT NOT NULL, tokens_per_day BIGINT NOT NULL, "
          "tokens_per_month BIGINT NOT NULL, models TEXT NOT NULL)",
          // A key has more than one secret while a rotated one still counts.
          "CREATE TABLE access_secrets (hash TEXT PRIMARY KEY, prefix TEXT NOT NULL, "
          "key_id TEXT NOT NULL REFERENCES access_keys (id) ON DELETE CASCADE, created BIGINT NOT NULL, "
          "expires BIGINT)",
          "CREATE TABLE access_facts (name TEXT PRIMARY KEY, value BIGINT NOT NULL)",
          "CREATE TABLE access_use (key_id TEXT NOT NULL, day TEXT NOT NULL, model TEXT NOT NULL, tenant TEXT NOT "
          "NULL, "
          "requests BIGINT NOT NULL, prompt_tokens BIGINT NOT NULL, completion_tokens BIGINT NOT NULL, "
          "PRIMARY KEY (key_id, day, model))",
          "CREATE INDEX access_use_day ON access_use (day)"}},
    };
    // NOLINTEND(bugprone-suspicious-missing-comma)
    migrate(database, "access", steps);
    // What servers that share the database tell each other about rates and counts.
    static const std::vector<Migration> shared = {
        {1,
         {"CREATE TABLE access_rates (key_id TEXT PRIMARY KEY, at BIGINT NOT NULL, requests DOUBLE PRECISION NOT NULL, "
          "tokens DOUBLE PRECISION NOT NULL)",
          "CREATE TABLE access_writers (id TEXT PRIMARY KEY, batch BIGINT NOT NULL, seen BIGINT NOT NULL)"}},
    };
    migrate(database, "shared counts", shared);
}

}  // namespace freehold::access
