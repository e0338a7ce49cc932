// A blob is hashed and written as it comes, under a temporary name until its digest has proved right.
#include "ollama_blobs.h"

#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <optional>

#include "freehold/base/file.h"
#include "freehold/base/hash.h"
#include "freehold/server/owner.h"
#include "ollama.h"

namespace freehold::server {
namespace {

namespace fs = std::filesystem;

constexpr std::uint64_t kLeftFree = 256ULL << 20U;  // of the disk, for everything else that is written there
constexpr std::uint64_t kLook = 64ULL << 20U;       // bytes between two looks at the disk's free space
constexpr std::chrono::hours kLeftOver{1};          // a temporary file that nobody wrote to for so long is a dead one's

// Removes what a killed server left behind.
void sweep(const fs::path& folder) {
    std::error_code ec;
    const auto old = fs::file_time_type::clock::now() - kLeftOver;
    for (const auto& entry : fs::directory_iterator(folder, ec)) {
        const std::string name = entry.path().filename().string();
        const bool temporary = name.starts_with('.') && name.find(".tmp-") != std::string::npos;
        const auto written = entry.last_write_time(ec);
        if (temporary && !ec && written < old) fs::remove(entry.path(), ec);
    }
}

class BlobSink final : public BodySink {
 public:
    BlobSink(const Store& store, const Principal& who, std::string digest, std::optional<std::uint64_t> length)
        : digest_(std::move(digest)), folder_(upload_path(store, who.tenant, digest_).parent_path()) {
        // One that is here already is only read, so that a client with other bytes still hears of it.
        if (blob_for(store, who, digest_)) return;
        fs::create_directories(folder_);
        sweep(folder_);
        need_space(length.value_or(0));
        file_.emplace(upload_path(store, who.tenant, digest_));
    }

    void take(std::string_view piece) override {
        hash_.update(std::as_bytes(std::span(piece)));
        if (!file_) return;
        file_->write(piece);
        unseen_ += piece.size();
        if (unseen_ < kLook) return;
        unseen_ = 0;
        need_space(0);
    }

    void done(Responder& responder) override {
        if ("sha256:" + hash_.hex() != digest_) {
            throw RequestError(400, ErrorKind::usage, "The bytes that came have another digest than the blob's name.",
                               "Send the file whose SHA-256 is in the path.");
        }
        // Where another client was quicker, the same bytes take the place of its file.
        if (file_) file_->commit();
        responder.send(file_ ? 201 : 200, {}, "");
    }

 private:
    void need_space(std::uint64_t bytes) const {
        std::error_code ec;
        const fs::space_info space = fs::space(folder_, ec);
        if (ec || (space.available >= kLeftFree && space.available - kLeftFree >= bytes)) return;
        throw RequestError(
            507, ErrorKind::io,
            bytes > 0 ? fmt::format("The blob has {:.1f} MB, and the disk of this server {:.1f} MB for it.",
                                    static_cast<double>(bytes) / 1e6,
                                    static_cast<double>(space.available - std::min(space.available, kLeftFree)) / 1e6)
                      : std::string("The disk of this server has no room for the blob."),
            "Remove models that nobody needs (DELETE /api/delete), or give the server a larger disk.");
    }

    const std::string digest_;
    const fs::path folder_;
    Sha256 hash_;
    std::optional<AtomicFile> file_;
    std::uint64_t unseen_ = 0;
};

}  // namespace

std::string blob_digest(std::string_view digest) {
    const std::string_view hex = digest.substr(std::min<std::size_t>(7, digest.size()));
    if (!digest.starts_with("sha256:") || hex.size() != 64 ||
        hex.find_first_not_of("0123456789abcdef") != std::string_view::npos) {
        throw RequestError(400, ErrorKind::usage, "A blob's name is sha256: and 64 hexadecimal digits.");
    }
    return std::string(digest);
}

fs::path upload_path(const Store& store, const std::string& tenant, const std::string& digest) {
    const fs::path all = store.partial_dir() / "uploads";
    return (is_host(tenant) ? all : all / ("of-" + tenant)) / digest.substr(7);
}

std::optional<fs::path> blob_for(const Store& store, const Principal& who, const std::string& digest) {
    const fs::path sent = upload_path(store, who.tenant, digest);
    if (fs::exists(sent)) return sent;
    if (!store.has_blob(digest)) return std::nullopt;
    for (const StoredModel& model : store.list()) {
        const bool part = std::ranges::any_of(model.files, [&](const StoredFile& f) { return f.digest == digest; });
        if (part && may_use(who, {model.name.str(), model, {}})) return store.blob_path(digest);
    }
    return std::nullopt;
}

std::vector<Route> ollama_blob_routes(Service& service) {
    Route head = ollama_row("HEAD", "/api/blobs/{digest}", Role::operator_, "Is this blob here?", "",
                            [&service](const RequestPtr& http, const ResponderPtr& responder) {
                                const std::string digest = blob_digest(http->param("digest"));
                                const bool here = blob_for(service.pool.store(), http->principal, digest).has_value();
                                responder->send(here ? 200 : 404, {}, "");
                            });
    Route post = ollama_row("POST", "/api/blobs/{digest}", Role::operator_, "Send a blob", kBytesSchema, {});
    post.sink = [&service](const RequestPtr& http, std::optional<std::uint64_t> length) {
        return std::make_unique<BlobSink>(service.pool.store(), http->principal, blob_digest(http->param("digest")),
                                          length);
    };
    post.accepts_any_type = true;
    post.max_body = service.most_blob;
    return {head, post};
}

}  // namespace freehold::server
