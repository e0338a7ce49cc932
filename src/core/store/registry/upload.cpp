// One blob: HEAD, mount, else POST, PATCH after PATCH, PUT. After each chunk the address of the upload and how far it
// is are on disk; a later push asks the registry how far it really is. A registry that has forgotten gets the blob
// anew.
#include "upload.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <chrono>
#include <optional>
#include <thread>

#include "../disk.h"
#include "../json.h"
#include "freehold/base/error.h"
#include "freehold/base/file.h"
#include "freehold/base/value.h"

namespace freehold::registry {
namespace fs = std::filesystem;
namespace {

constexpr int kMostRestarts = 3;
constexpr std::uint64_t kMostChunk = 1ULL << 30;

std::optional<std::uint64_t> number(std::string_view text) {
    std::uint64_t out = 0;
    const auto [end, ec] = std::from_chars(text.data(), text.data() + text.size(), out);
    if (ec != std::errc() || end != text.data() + text.size() || text.empty()) return std::nullopt;
    return out;
}

// "0-1023" is 1024 bytes. "0-0" is what registries say of nothing at all, so it is taken as nothing.
std::optional<std::uint64_t> received(const std::string& range) {
    const std::string_view text = std::string_view(range).substr(range.starts_with("bytes=") ? 6 : 0);
    const auto dash = text.find('-');
    if (dash == std::string_view::npos || text.substr(0, dash) != "0") return std::nullopt;
    const auto last = number(text.substr(dash + 1));
    if (!last) return std::nullopt;
    return *last == 0 ? 0 : *last + 1;
}

class Uploading {
 public:
    Uploading(const Client& client, const Blob& blob, const UploadOptions& options)
        : client_(client),
          blob_(blob),
          options_(options),
          note_(options.state_dir / (blob.digest.substr(7) + ".json")) {}

    Sent run() {
        if (client_.blob_size(blob_.digest)) {
            forget();
            out_.how = Sent::How::present;
            return out_;
        }
        if (!take_up()) {
            if (begin()) return out_;
        }
        for (int restarts = 0;; ++restarts) {
            if (send_all() && close()) break;
            if (restarts >= std::max(kMostRestarts, options_.attempts))
                throw Error(ErrorKind::network,
                            fmt::format("{} loses what is sent to it of {}.", client_.at().host, blob_.name),
                            "Try again later; whoever runs the registry finds more in its log.");
            offset_ = 0;
            forget();
            if (begin()) return out_;
        }
        forget();
        return out_;
    }

 private:
    [[nodiscard]] bool in_chunks() const { return !blob_.at.empty() && blob_.size > chunk(); }
    [[nodiscard]] std::uint64_t chunk() const { return std::clamp<std::uint64_t>(options_.chunk, least_, kMostChunk); }

    void tell(std::uint64_t done) const {
        if (options_.progress) options_.progress(std::min(done, blob_.size));
    }

    // Is there a note of an earlier push, and does the registry still know the upload?
    bool take_up() {
        try {
            if (!disk::facts(note_)) return false;
            const Value tree = parse_json(read_text(note_, 1 << 16), "note");
            const ValueMap& map = json::object(tree, "note", "the document");
            if (json::text(map, "digest", "note") != blob_.digest) return false;
            location_ = json::text(map, "location", "note");
            least_ = std::clamp<std::uint64_t>(json::size(map, "least", "note"), 1, kMostChunk);
        } catch (const Error&) {
            return false;  // a damaged note means a fresh start, nothing worse
        }
        if (!ask_how_far()) {
            forget();
            return false;
        }
        out_.resumed_from = offset_;
        return true;
    }

    // GET on the upload. False: it is not known there (any more).
    bool ask_how_far() {
        http::Outgoing outgoing;
        outgoing.attempts = 3;
        const http::Answer answer = http::send(client_.request(location_), outgoing);
        if (answer.status != 204 && answer.status != 200) return false;
        const auto have = received(answer.header("range"));
        if (!have || *have > blob_.size) return false;
        offset_ = *have;
        if (!answer.header("location").empty()) location_ = client_.location(answer, location_);
        return true;
    }

    // POST, by mount where that may succeed. True: the blob is there now, nothing is to be sent.
    bool begin() {
        for (const std::string& from : options_.mount_from) {
            if (post(fmt::format("?mount={}&from={}", blob_.digest, http::escape_path(from)))) return true;
            if (!location_.empty()) break;  // 202: not mounted, but an upload is open
        }
        if (location_.empty()) static_cast<void>(post({}));
        offset_ = 0;
        remember();
        return false;
    }

    bool post(const std::string& query) {
        http::Outgoing outgoing;
        outgoing.method = "POST";
        outgoing.attempts = 3;
        const std::string address = client_.url("/blobs/uploads/" + query);
        const http::Answer answer = http::send(client_.request(address), outgoing);
        if (answer.status == 201) {
            out_.how = query.empty() ? Sent::How::present : Sent::How::mounted;
            return true;
        }
        if (answer.status == 202) {
            location_ = client_.location(answer, address);
            if (const auto least = number(answer.header("oci-chunk-min-length")); least && *least <= kMostChunk)
                least_ = std::max<std::uint64_t>(1, *least);
            return false;
        }
        if (!query.empty()) return false;  // a registry that does not mount: the plain way follows
        throw client_.fault(answer, fmt::format("takes nothing into {}", client_.at().name));
    }

    void remember() const {
        if (!in_chunks()) return;
        disk::make_folders(options_.state_dir);
        ValueMap map;
        map.set("digest", blob_.digest);
        map.set("location", location_);
        map.set("offset", offset_);
        map.set("least", least_);
        write_text_atomic(note_, to_json(Value(std::move(map))));
    }

    void forget() {
        location_.clear();
        std::error_code ec;
        fs::remove(note_, ec);
    }

    [[nodiscard]] http::Outgoing part(const char* method, std::uint64_t length) {
        http::Outgoing outgoing;
        outgoing.method = method;
        outgoing.lines = {"Content-Type: application/octet-stream"};
        outgoing.file = blob_.at;
        outgoing.offset = offset_;
        outgoing.length = length;
        if (blob_.at.empty()) outgoing.text = blob_.text;
        outgoing.sent = [this](std::uint64_t sent) { tell(offset_ + sent); };
        return outgoing;
    }

    // All chunks. False: the registry has lost the upload, begin again. Small blobs go with the PUT that closes.
    bool send_all() {
        if (!in_chunks()) return true;
        int failures = 0;
        while (offset_ < blob_.size) {
            tell(offset_);
            const std::uint64_t length = std::min(chunk(), blob_.size - offset_);
            http::Outgoing outgoing = part("PATCH", length);
            outgoing.lines.push_back(fmt::format("Content-Range: {}-{}", offset_, offset_ + length - 1));
            std::optional<Error> fault;
            try {
                const http::Answer answer = http::send(client_.request(location_), outgoing);
                if (answer.status == 202) {
                    took(answer, length);
                    failures = 0;
                    continue;
                }
                if (answer.status == 401 || answer.status == 403)
                    throw client_.fault(answer, fmt::format("does not take {}", blob_.name));
                fault = client_.fault(answer, fmt::format("does not take a part of {}", blob_.name));
            } catch (const Error& e) {
                if (e.kind() != ErrorKind::network) throw;
                fault = e;
            }
            if (++failures >= std::max(1, options_.attempts)) throw Error(*fault);
            pause(failures);
            const std::uint64_t before = offset_;
            if (!look_again()) return false;
            if (offset_ > before) failures = 0;
        }
        return true;
    }

    void took(const http::Answer& answer, std::uint64_t length) {
        out_.bytes += length;
        location_ = client_.location(answer, location_);
        // What counts is what the registry says that it has.
        const auto have = received(answer.header("range"));
        offset_ = have && *have > 0 && *have <= blob_.size ? *have : offset_ + length;
        remember();
    }

    // After a fault: how far is the registry? It may be out of reach for a while; that is no answer.
    bool look_again() {
        for (int i = 0;; ++i) {
            try {
                return ask_how_far();
            } catch (const Error& e) {
                if (e.kind() != ErrorKind::network || i + 1 >= options_.attempts) throw;
                pause(i + 1);
            }
        }
    }

    // PUT. False: what the registry has is not this blob, begin again.
    bool close() {
        const bool whole = !in_chunks();
        http::Outgoing outgoing = part("PUT", whole ? blob_.size : 0);
        if (!whole) outgoing.file.clear();
        std::string address = location_ + (location_.find('?') == std::string::npos ? "?" : "&");
        address += "digest=" + blob_.digest;
        http::Answer answer;
        for (int i = 0;; ++i) {
            try {
                answer = http::send(client_.request(address), outgoing);
                break;
            } catch (const Error& e) {
                if (e.kind() != ErrorKind::network || i + 1 >= options_.attempts) throw;
                pause(i + 1);
                if (client_.blob_size(blob_.digest)) return true;  // it arrived, only the answer was lost
            }
        }
        if (answer.status == 201) {
            if (whole) out_.bytes += blob_.size;
            return true;
        }
        if (answer.status == 401 || answer.status == 403)
            throw client_.fault(answer, fmt::format("does not take {}", blob_.name));
        if (answer.status == 400 && !blob_.at.empty() && out_.resumed_from == 0) check_ours();
        if (++refusals_ > 1) throw client_.fault(answer, fmt::format("does not take {}", blob_.name));
        out_.resumed_from = 0;
        return false;
    }

    // A registry that calls the digest wrong may be right.
    void check_ours() const {
        const std::string hex = sha256_file(blob_.at);
        if ("sha256:" + hex == blob_.digest) return;
        throw Error(ErrorKind::bad_file,
                    fmt::format("{} is damaged here: its bytes have the digest sha256:{}, not {}.", blob_.name, hex,
                                blob_.digest),
                    "Fetch the model again; 'freehold doctor --verify' looks at all of them.");
    }

    void pause(int failures) const {
        const auto until =
            std::chrono::steady_clock::now() + std::chrono::milliseconds(std::min(10000, 200 << std::min(failures, 6)));
        while (std::chrono::steady_clock::now() < until) {
            std::this_thread::sleep_for(std::chrono::milliseconds(50));
            tell(offset_);
        }
    }

    const Client& client_;
    const Blob& blob_;
    const UploadOptions& options_;
    fs::path note_;
    std::string location_;
    std::uint64_t offset_ = 0;
    std::uint64_t least_ = 1;  // the least length of a chunk, as the registry says
    int refusals_ = 0;
    Sent out_;
};

}  // namespace

Sent upload(const Client& client, const Blob& blob, const UploadOptions& options) {
    return Uploading(client, blob, options).run();
}

}  // namespace freehold::registry
