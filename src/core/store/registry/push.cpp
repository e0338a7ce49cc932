// push: the manifest as it goes out, its blobs, then the manifest itself, last, so that a name in the registry never
// leads to something that is not whole. One push to a repository at a time from one store.
#include "freehold/store/push.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <thread>

#include "../disk.h"
#include "../layout.h"
#include "../store_files.h"
#include "client.h"
#include "freehold/base/error.h"
#include "freehold/base/file.h"
#include "freehold/base/hash.h"
#include "referrers.h"
#include "upload.h"

namespace freehold {
namespace fs = std::filesystem;
namespace {

using registry::Blob;
using registry::Client;
using registry::Sent;

std::string digest_of(const std::string& text) {
    return "sha256:" + sha256_hex(std::as_bytes(std::span(text)));
}

// The manifest without what is private to this machine; the same model gives the same bytes each time.
std::string outgoing_manifest(const StoredModel& model, layout::Manifest manifest) {
    for (StoredFile& file : manifest.files) file.linked_at.reset();
    ModelRecord& record = manifest.record;
    if (record.source.starts_with("file:")) record.source.clear();
    record.extra.erase("scan");
    const auto note = [&](const char* key, const std::string& text) {
        if (!text.empty()) manifest.notes.emplace_back(key, text);
    };
    note("org.opencontainers.image.created", record.created);
    note("org.opencontainers.image.description", record.description);
    note("org.opencontainers.image.licenses", record.licence.id);
    note("org.opencontainers.image.title", model.name.name);
    note("org.opencontainers.image.version", model.name.tag);
    note(layout::kLocalManifest, model.digest);
    return layout::write_manifest(manifest);
}

// Repositories of the same registry that a stored model came from.
std::vector<std::string> neighbours(const Store& store, const registry::Reference& at,
                                    const std::vector<std::string>& named) {
    std::vector<std::string> out = named;
    for (const StoredModel& model : store.list()) {
        if (!model.record.source.starts_with("oci:")) continue;
        const registry::Reference from =
            registry::parse_reference(std::string_view(model.record.source).substr(0, model.record.source.find('#')));
        if (from.host == at.host && from.name != at.name && std::ranges::find(out, from.name) == out.end())
            out.push_back(from.name);
    }
    out.resize(std::min<std::size_t>(out.size(), 8));
    return out;
}

registry::ClientOptions client_options(const Store& store, const RegistryOptions& options, bool push) {
    registry::ClientOptions out;
    out.plain_http = options.plain_http;
    out.credentials = store.home() / "registries.json";
    out.notice = options.notice;
    out.push = push;
    return out;
}

fs::path state_dir(const Store& store, const registry::Reference& at) {
    const std::string place = at.host + "/" + at.name;
    return store.partial_dir() / ("push-" + sha256_hex(std::as_bytes(std::span(place))).substr(0, 32));
}

class Pushing {
 public:
    Pushing(const Store& store, const StoredModel& model, const registry::Reference& to, const PushOptions& options)
        : store_(store), model_(model), options_(options), client_(to, settings(store, to, options)) {}

    PushResult run() {
        const auto start = std::chrono::steady_clock::now();
        const layout::Manifest manifest = read_manifest();
        const std::string text = outgoing_manifest(model_, manifest);
        PushResult out;
        out.reference = client_.at().str();
        out.digest = digest_of(text);
        const auto there = client_.find_manifest(client_.at().tag);
        out.was_present = there && there->digest == out.digest;
        const registry::UploadOptions uploading = upload_options();
        if (!out.was_present) {
            total_ = manifest.config_size;
            for (const StoredFile& file : manifest.files) total_ += file.size;
            send({manifest.config_digest, manifest.config_size, store_.blob_path(manifest.config_digest), {}, "config"},
                 uploading, out);
            for (const StoredFile& file : manifest.files) {
                if (file.linked_at) detail::check_link(file, model_.name.str());
                send({file.digest, file.size, store_.file_path(file), {}, file.path}, uploading, out);
            }
            static_cast<void>(client_.put_manifest(client_.at().tag, text, layout::kManifestType));
        }
        for (const Attachment& document : options_.attachments)
            out.attached.push_back(
                attach_one(client_, {layout::kManifestType, out.digest, text.size()}, document, uploading));
        out.seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
        return out;
    }

 private:
    static registry::ClientOptions settings(const Store& store, const registry::Reference& to,
                                            const PushOptions& options) {
        registry::ClientOptions out = client_options(store, options, true);
        out.mount_from = neighbours(store, to, options.mount_from);
        return out;
    }

    layout::Manifest read_manifest() const {
        const fs::path path = store_.blob_path(model_.digest);
        return layout::parse_manifest(read_text(path, layout::kMaxManifest), path.string());
    }

    registry::UploadOptions upload_options() const {
        registry::UploadOptions out;
        out.state_dir = state_dir(store_, client_.at());
        out.mount_from = neighbours(store_, client_.at(), options_.mount_from);
        out.chunk = options_.chunk;
        out.attempts = options_.attempts;
        out.notice = options_.notice;
        return out;
    }

    void send(const Blob& blob, registry::UploadOptions uploading, PushResult& out) {
        uploading.progress = [&](std::uint64_t done) {
            if (options_.progress) options_.progress({"pushing " + blob.name, before_ + done, total_, "B"});
        };
        uploading.progress(0);
        const Sent sent = registry::upload(client_, blob, uploading);
        out.bytes_sent += sent.bytes;
        out.bytes_resumed += sent.resumed_from;
        if (sent.how == Sent::How::present) out.bytes_present += blob.size;
        if (sent.how == Sent::How::mounted) out.bytes_mounted += blob.size;
        before_ += blob.size;
        uploading.progress(0);
    }

    const Store& store_;
    const StoredModel& model_;
    const PushOptions& options_;
    Client client_;
    std::uint64_t before_ = 0, total_ = 0;
};

registry::Reference push_target(std::string_view to) {
    registry::Reference out = registry::parse_reference(to);
    if (!out.digest.empty())
        throw Error(ErrorKind::usage, fmt::format("{} names a digest; what is pushed gets its own.", out.str()),
                    "Name a tag: oci:HOST/NAME:TAG.");
    return out;
}

}  // namespace

std::string attachment_type(std::string_view file_name) {
    constexpr std::array<std::pair<std::string_view, const char*>, 6> kTypes{{
        {".sig", "application/vnd.dev.sigstore.bundle.v0.3+json"},
        {".cdx.json", "application/vnd.cyclonedx+json"},
        {".spdx.json", "application/spdx+json"},
        {".sarif", "application/sarif+json"},
        {".advisory.json", "application/vnd.freehold.advisory.v1+json"},
        {".md", "text/markdown"},
    }};
    for (const auto& [ending, type] : kTypes)
        if (file_name.ends_with(ending)) return type;
    return "application/octet-stream";
}

PushResult push(const Store& store, const StoredModel& model, std::string_view to, const PushOptions& options) {
    const registry::Reference at = push_target(to);
    disk::make_folders(store.partial_dir());
    const fs::path state = state_dir(store, at);
    fs::path lock_path = state;
    lock_path += ".lock";
    bool told = false;
    while (true) {
        if (const auto lock = disk::FileLock::try_take(lock_path)) {
            PushResult out = Pushing(store, model, at, options).run();
            disk::remove_tree(state);
            std::error_code ec;
            fs::remove(lock_path, ec);
            return out;
        }
        if (!told && options.notice)
            options.notice(fmt::format("Another Freehold is pushing to {}/{}; waiting for it.", at.host, at.name));
        told = true;
        if (options.progress) options.progress({"waiting for another push", 0, 0, "B"});
        std::this_thread::sleep_for(std::chrono::milliseconds(100));
    }
}

std::vector<std::string> attach(const Store& store, std::string_view to, const std::vector<Attachment>& attachments,
                                const RegistryOptions& options) {
    const Client client(registry::parse_reference(to), client_options(store, options, true));
    const registry::RemoteManifest subject = client.manifest(client.at().version());
    registry::UploadOptions uploading;
    uploading.state_dir = state_dir(store, client.at());
    uploading.attempts = options.attempts;
    std::vector<std::string> out;
    out.reserve(attachments.size());
    for (const Attachment& document : attachments)
        out.push_back(
            attach_one(client, {subject.media_type, subject.digest, subject.text.size()}, document, uploading));
    return out;
}

std::vector<RemoteAttachment> attachments_of(const Store& store, std::string_view reference,
                                             std::string_view media_type, const RegistryOptions& options) {
    const Client client(registry::parse_reference(reference), client_options(store, options, false));
    const registry::RemoteManifest subject = client.manifest(client.at().version());
    std::vector<RemoteAttachment> out;
    if (!media_type.empty()) {
        // The version itself may be a collection of such documents.
        for (Attachment& document : documents_in(client, subject, media_type))
            out.push_back({subject.digest, std::move(document)});
    }
    for (const registry::Referrer& referrer : referrers_of(client, subject.digest, media_type)) {
        try {
            out.push_back({referrer.digest, document_of(client, referrer)});
        } catch (const Error& e) {
            if (e.kind() == ErrorKind::network || e.kind() == ErrorKind::cancelled) throw;
            if (options.notice) options.notice(fmt::format("Left out: {}", e.message()));
        }
    }
    return out;
}

}  // namespace freehold
