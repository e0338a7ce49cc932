// HTTP by libcurl: one transfer at a time, redirects by hand, resume by Range and If-Range.
// A server is hostile until the digest fits: what it says about length, range and type is held against what it sends.
#include "http.h"
#include "sources.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <chrono>
#include <exception>
#include <map>
#include <memory>
#include <optional>
#include <thread>

#include "curl_library.h"
#include "disk.h"
#include "freehold/base/error.h"
#include "freehold/base/file.h"
#include "freehold/base/value.h"
#include "json.h"

namespace freehold::http {
namespace fs = std::filesystem;
namespace {

using detail::curl_library;

constexpr int kMaxRedirects = 10;

struct CurlFree {
    void operator()(CURL* c) const noexcept { curl_library().cleanup(c); }
    void operator()(curl_slist* s) const noexcept { curl_library().slist_free_all(s); }
};
using Handle = std::unique_ptr<CURL, CurlFree>;
using HeaderList = std::unique_ptr<curl_slist, CurlFree>;

using Headers = std::map<std::string, std::string>;  // names in lower case; the last of several wins

// One request on its way: what came back, and an exception from a callback, which must not cross libcurl's C frames.
struct Transfer {
    long status = 0;
    Headers headers;
    std::function<void(const Transfer&)> on_headers;          // once, before the body; may throw
    std::function<void(std::span<const std::byte>)> on_body;  // may throw
    std::function<void()> on_tick;                            // now and then; may throw
    std::exception_ptr thrown;
    bool began = false;
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
    t.headers[name] = first == std::string_view::npos ? "" : std::string(line.substr(first, last - first + 1));
}

extern "C" std::size_t header_callback(char* data, std::size_t size, std::size_t n, void* user) {
    auto& t = *static_cast<Transfer*>(user);
    try {
        add_header(t, std::string_view(data, size * n));
        return size * n;
    } catch (...) {
        t.thrown = std::current_exception();
        return 0;
    }
}

extern "C" int tick_callback(void* user, curl_off_t, curl_off_t, curl_off_t, curl_off_t) {
    auto& t = *static_cast<Transfer*>(user);
    try {
        if (t.on_tick) t.on_tick();
        return 0;
    } catch (...) {
        t.thrown = std::current_exception();
        return 1;
    }
}

struct BodyContext {
    CURL* curl;
    Transfer* transfer;
};

void begin_body(CURL* curl, Transfer& t) {
    if (t.began) return;
    t.began = true;
    curl_library().getinfo(curl, CURLINFO_RESPONSE_CODE, &t.status);
    if (t.on_headers) t.on_headers(t);
}

extern "C" std::size_t body_callback(char* data, std::size_t size, std::size_t n, void* user) {
    auto& context = *static_cast<BodyContext*>(user);
    Transfer& t = *context.transfer;
    try {
        begin_body(context.curl, t);
        if (t.on_body) t.on_body(std::as_bytes(std::span(data, size * n)));
        return size * n;
    } catch (...) {
        t.thrown = std::current_exception();
        return 0;
    }
}

struct Outcome {
    CURLcode code = CURLE_OK;
    std::string redirect;
};

// One hop. Exceptions of the callbacks come out here.
Outcome perform(const std::string& url, const std::vector<std::string>& lines, bool head_only, int stall_seconds,
                Transfer& t) {
    const Handle curl(curl_library().init());
    if (!curl) throw Error(ErrorKind::out_of_memory, "libcurl could not start for lack of memory.");
    HeaderList list;
    for (const std::string& line : lines) {
        curl_slist* longer = curl_library().slist_append(list.get(), line.c_str());
        if (longer == nullptr) throw Error(ErrorKind::out_of_memory, "libcurl has no memory for a header.");
        static_cast<void>(list.release());
        list.reset(longer);
    }
    BodyContext body{curl.get(), &t};
    CURL* c = curl.get();
    curl_library().setopt(c, CURLOPT_URL, url.c_str());
    curl_library().setopt(c, CURLOPT_PROTOCOLS_STR, "http,https");
    curl_library().setopt(c, CURLOPT_FOLLOWLOCATION, 0L);
    curl_library().setopt(c, CURLOPT_HTTPHEADER, list.get());
    curl_library().setopt(c, CURLOPT_USERAGENT, "freehold/0.1");
    curl_library().setopt(c, CURLOPT_NOSIGNAL, 1L);
    curl_library().setopt(c, CURLOPT_NOBODY, head_only ? 1L : 0L);
    curl_library().setopt(c, CURLOPT_CONNECTTIMEOUT, 30L);
    curl_library().setopt(c, CURLOPT_LOW_SPEED_LIMIT, 1L);
    curl_library().setopt(c, CURLOPT_LOW_SPEED_TIME, static_cast<long>(stall_seconds));
    curl_library().setopt(c, CURLOPT_NETRC, static_cast<long>(CURL_NETRC_IGNORED));
    curl_library().setopt(c, CURLOPT_HEADERFUNCTION, header_callback);
    curl_library().setopt(c, CURLOPT_HEADERDATA, &t);
    curl_library().setopt(c, CURLOPT_WRITEFUNCTION, body_callback);
    curl_library().setopt(c, CURLOPT_WRITEDATA, &body);
    curl_library().setopt(c, CURLOPT_NOPROGRESS, 0L);
    curl_library().setopt(c, CURLOPT_XFERINFOFUNCTION, tick_callback);
    curl_library().setopt(c, CURLOPT_XFERINFODATA, &t);
    Outcome out;
    out.code = curl_library().perform(c);
    if (t.thrown) std::rethrow_exception(t.thrown);
    curl_library().getinfo(c, CURLINFO_RESPONSE_CODE, &t.status);
    if (out.code == CURLE_OK) begin_body(c, t);  // an answer without a body
    char* redirect = nullptr;
    if (curl_library().getinfo(c, CURLINFO_REDIRECT_URL, &redirect) == CURLE_OK && redirect != nullptr)
        out.redirect = redirect;
    return out;
}

bool is_redirect(long status) {
    return status == 301 || status == 302 || status == 303 || status == 307 || status == 308;
}

// Follows redirects; the callbacks of `prototype` are only shown the last answer.
Transfer exchange(const Request& request, std::vector<std::string> lines, bool head_only, const Transfer& prototype,
                  CURLcode& code) {
    std::string url = request.url;
    Url at = check_url(url);
    const std::string origin = at.origin();
    sources::check_host(at.host);
    for (int hop = 0; hop <= kMaxRedirects; ++hop) {
        Transfer t = prototype;
        if (t.on_headers)
            t.on_headers = [&](const Transfer& now) {
                if (!is_redirect(now.status)) prototype.on_headers(now);
            };
        if (t.on_body)
            t.on_body = [&](std::span<const std::byte> bytes) {
                if (!is_redirect(t.status)) prototype.on_body(bytes);
            };
        std::vector<std::string> with_secret = lines;
        if (!request.bearer.empty() && at.origin() == origin)
            with_secret.push_back("Authorization: Bearer " + request.bearer);
        const Outcome outcome = perform(url.substr(0, url.find('#')), with_secret, head_only, request.stall_seconds, t);
        code = outcome.code;
        if (outcome.code != CURLE_OK || !is_redirect(t.status)) return t;
        if (outcome.redirect.empty())
            throw Error(ErrorKind::network,
                        fmt::format("{} answers with a redirect ({}) that leads nowhere.", shown(url), t.status));
        const Url next = check_url(outcome.redirect);
        sources::check_host(next.host);
        if (next.scheme == "http" && at.scheme == "https")
            throw Error(ErrorKind::network,
                        fmt::format("{} redirects from https to plain http at {}, which is refused.", shown(url),
                                    shown(outcome.redirect)),
                        "Ask whoever runs the server, or use another source.");
        at = next;
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
    return {ErrorKind::network, fmt::format("Could not fetch {}: {}.", shown(url), why), hint};
}

std::optional<std::uint64_t> parse_u64(std::string_view text) {
    std::uint64_t out = 0;
    const auto [end, ec] = std::from_chars(text.data(), text.data() + text.size(), out);
    if (ec != std::errc() || end != text.data() + text.size() || text.empty()) return std::nullopt;
    return out;
}

std::string header(const Transfer& t, const char* name) {
    const auto it = t.headers.find(name);
    return it == t.headers.end() ? "" : it->second;
}

// What we remember about a partial file. A weak validator ("W/...") may stand for different bytes, so it does not
// count.
struct Meta {
    std::string url, etag, modified, boot;
    std::uint64_t total = 0;
    [[nodiscard]] std::string validator() const { return !etag.empty() && !etag.starts_with("W/") ? etag : modified; }
};

fs::path meta_path(const fs::path& to) {
    fs::path out = to;
    out += ".meta";
    return out;
}

// Which start of this machine it is. After a loss of power the tail of a file may be zeros, so a partial file from
// before the last start is only trusted when a digest will judge the whole.
std::string boot_id() {
    try {
        return freehold::read_text("/proc/sys/kernel/random/boot_id", 256);
    } catch (const Error&) {
        return {};
    }
}

Meta read_meta(const fs::path& to) {
    Meta m;
    try {
        if (!disk::facts(meta_path(to))) return m;
        const Value tree = parse_json(freehold::read_text(meta_path(to), 1 << 16), "partial");
        const ValueMap& map = json::object(tree, "partial", "the document");
        m.url = json::text(map, "url", "partial");
        m.etag = json::text(map, "etag", "partial");
        m.modified = json::text(map, "modified", "partial");
        m.boot = json::text(map, "boot", "partial", false);
        m.total = json::size(map, "total", "partial");
    } catch (const Error&) {
        return {};  // a damaged note means no resume, nothing worse
    }
    return m;
}

void write_meta(const fs::path& to, const Meta& m) {
    ValueMap map;
    map.set("url", m.url);
    map.set("etag", m.etag);
    map.set("modified", m.modified);
    map.set("boot", boot_id());
    map.set("total", m.total);
    write_text_atomic(meta_path(to), to_json(Value(std::move(map))));
}

struct Range {
    std::uint64_t first = 0, last = 0, total = 0;
};
std::optional<Range> parse_content_range(std::string_view text) {
    if (!text.starts_with("bytes ")) return std::nullopt;
    text.remove_prefix(6);
    const auto dash = text.find('-'), slash = text.find('/');
    if (dash == std::string_view::npos || slash == std::string_view::npos || dash > slash) return std::nullopt;
    const auto first = parse_u64(text.substr(0, dash)), last = parse_u64(text.substr(dash + 1, slash - dash - 1));
    const auto total = parse_u64(text.substr(slash + 1));
    if (!first || !last || !total || *first > *last || *last >= *total) return std::nullopt;
    return Range{*first, *last, *total};
}

Error status_error(const std::string& url, long status) {
    const std::string where = shown(url);
    if (status == 404 || status == 410)
        return {ErrorKind::not_found, fmt::format("{} does not exist on its server ({}).", where, status),
                "Check the spelling."};
    if (status == 401 || status == 403)
        return {ErrorKind::network, fmt::format("{} may not be read ({}).", where, status),
                "Accept the model's terms on its page and set HF_TOKEN to a token of yours, or use another source."};
    if (status == 429)
        return {ErrorKind::network, fmt::format("{} says that too many requests came from here (429).", where),
                "Wait, then try again."};
    return {ErrorKind::network, fmt::format("{} answers with status {}.", where, status),
            "Try again later, or use another source."};
}

bool worth_retrying(long status) {
    return status == 408 || status == 429 || status >= 500;
}

// One attempt to bring the rest of a file.
class Fetching {
 public:
    Fetching(const Request& request, const fs::path& to, const DownloadOptions& options)
        : request_(request),
          to_(to),
          options_(options),
          meta_(read_meta(to)),
          writer_(to, usable(meta_, request, to, options)) {
        if (writer_.size() == 0) meta_ = {};
        resumed_ = writer_.size() > 0;
    }

    enum class Result { done, again };

    Result attempt(std::optional<Error>& fault) {
        const bool whole = meta_.total != 0 && writer_.size() == meta_.total;
        if (whole) return Result::done;
        std::vector<std::string> lines{"Accept-Encoding: identity"};
        if (writer_.size() > 0) {
            lines.push_back(fmt::format("Range: bytes={}-", writer_.size()));
            lines.push_back("If-Range: " + meta_.validator());
            resumed_ = true;
        }
        Transfer prototype;
        bool refused = false;
        prototype.on_headers = [&](const Transfer& t) { refused = !accept(t); };
        prototype.on_body = [&](std::span<const std::byte> bytes) {
            if (refused) return;
            const std::uint64_t bound = meta_.total != 0 ? meta_.total : options_.max_bytes;
            if (bytes.size() > bound - std::min(bound, writer_.size()))
                throw Error(
                    ErrorKind::bad_file,
                    fmt::format("{} sends more than the {} bytes that were announced.", shown(request_.url), bound),
                    "The server is at fault; use another source.");
            writer_.write(bytes);
        };
        prototype.on_tick = [&] {
            if (options_.progress) options_.progress(writer_.size(), meta_.total);
        };
        CURLcode code = CURLE_OK;
        const Transfer t = exchange(request_, lines, false, prototype, code);
        if (code != CURLE_OK) {
            if (code == CURLE_PEER_FAILED_VERIFICATION) throw network_error(request_.url, code, request_.stall_seconds);
            fault = network_error(request_.url, code, request_.stall_seconds);
            return Result::again;
        }
        if (t.status == 416 || refused) {  // what we hold does not fit to what the server has: begin again
            writer_.restart();
            meta_ = {};
            ++restarts_;
            fault = t.status == 416 ? status_error(request_.url, t.status)
                                    : Error(ErrorKind::network,
                                            fmt::format("{} answered a request for the rest of the file with something "
                                                        "else.",
                                                        shown(request_.url)),
                                            "The server is at fault; use another source.");
            return Result::again;
        }
        if (t.status >= 300) {
            if (!worth_retrying(t.status)) throw status_error(request_.url, t.status);
            fault = status_error(request_.url, t.status);
            return Result::again;
        }
        if (meta_.total != 0 && writer_.size() < meta_.total) {
            fault = network_error(request_.url, CURLE_PARTIAL_FILE, request_.stall_seconds);
            return Result::again;
        }
        return Result::done;
    }

    [[nodiscard]] std::uint64_t size() const { return writer_.size(); }
    [[nodiscard]] bool resumed() const { return resumed_; }
    [[nodiscard]] int restarts() const { return restarts_; }
    Download finish() {
        Download out;
        out.size = writer_.size();
        out.etag = meta_.etag;
        out.sha256 = writer_.finish();
        return out;
    }

 private:
    static bool usable(const Meta& meta, const Request& request, const fs::path& to, const DownloadOptions& options) {
        if (options.expected_sha256.empty() && meta.boot != boot_id()) return false;
        const auto known = disk::facts(to);
        return known && known->size > 0 && meta.url == request.url && !meta.validator().empty() &&
               (meta.total == 0 || known->size <= meta.total);
    }

    // Looks at status and headers before the first byte is kept. False: the answer cannot be used, begin again.
    bool accept(const Transfer& t) {
        if (t.status != 200 && t.status != 206) return true;  // no content to keep; judged by its status
        Meta now;
        now.url = request_.url;
        now.etag = header(t, "etag");
        now.modified = header(t, "last-modified");
        if (t.status == 206) {
            const auto range = parse_content_range(header(t, "content-range"));
            if (!range || range->first != writer_.size() || range->last + 1 != range->total) return false;
            if (meta_.total != 0 && range->total != meta_.total) return false;
            if (!now.validator().empty() && now.validator() != meta_.validator()) return false;
            now.total = range->total;
            if (now.etag.empty()) now.etag = meta_.etag;
            if (now.modified.empty()) now.modified = meta_.modified;
        } else {
            if (writer_.size() > 0) {  // the content changed, or the server knows no ranges
                writer_.restart();
                ++restarts_;
            }
            now.total = parse_u64(header(t, "content-length")).value_or(0);
        }
        if (now.total > options_.max_bytes)
            throw Error(ErrorKind::limit, fmt::format("{} has {} bytes; {} is the most that is taken.",
                                                      shown(request_.url), now.total, options_.max_bytes));
        if (options_.expected_size != 0 && now.total != 0 && now.total != options_.expected_size)
            throw Error(ErrorKind::bad_file,
                        fmt::format("{} has {} bytes, but {} were expected; it is another file.", shown(request_.url),
                                    now.total, options_.expected_size),
                        "The file was replaced at its source; use another source, or a newer catalogue.");
        if (now.total > writer_.size())
            disk::need_space(to_.parent_path(), now.total - writer_.size(), shown(request_.url));
        meta_ = now;
        write_meta(to_, meta_);
        return true;
    }

    const Request& request_;
    fs::path to_;
    const DownloadOptions& options_;
    Meta meta_;
    disk::HashingWriter writer_;
    bool resumed_ = false;
    int restarts_ = 0;
};

void pause_between(int attempt, const DownloadOptions& options, std::uint64_t done) {
    // 0.2 s, 0.4 s, 0.8 s ... at most 10 s, in small steps so that a cancel is heard.
    const auto until =
        std::chrono::steady_clock::now() + std::chrono::milliseconds(std::min(10000, 200 << std::min(attempt, 6)));
    while (std::chrono::steady_clock::now() < until) {
        std::this_thread::sleep_for(std::chrono::milliseconds(50));
        if (options.progress) options.progress(done, 0);
    }
}

}  // namespace

Answer get(const Request& request, std::uint64_t max_bytes) {
    Answer out;
    Transfer prototype;
    prototype.on_body = [&](std::span<const std::byte> bytes) {
        if (out.body.size() + bytes.size() > max_bytes)
            throw Error(ErrorKind::limit, fmt::format("{} sends more than {} bytes for a small document.",
                                                      shown(request.url), max_bytes));
        out.body.append(reinterpret_cast<const char*>(bytes.data()), bytes.size());
    };
    for (int attempt = 0;; ++attempt) {
        out.body.clear();
        CURLcode code = CURLE_OK;
        const Transfer t = exchange(request, {"Accept: application/json"}, false, prototype, code);
        out.status = t.status;
        if (code == CURLE_OK && !worth_retrying(out.status)) return out;
        if (attempt == 2) {
            if (code != CURLE_OK) throw network_error(request.url, code, request.stall_seconds);
            throw status_error(request.url, out.status);
        }
        pause_between(attempt, {}, 0);
    }
}

Head head(const Request& request) {
    CURLcode code = CURLE_OK;
    const Transfer t = exchange(request, {"Accept-Encoding: identity"}, true, {}, code);
    if (code != CURLE_OK) throw network_error(request.url, code, request.stall_seconds);
    if (t.status == 404 || t.status == 410) throw status_error(request.url, t.status);
    Head out;
    out.status = t.status;
    if (t.status == 200) out.size = parse_u64(header(t, "content-length")).value_or(0);
    out.etag = header(t, "etag");
    return out;
}

Download download(const Request& request, const fs::path& to, const DownloadOptions& options) {
    disk::make_folders(to.parent_path());
    bool began_again = false;
    while (true) {
        Fetching fetching(request, to, options);
        std::optional<Error> fault;
        std::uint64_t before = fetching.size();
        int failures = 0;
        while (fetching.attempt(fault) == Fetching::Result::again) {
            // Attempts that brought something do not count: a slow line with many breaks still gets there.
            failures = fetching.size() > before ? 0 : failures + 1;
            before = fetching.size();
            if (std::max(failures, fetching.restarts()) >= std::max(1, options.attempts)) throw Error(*fault);
            pause_between(failures, options, before);
        }
        const bool resumed = fetching.resumed();
        const Download done = fetching.finish();
        const bool fits = (options.expected_size == 0 || done.size == options.expected_size) &&
                          (options.expected_sha256.empty() || done.sha256 == options.expected_sha256);
        if (fits) return done;
        std::error_code ec;
        fs::remove(to, ec);
        fs::remove(meta_path(to), ec);
        if (resumed &&
            !began_again) {  // a mixture of two versions after a resume looks like this: once more from the start
            began_again = true;
            continue;
        }
        throw Error(ErrorKind::bad_file,
                    fmt::format("{} is not what was expected: it has {} bytes with the digest sha256:{}, expected {} "
                                "bytes with sha256:{}.",
                                shown(request.url), done.size, done.sha256,
                                options.expected_size == 0 ? done.size : options.expected_size,
                                options.expected_sha256.empty() ? "any" : options.expected_sha256),
                    "The file was replaced at its source, or damaged on its way; use another source.");
    }
}

}  // namespace freehold::http
