// The page as rows of the server's route table: its files out of the program, with the headers that keep it strict.
// Everyone may read them, key or not: the page itself is what asks for the key.
#pragma once

#include <filesystem>
#include <vector>

#include "freehold/server/http.h"

namespace freehold::cli {

// GET / and the files that it names. Files whose names carry their hash may be kept for ever; the page itself is asked
// for again with its tag and then answered 304. A client that takes no gzip gets the bytes unpacked.
// And GET /freehold/v1/catalogue: what the store in `home` knows how to fetch, for the page's first screen.
[[nodiscard]] std::vector<server::Route> page_routes(const std::filesystem::path& home);

}  // namespace freehold::cli
