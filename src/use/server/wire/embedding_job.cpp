// Slices of an embedding on the workers.
#include "embedding_job.h"

#include <fmt/format.h>

#include <algorithm>
#include <atomic>
#include <cmath>
#include <condition_variable>
#include <mutex>

#include "freehold/server/errors.h"
#include "freehold/server/owner.h"

namespace freehold::server {

// How much runs, and whether it should end.
struct EmbeddingDesk::State {
    explicit State(Service& s) : service(s) {}
    Service& service;
    std::mutex mutex;
    std::condition_variable left;
    int running = 0;
    std::atomic<bool> closing = false;
};

namespace {

using Clock = std::chrono::steady_clock;
// Inputs between two looks at the client: a worker serves others after some tenths of a second.
constexpr std::size_t kSlice = 32;

class Job : public std::enable_shared_from_this<Job> {
 public:
    Job(std::shared_ptr<EmbeddingDesk::State> desk, RequestPtr http, ResponderPtr responder, EmbeddingWork work)
        : desk_(std::move(desk)),
          service_(desk_->service),
          responder_(std::move(responder)),
          work_(std::move(work)),
          http_(std::move(http)),
          asked_(http_->principal.books ? http_->body : std::string()) {
        const std::lock_guard lock(desk_->mutex);
        ++desk_->running;
    }
    ~Job() {
        embedder_.reset();
        lease_ = {};  // before it is told that this work has ended
        const std::lock_guard lock(desk_->mutex);
        --desk_->running;
        desk_->left.notify_all();
    }
    Job(const Job&) = delete;
    Job& operator=(const Job&) = delete;

    void start() {
        auto self = shared_from_this();
        service_.pool.acquire(
            work_.model, [self](ModelLease lease, std::exception_ptr fault) { self->got(std::move(lease), fault); },
            work_.keep);
    }

 private:
    void got(ModelLease lease, const std::exception_ptr& fault) {
        if (fault) return send_error(*responder_, fault, work_.shape);
        if (lease.adapter()) {
            return send_error(
                *responder_,
                std::make_exception_ptr(RequestError(
                    400, ErrorKind::unsupported, fmt::format("{}: vectors are made without adapters.", lease.name()),
                    fmt::format("Ask for {}.", lease->name), "model")),
                work_.shape);
        }
        lease_ = std::move(lease);
        load_seconds_ = std::chrono::duration<double>(Clock::now() - began_).count();
        began_ = Clock::now();
        try {
            if (const auto& books = http_->principal.books) {
                // How many tokens the texts are shows as they are read; four bytes of a body are about one.
                hold_ = books->reserve(lease_->name, static_cast<std::int64_t>(asked_.size() / 4));
                books->asked(std::exchange(asked_, {}));
            }
            embedder_ = lease_->embedder;
            // A model that writes gives vectors too; its memory for that lasts for the request.
            if (!embedder_) embedder_ = std::make_shared<Embedder>(service_.pool.host(), lease_->model);
        } catch (...) {
            return send_current_error(*responder_, work_.shape);
        }
        go_on();
    }

    void go_on() {
        service_.workers.post([self = shared_from_this()] { self->step(); });
    }

    void step() {
        if (responder_->gone()) return;
        try {
            if (desk_->closing)
                throw RequestError(503, ErrorKind::cancelled, "The server is ending.", "Try again at another time.");
            const std::size_t end = std::min(at_ + kSlice, work_.items);
            if (at_ < end) work_.slice(*embedder_, at_, end);
            at_ = end;
            if (at_ < work_.items) return go_on();
            responder_->note("model", lease_->name);
            responder_->note("digest", lease_->digest);
            work_.finish(*lease_, *embedder_, load_seconds_,
                         std::chrono::duration<double>(Clock::now() - began_).count());
        } catch (...) {
            send_current_error(*responder_, work_.shape);
        }
    }

    std::shared_ptr<EmbeddingDesk::State> desk_;
    Service& service_;
    ResponderPtr responder_;
    EmbeddingWork work_;
    RequestPtr http_;
    std::string asked_;  // the body, where books are kept
    std::unique_ptr<TokenHold> hold_;
    ModelLease lease_;
    std::shared_ptr<Embedder> embedder_;
    std::size_t at_ = 0;
    Clock::time_point began_ = Clock::now();
    double load_seconds_ = 0;
};

}  // namespace

EmbeddingDesk::EmbeddingDesk(Service& service) : state_(std::make_shared<State>(service)) {}

EmbeddingDesk::~EmbeddingDesk() {
    state_->closing = true;
    std::unique_lock lock(state_->mutex);
    state_->left.wait(lock, [this] { return state_->running == 0; });
}

void EmbeddingDesk::run(const RequestPtr& http, const ResponderPtr& responder, EmbeddingWork work) {
    check_use(state_->service.pool, work.model, http->principal.tenant, http->principal.models);
    std::make_shared<Job>(state_, http, responder, std::move(work))->start();
}

std::vector<TextVector> embed_slice(Embedder& embedder, std::span<const EmbedInput> inputs, std::size_t begin,
                                    std::size_t end, EmbedOptions options) {
    options.first_number = begin;
    return embedder.embed(inputs.subspan(begin, end - begin), options);
}

void rerank_slice(Embedder& embedder, const std::string& question, std::span<const std::string> documents,
                  std::size_t begin, std::size_t end, EmbedOptions options, RerankResult& result) {
    options.first_number = begin;
    const RerankResult part = embedder.rerank(question, documents.subspan(begin, end - begin), options);
    result.by = part.by;
    result.tokens += part.tokens;
    for (RankedDocument d : part.documents) {
        d.index += begin;
        result.documents.push_back(d);
    }
    std::sort(result.documents.begin(), result.documents.end(), [](const RankedDocument& a, const RankedDocument& b) {
        return a.logit != b.logit ? a.logit > b.logit : a.index < b.index;
    });
}

std::string json_numbers(std::span<const float> numbers) {
    std::string out = "[";
    for (const float x : numbers) {
        if (out.size() > 1) out += ',';
        if (std::isfinite(x))
            fmt::format_to(std::back_inserter(out), "{}", x);
        else
            out += "null";
    }
    return out += ']';
}

}  // namespace freehold::server
