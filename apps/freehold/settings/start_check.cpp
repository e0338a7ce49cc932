// Each look is one that the start takes too, so that both say the same.
#include "start_check.h"

#include <fmt/format.h>

#include "../session.h"
#include "freehold/access/door.h"
#include "freehold/access/json.h"
#include "freehold/access/keys.h"
#include "freehold/database/database.h"
#include "freehold/database/state.h"
#include "freehold/server/server.h"
#include "freehold/store/store.h"

namespace freehold::cli {
namespace {

namespace fs = std::filesystem;

std::string origin_of(const Settings& settings, const char* key) {
    const SettingValue* there = settings.find(key);
    return there == nullptr ? key : there->origin;
}

// An address that others reach needs a key, a proxy that signs people in, or the word that it is meant.
void check_door(const Settings& settings, const fs::path& home) {
    const std::string address = read_address(settings.text("listen", "127.0.0.1:8080")).first;
    access::DoorOptions options = settings.access(home).door;
    options.open_without_keys = settings.yes("insecure_no_keys", false);
    // Where no key was ever made there may be no file, and looking makes none.
    std::error_code ec;
    bool any_key = false;
    if (fs::exists(state_database_path(home), ec)) {
        const std::unique_ptr<Database> database = open_state_database(home);
        any_key = access::Keys(*database).ever_made();
    }
    access::check_reach(address == "localhost" ? "127.0.0.1" : address, options, any_key);
}

}  // namespace

std::vector<SettingFault> start_faults(const Settings& settings, const fs::path& home) {
    std::vector<SettingFault> faults;
    const auto look = [&](const char* key, const std::string& where, const auto& what) {
        try {
            what();
        } catch (const Error& fault) {
            faults.push_back({origin_of(settings, key), fault.message(),
                              fault.hint() + (fault.hint().empty() || where.empty() ? "" : " ") + where});
        }
    };
    // Whoever asks may have another home than the server.
    const std::string there = fmt::format("Looked in {}; FREEHOLD_HOME names another home.", home.string());
    if (const std::string certificate = settings.text("tls.certificate"), key = settings.text("tls.key");
        !certificate.empty() && !key.empty())
        look("tls.certificate", {}, [&] { server::check_certificate(certificate, key); });
    for (const std::string& model : settings.texts("models"))
        look("models", there, [&] { static_cast<void>(locate_model(Store::open(home), model)); });
    if (settings.text("database").empty()) look("listen", there, [&] { check_door(settings, home); });
    return faults;
}

}  // namespace freehold::cli
