// From method and path to a row of the route table.
#pragma once

#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "freehold/server/http.h"

namespace freehold::server {

// Bytes of "%41" and, in queries, '+'. False for a broken escape or a NUL.
[[nodiscard]] bool percent_decode(std::string_view text, bool plus_is_space, std::string& out);
// Splits the target into path and queries; false for one that is not in origin form or cannot be decoded, or whose path
// climbs ("..", "//", backslashes).
[[nodiscard]] bool read_target(std::string_view target, HttpRequest& request);

class Router {
 public:
    // Throws Error{usage} for two rows of one method and pattern, or a pattern that is none.
    explicit Router(const std::vector<Route>& routes);
    struct Match {
        const Route* route = nullptr;
        std::map<std::string, std::string, std::less<>> params;
        std::string allow;  // methods of other rows with this path, "GET, HEAD, POST"; empty: no row has it
    };
    [[nodiscard]] Match find(std::string_view method, std::string_view path) const;

 private:
    struct Row {
        const Route* route;
        std::vector<std::string> parts;  // "{name}" stays as it is
        bool rest = false;               // the last part takes all that remains
    };
    [[nodiscard]] static bool fits(const Row& row, const std::vector<std::string_view>& parts, Match& match);
    std::vector<Row> rows_;
};

}  // namespace freehold::server
