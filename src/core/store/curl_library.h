// libcurl, taken into the process when the first connection is opened: with all that it needs it takes longer to load
// than the rest of the program together, and most runs open no connection.
#pragma once

#include <curl/curl.h>

namespace freehold::detail {

struct CurlLibrary {
    decltype(&curl_easy_init) init = nullptr;
    decltype(&curl_easy_cleanup) cleanup = nullptr;
    decltype(&curl_easy_setopt) setopt = nullptr;
    decltype(&curl_easy_getinfo) getinfo = nullptr;
    decltype(&curl_easy_perform) perform = nullptr;
    decltype(&curl_easy_strerror) strerror = nullptr;
    decltype(&curl_slist_append) slist_append = nullptr;
    decltype(&curl_slist_free_all) slist_free_all = nullptr;
};

// Loaded and started on the first call; any thread may call it. Throws Error{unsupported} when it is not installed.
[[nodiscard]] const CurlLibrary& curl_library();

}  // namespace freehold::detail
