// Who comes in: one question a request, asked after its head was read and before its body is.
#pragma once

#include <memory>
#include <string>

#include "freehold/server/http.h"

namespace freehold::server {

class Gate {
 public:
    virtual ~Gate() = default;
    // The principal of a request, or RequestError (401, 403, 429). Called on the I/O thread for every route, public
    // ones too: it must not wait for disk or network.
    virtual Principal admit(const HttpRequest& request, const Route& route) = 0;
    // May the server listen there? Throws Error{denied} with the way out.
    virtual void check_listen(const std::string& address, bool is_loopback) const = 0;
    // "open" or "key", for the page.
    [[nodiscard]] virtual const char* kind() const noexcept = 0;
};

// Open to programs and pages of this machine, closed to everything else: requests must come from a loopback address
// without forwarding headers, name this machine as their Host (DNS rebinding), and requests that change something must
// not come from a page of another origin. With `insecure` the server also listens elsewhere and asks nobody.
[[nodiscard]] std::unique_ptr<Gate> make_loopback_gate(bool insecure = false);

// Checks that any gate wants: Host names this machine or one of `names`; Origin, where there is one, is this server's;
// a body is JSON unless the route takes any type. Throws RequestError 403, 415.
void check_origin(const HttpRequest& request, const Route& route);
[[nodiscard]] bool host_is_local(const HttpRequest& request);
[[nodiscard]] bool has_forwarding_header(const HttpRequest& request) noexcept;

}  // namespace freehold::server
