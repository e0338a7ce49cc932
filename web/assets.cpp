// Looks up a file of the page. The table itself is generated (embed.cmake).
// There are about ten files, so a walk is as quick as anything.
#include "freehold/web/assets.h"

namespace freehold::web {

const Asset* find_asset(std::string_view path) noexcept {
    for (const Asset& asset : web_assets()) {
        if (asset.path == path) return &asset;
    }
    return nullptr;
}

}  // namespace freehold::web
