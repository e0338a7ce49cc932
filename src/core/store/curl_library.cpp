// The nine functions of libcurl that the store calls, found by name.
// The library is never let go: it registers things with the system that outlive a single use.
#include "curl_library.h"

#include <dlfcn.h>
#include <fmt/format.h>

#include "freehold/base/error.h"

namespace freehold::detail {
namespace {

// Number 4 of its binary interface has served since 2006; distributions differ in the library for TLS behind it.
constexpr const char* kNames[] = {"libcurl.so.4", "libcurl-gnutls.so.4", "libcurl.so"};

template <class Function>
void look_up(void* library, const char* name, Function& to) {
    to = reinterpret_cast<Function>(::dlsym(library, name));
    if (to == nullptr)
        throw Error(ErrorKind::unsupported, fmt::format("The libcurl of this machine has no {}.", name),
                    "Install a libcurl of version 7.85 or later.");
}

CurlLibrary open() {
    void* library = nullptr;
    for (const char* name : kNames)
        if (library == nullptr) library = ::dlopen(name, RTLD_NOW | RTLD_LOCAL);
    if (library == nullptr) {
        const char* why = ::dlerror();
        throw Error(ErrorKind::unsupported,
                    fmt::format("libcurl cannot be loaded, so nothing can be fetched: {}.", why == nullptr ? "" : why),
                    "Install it (Debian and Ubuntu: apt-get install libcurl4). Models on this machine run without it.");
    }
    CurlLibrary out;
    look_up(library, "curl_easy_init", out.init);
    look_up(library, "curl_easy_cleanup", out.cleanup);
    look_up(library, "curl_easy_setopt", out.setopt);
    look_up(library, "curl_easy_getinfo", out.getinfo);
    look_up(library, "curl_easy_perform", out.perform);
    look_up(library, "curl_easy_strerror", out.strerror);
    look_up(library, "curl_slist_append", out.slist_append);
    look_up(library, "curl_slist_free_all", out.slist_free_all);
    decltype(&curl_global_init) start = nullptr;
    look_up(library, "curl_global_init", start);
    start(CURL_GLOBAL_DEFAULT);
    return out;
}

}  // namespace

const CurlLibrary& curl_library() {
    static const CurlLibrary library = open();  // tried again after a failure
    return library;
}

}  // namespace freehold::detail
