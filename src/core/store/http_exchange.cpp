// HTTP by libcurl: one transfer at a time, redirects by hand, so that no hop sends a secret to another machine.
// Exceptions of callbacks are carried around libcurl's C frames.
#include "http_exchange.h"

#include <fmt/format.h>

#include <algorithm>
#include <cctype>
#include <exception>
#include <fstream>
#include <memory>

#include "curl_library.h"
#include "sources.h"

namespace freehold::http {
namespace {

using detail::curl_library;

constexpr int kMaxRedirects = 10;

struct CurlFree {
    void operator()(CURL* c) const noexcept { curl_library().cleanup(c); }
    void operator()(curl_slist* s) const noexcept { curl_library().slist_free_all(s); }
};
using Handle = std::unique_ptr<CURL, CurlFree>;
using HeaderList = std::unique_ptr<curl_slist, CurlFree>;

// One request on its way, as libcurl's callbacks see it.
struct Flight {
    Transfer& transfer;
    const Outgoing& outgoing;
    CURL* curl = nullptr;
    std::ifstream file;      // of outgoing.file
    std::uint64_t sent = 0;  // bytes of the request's body
    bool began = false;
    std::exception_ptr thrown;
};

void add_header(Transfer& t, std::string_view line) {
    if (line.starts_with("HTTP/")) {
        t.headers.clear();  // an interim answer (100) came before
        return;
    }
    const auto colon = line.find(':');
    if (colon == std::string_view::npos || t.headers.size() > 200) return;
    std::string name;
    for (const char c : line.substr(0, colon)) name += static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
    line.remove_prefix(colon + 1);
    const auto first = line.find_first_not_of(" \t");
    const auto last = line.find_last_not_of(" \t\r\n");
    std::string value = first == std::string_view::npos ? "" : std::string(line.substr(first, last - first + 1));
    // A server may offer several ways in, one a line.
    std::string& kept = t.headers[name];
    kept = name == "www-authenticate" && !kept.empty() ? kept + ", " + value : std::move(value);
}

void begin_body(Flight& flight) {
    if (flight.began) return;
    flight.began = true;
    curl_library().getinfo(flight.curl, CURLINFO_RESPONSE_CODE, &flight.transfer.status);
    if (flight.transfer.on_headers) flight.transfer.on_headers(flight.transfer);
}

// The next bytes of the request's body.
std::size_t read_body(Flight& flight, char* to, std::size_t room) {
    const Outgoing& out = flight.outgoing;
    const std::uint64_t total = out.file.empty() ? out.text.size() : out.length;
    const auto n = static_cast<std::size_t>(std::min<std::uint64_t>(room, total - std::min(total, flight.sent)));
    if (n == 0) return 0;
    if (out.file.empty()) {
        std::copy_n(out.text.data() + flight.sent, n, to);
    } else {
        flight.file.read(to, static_cast<std::streamsize>(n));
        if (static_cast<std::size_t>(flight.file.gcount()) != n)
            throw Error(ErrorKind::io, fmt::format("{} became shorter while it was sent.", out.file.string()),
                        "Send it again when nobody changes it.");
    }
    flight.sent += n;
    return n;
}

void rewind_body(Flight& flight, std::uint64_t to) {
    flight.sent = to;
    if (flight.outgoing.file.empty()) return;
    flight.file.clear();
    flight.file.seekg(static_cast<std::streamoff>(flight.outgoing.offset + to));
}

template <class Work>
auto guarded(Flight& flight, Work&& work, decltype(work()) failed) noexcept {
    try {
        return work();
    } catch (...) {
        flight.thrown = std::current_exception();
        return failed;
    }
}

extern "C" std::size_t header_callback(char* data, std::size_t size, std::size_t n, void* user) {
    auto& flight = *static_cast<Flight*>(user);
    return guarded(
        flight,
        [&] {
            add_header(flight.transfer, std::string_view(data, size * n));
            return size * n;
        },
        std::size_t{0});
}

extern "C" int tick_callback(void* user, curl_off_t, curl_off_t, curl_off_t, curl_off_t) {
    auto& flight = *static_cast<Flight*>(user);
    return guarded(
        flight,
        [&] {
            if (flight.transfer.on_tick) flight.transfer.on_tick();
            if (flight.outgoing.sent) flight.outgoing.sent(flight.sent);
            return 0;
        },
        1);
}

extern "C" std::size_t body_callback(char* data, std::size_t size, std::size_t n, void* user) {
    auto& flight = *static_cast<Flight*>(user);
    return guarded(
        flight,
        [&] {
            begin_body(flight);
            if (flight.transfer.on_body) flight.transfer.on_body(std::as_bytes(std::span(data, size * n)));
            return size * n;
        },
        std::size_t{0});
}

extern "C" std::size_t read_callback(char* data, std::size_t size, std::size_t n, void* user) {
    auto& flight = *static_cast<Flight*>(user);
    return guarded(
        flight, [&] { return read_body(flight, data, size * n); }, std::size_t{CURL_READFUNC_ABORT});
}

extern "C" int seek_callback(void* user, curl_off_t offset, int) {
    auto& flight = *static_cast<Flight*>(user);
    return guarded(
        flight,
        [&] {
            rewind_body(flight, static_cast<std::uint64_t>(offset));
            return int{CURL_SEEKFUNC_OK};
        },
        int{CURL_SEEKFUNC_FAIL});
}

struct Outcome {
    CURLcode code = CURLE_OK;
    std::string redirect;
};

void set_body(CURL* c, Flight& flight) {
    const Outgoing& out = flight.outgoing;
    if (out.method == "HEAD") {
        curl_library().setopt(c, CURLOPT_NOBODY, 1L);
        return;
    }
    if (out.method.empty() || out.method == "GET") return;
    curl_library().setopt(c, CURLOPT_CUSTOMREQUEST, out.method.c_str());
    if (out.method == "DELETE") return;
    if (!out.file.empty()) {
        flight.file.open(out.file, std::ios::binary);
        if (!flight.file) throw Error(ErrorKind::io, fmt::format("{} cannot be read.", out.file.string()));
        rewind_body(flight, 0);
    }
    const std::uint64_t total = out.file.empty() ? out.text.size() : out.length;
    curl_library().setopt(c, CURLOPT_UPLOAD, 1L);
    curl_library().setopt(c, CURLOPT_INFILESIZE_LARGE, static_cast<curl_off_t>(total));
    curl_library().setopt(c, CURLOPT_READFUNCTION, read_callback);
    curl_library().setopt(c, CURLOPT_READDATA, &flight);
    curl_library().setopt(c, CURLOPT_SEEKFUNCTION, seek_callback);
    curl_library().setopt(c, CURLOPT_SEEKDATA, &flight);
}

// One hop. Exceptions of the callbacks come out here.
Outcome perform(const std::string& url, const std::vector<std::string>& lines, const Outgoing& outgoing,
                int stall_seconds, Transfer& t) {
    const Handle curl(curl_library().init());
    if (!curl) throw Error(ErrorKind::out_of_memory, "libcurl could not start for lack of memory.");
    HeaderList list;
    for (const std::string& line : lines) {
        curl_slist* longer = curl_library().slist_append(list.get(), line.c_str());
        if (longer == nullptr) throw Error(ErrorKind::out_of_memory, "libcurl has no memory for a header.");
        static_cast<void>(list.release());
        list.reset(longer);
    }
    Flight flight{.transfer = t, .outgoing = outgoing, .curl = curl.get(), .file = {}, .thrown = {}};
    CURL* c = curl.get();
    curl_library().setopt(c, CURLOPT_URL, url.c_str());
    curl_library().setopt(c, CURLOPT_PROTOCOLS_STR, "http,https");
    curl_library().setopt(c, CURLOPT_FOLLOWLOCATION, 0L);
    curl_library().setopt(c, CURLOPT_HTTPHEADER, list.get());
    curl_library().setopt(c, CURLOPT_USERAGENT, "freehold/0.1");
    curl_library().setopt(c, CURLOPT_NOSIGNAL, 1L);
    curl_library().setopt(c, CURLOPT_CONNECTTIMEOUT, 30L);
    curl_library().setopt(c, CURLOPT_LOW_SPEED_LIMIT, 1L);
    curl_library().setopt(c, CURLOPT_LOW_SPEED_TIME, static_cast<long>(stall_seconds));
    curl_library().setopt(c, CURLOPT_NETRC, static_cast<long>(CURL_NETRC_IGNORED));
    curl_library().setopt(c, CURLOPT_HEADERFUNCTION, header_callback);
    curl_library().setopt(c, CURLOPT_HEADERDATA, &flight);
    curl_library().setopt(c, CURLOPT_WRITEFUNCTION, body_callback);
    curl_library().setopt(c, CURLOPT_WRITEDATA, &flight);
    curl_library().setopt(c, CURLOPT_NOPROGRESS, 0L);
    curl_library().setopt(c, CURLOPT_XFERINFOFUNCTION, tick_callback);
    curl_library().setopt(c, CURLOPT_XFERINFODATA, &flight);
    set_body(c, flight);
    Outcome out;
    out.code = curl_library().perform(c);
    if (flight.thrown) std::rethrow_exception(flight.thrown);
    curl_library().getinfo(c, CURLINFO_RESPONSE_CODE, &t.status);
    if (out.code == CURLE_OK) begin_body(flight);  // an answer without a body
    char* redirect = nullptr;
    if (curl_library().getinfo(c, CURLINFO_REDIRECT_URL, &redirect) == CURLE_OK && redirect != nullptr)
        out.redirect = redirect;
    return out;
}

bool is_redirect(long status) noexcept {
    return status == 301 || status == 302 || status == 303 || status == 307 || status == 308;
}

// A body is sent on only where the server says that the method stays.
bool may_follow(const Outgoing& outgoing, long status) noexcept {
    const bool reads = outgoing.method.empty() || outgoing.method == "GET" || outgoing.method == "HEAD";
    return reads || status == 307 || status == 308;
}

Url next_hop(const Request& request, const Url& at, const std::string& url, long status, const std::string& redirect) {
    if (redirect.empty())
        throw Error(ErrorKind::network,
                    fmt::format("{} answers with a redirect ({}) that leads nowhere.", shown(url), status));
    Url next = check_url(redirect, request.plain_http);
    sources::check_host(next.host);
    if (next.scheme == "http" && at.scheme == "https")
        throw Error(
            ErrorKind::network,
            fmt::format("{} redirects from https to plain http at {}, which is refused.", shown(url), shown(redirect)),
            "Ask whoever runs the server, or use another source.");
    return next;
}

}  // namespace

Transfer exchange(const Request& request, const std::vector<std::string>& lines, const Outgoing& outgoing,
                  const Transfer& prototype, CURLcode& code) {
    std::string url = request.url;
    Url at = check_url(url, request.plain_http);
    const std::string origin = at.origin();
    sources::check_host(at.host);
    std::string secret;
    if (!request.bearer.empty()) secret = "Bearer " + request.bearer;
    if (request.authorize) secret = request.authorize({});
    bool asked = !request.authorize;
    for (int hop = 0; hop <= kMaxRedirects; ++hop) {
        const bool home = at.origin() == origin;
        // Answers that this function acts on itself are not shown to the callbacks.
        const auto ours = [&](long status) { return is_redirect(status) || (status == 401 && home && !asked); };
        Transfer t = prototype;
        if (t.on_headers)
            t.on_headers = [&](const Transfer& now) {
                if (!ours(now.status)) prototype.on_headers(now);
            };
        if (t.on_body)
            t.on_body = [&](std::span<const std::byte> bytes) {
                if (!ours(t.status)) prototype.on_body(bytes);
            };
        std::vector<std::string> with_secret = lines;
        if (!secret.empty() && home) with_secret.push_back("Authorization: " + secret);
        const Outcome outcome = perform(url.substr(0, url.find('#')), with_secret, outgoing, request.stall_seconds, t);
        code = outcome.code;
        if (t.status == 401 && home && !asked) {
            asked = true;
            const auto challenge = t.headers.find("www-authenticate");
            secret = request.authorize(challenge == t.headers.end() ? std::string() : challenge->second);
            if (!secret.empty()) continue;
        }
        if (outcome.code != CURLE_OK || !is_redirect(t.status)) return t;
        if (!may_follow(outgoing, t.status))
            throw Error(ErrorKind::network, fmt::format("{} answers a {} with a redirect ({}) that does not keep it.",
                                                        shown(url), outgoing.method, t.status));
        at = next_hop(request, at, url, t.status, outcome.redirect);
        url = outcome.redirect;
    }
    throw Error(ErrorKind::network, fmt::format("{} redirects more than {} times.", shown(request.url), kMaxRedirects));
}

Error network_error(const std::string& url, CURLcode code, int stall_seconds) {
    std::string why = curl_library().strerror(code);
    std::string hint = "Check the network, or set https_proxy if there is a proxy; what was fetched so far is kept.";
    if (code == CURLE_OPERATION_TIMEDOUT) why = fmt::format("nothing came for {} seconds", stall_seconds);
    if (code == CURLE_COULDNT_RESOLVE_HOST) why = "the name of the host is not known (is there a network?)";
    if (code == CURLE_COULDNT_CONNECT) why = "nobody answers there";
    if (code == CURLE_PARTIAL_FILE) why = "the connection closed before the promised length was sent";
    if (code == CURLE_PEER_FAILED_VERIFICATION) {
        why = "its TLS certificate is not trusted";
        hint =
            "Check the clock and the ca-certificates package; a company proxy may need its own certificate "
            "(SSL_CERT_FILE).";
    }
    return {ErrorKind::network, fmt::format("Could not reach {}: {}.", shown(url), why), hint};
}

bool worth_retrying(long status) noexcept {
    return status == 408 || status == 429 || status >= 500;
}

Error status_error(const Request& request, long status) {
    const std::string where = shown(request.url);
    if (status == 404 || status == 410)
        return {ErrorKind::not_found, fmt::format("{} does not exist on its server ({}).", where, status),
                "Check the spelling."};
    if (status == 401 || status == 403)
        return {ErrorKind::network, fmt::format("{} may not be read ({}).", where, status),
                request.denied_hint.empty() ? "Accept the model's terms on its page and set HF_TOKEN to a token of "
                                              "yours, or use another source."
                                            : request.denied_hint};
    if (status == 429)
        return {ErrorKind::network, fmt::format("{} says that too many requests came from here (429).", where),
                "Wait, then try again."};
    return {ErrorKind::network, fmt::format("{} answers with status {}.", where, status),
            "Try again later, or use another source."};
}

}  // namespace freehold::http
