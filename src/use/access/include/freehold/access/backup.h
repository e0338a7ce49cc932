// A whole installation in one file, and back: state database, audit log, configuration, and the models when asked for.
// A gzipped tar whose first entry is a manifest of digests; nothing is replaced before every file was held against it.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

#include "freehold/base/progress.h"

namespace freehold::access {

struct BackupOptions {
    bool models = false;  // blobs and index of the store too
    Progress progress;
};
struct BackupFacts {
    std::string created;  // RFC 3339
    std::uint64_t files = 0, bytes = 0;
    bool models = false;
};

// Writes `file` (mode 0600, whole or not there). The database is copied consistently beside a running server; of the
// audit log what is on disk by then. Holds the signing key: keep it where the installation itself could lie.
BackupFacts backup_installation(const std::filesystem::path& home, const std::filesystem::path& file,
                                const BackupOptions& options = {});
// Reads and checks a backup without restoring it. Error{bad_file} names the entry at fault.
[[nodiscard]] BackupFacts check_backup(const std::filesystem::path& file, const Progress& progress = {});
// Unpacks beside `home`, checks every digest, the database and the audit log, and only then puts each part into place;
// what was there before lies in home/before-restore-TIME. Error{conflict} while a server runs on this installation.
BackupFacts restore_installation(const std::filesystem::path& home, const std::filesystem::path& file,
                                 const Progress& progress = {});

}  // namespace freehold::access
