// Downloads that can be resumed (Range, If-Range), and small documents, over the exchanges of http_exchange.h.
// A server is hostile until the digest fits: what it says about length, range and type is held against what it sends.
#include "http.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <chrono>
#include <optional>
#include <thread>

#include "disk.h"
#include "freehold/base/error.h"
#include "freehold/base/file.h"
#include "freehold/base/value.h"
#include "http_exchange.h"
#include "json.h"

namespace freehold::http {
namespace fs = std::filesystem;
namespace {

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
            if (!meta_.validator().empty()) lines.push_back("If-Range: " + meta_.validator());
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
        const Transfer t = exchange(request_, lines, {}, prototype, code);
        if (code != CURLE_OK) {
            if (code == CURLE_PEER_FAILED_VERIFICATION) throw network_error(request_.url, code, request_.stall_seconds);
            fault = network_error(request_.url, code, request_.stall_seconds);
            return Result::again;
        }
        if (t.status == 416 || refused) {  // what we hold does not fit to what the server has: begin again
            writer_.restart();
            meta_ = {};
            ++restarts_;
            fault = t.status == 416 ? status_error(request_, t.status)
                                    : Error(ErrorKind::network,
                                            fmt::format("{} answered a request for the rest of the file with something "
                                                        "else.",
                                                        shown(request_.url)),
                                            "The server is at fault; use another source.");
            return Result::again;
        }
        if (t.status >= 300) {
            if (!worth_retrying(t.status)) throw status_error(request_, t.status);
            fault = status_error(request_, t.status);
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
        const bool told_apart = !meta.validator().empty() || options.content_addressed;
        return known && known->size > 0 && meta.url == request.url && told_apart &&
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
        const Transfer t = exchange(request, {"Accept: application/json"}, {}, prototype, code);
        out.status = t.status;
        if (code == CURLE_OK && !worth_retrying(out.status)) return out;
        if (attempt == 2) {
            if (code != CURLE_OK) throw network_error(request.url, code, request.stall_seconds);
            throw status_error(request, out.status);
        }
        pause_between(attempt, {}, 0);
    }
}

Answer send(const Request& request, const Outgoing& outgoing) {
    Answer out;
    Transfer prototype;
    prototype.on_body = [&](std::span<const std::byte> bytes) {
        if (out.body.size() + bytes.size() > outgoing.max_answer)
            throw Error(ErrorKind::limit,
                        fmt::format("{} answers with more than {} bytes.", shown(request.url), outgoing.max_answer));
        out.body.append(reinterpret_cast<const char*>(bytes.data()), bytes.size());
    };
    for (int attempt = 0;; ++attempt) {
        out.body.clear();
        CURLcode code = CURLE_OK;
        Transfer t = exchange(request, outgoing.lines, outgoing, prototype, code);
        out.status = t.status;
        out.headers = std::move(t.headers);
        const bool last = attempt + 1 >= outgoing.attempts;
        if (code == CURLE_OK && (last || !worth_retrying(out.status))) return out;
        // A server that refuses may hang up before it was told everything.
        if (code != CURLE_OK && out.status >= 400) return out;
        if (last) throw network_error(request.url, code, request.stall_seconds);
        pause_between(attempt, {}, 0);
    }
}

Head head(const Request& request) {
    CURLcode code = CURLE_OK;
    Outgoing outgoing;
    outgoing.method = "HEAD";
    const Transfer t = exchange(request, {"Accept-Encoding: identity"}, outgoing, {}, code);
    if (code != CURLE_OK) throw network_error(request.url, code, request.stall_seconds);
    if (t.status == 404 || t.status == 410) throw status_error(request, t.status);
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
