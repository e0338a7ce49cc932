// Requests to arrivals, refusals to statuses, exchanges to audit entries.
// A route says one least role; here it becomes a right, so that an auditor reads what an auditor may.
#include "freehold/server/guard.h"

#include <fmt/format.h>

#include <algorithm>
#include <atomic>

#include "freehold/base/log.h"
#include "freehold/database/state.h"
#include "freehold/server/errors.h"

namespace freehold::server {
namespace {

constexpr std::int64_t kRefusalsASecond = 20;

access::Arrival arrival_of(const HttpRequest& request, const Route& route) {
    access::Arrival arrival;
    arrival.headers = request.headers;
    arrival.peer = request.peer_is_loopback ? "127.0.0.1" : std::string_view(request.peer);
    arrival.tls = request.tls;
    arrival.changes = request.method != "GET" && request.method != "HEAD" && request.method != "OPTIONS";
    arrival.any_body_type = route.accepts_any_type;
    return arrival;
}

int status_of(access::Why why) noexcept {
    switch (why) {
        case access::Why::who_are_you:
            return 401;
        case access::Why::may_not:
            return 403;
        case access::Why::wrong_type:
            return 415;
        case access::Why::too_much:
            return 429;
    }
    return 403;
}

Principal principal_of(const access::Principal& who) {
    Principal principal;
    principal.keyed = who.how != access::Principal::How::open;
    principal.role = who.roles.has(access::Role::operator_) ? Role::operator_
                     : who.roles.has(access::Role::user)    ? Role::user
                                                            : Role::auditor;
    principal.roles = who.roles.str();
    principal.key_id = who.key_id;
    principal.key_name = who.name;
    principal.tenant = who.tenant;
    principal.models = who.models;
    return principal;
}

// Enough of a principal to charge and to record.
access::Principal back(const Principal& principal) {
    access::Principal who;
    who.how = !principal.keyed                         ? access::Principal::How::open
              : principal.key_id.starts_with("proxy:") ? access::Principal::How::proxy
                                                       : access::Principal::How::key;
    who.key_id = principal.key_id;
    who.name = principal.key_name;
    who.tenant = principal.tenant;
    return who;
}

std::string text_note(const ExchangeRecord& record, const char* name) {
    const Value* value = record.notes.find(name);
    return value == nullptr ? std::string() : std::string(value->as_string().value_or(""));
}
std::int64_t number_note(const ExchangeRecord& record, const char* name) {
    const Value* value = record.notes.find(name);
    return value == nullptr ? 0 : value->as_int().value_or(0);
}

// What becomes of a refusal at the HTTP edge.
RequestError edge_error(const access::Refusal& refusal) {
    const int status = status_of(refusal.why());
    return {status,
            refusal.kind(),
            refusal.message(),
            refusal.hint(),
            {},
            status == 401   ? "invalid_api_key"
            : status == 429 ? "rate_limit_exceeded"
                            : "",
            static_cast<int>(std::min<std::int64_t>(refusal.retry_after(), 1 << 30))};
}

// One request's books. The request holds them until its end was recorded.
class RequestBooks final : public Books, public std::enable_shared_from_this<RequestBooks> {
 public:
    RequestBooks(access::Limiter& limiter, access::AuditLog& audit, access::TextVault* texts, access::Principal who,
                 std::string request_id)
        : limiter_(limiter), audit_(audit), texts_(texts), who_(std::move(who)), request_id_(std::move(request_id)) {}

    [[nodiscard]] std::unique_ptr<TokenHold> reserve(const std::string& model, std::int64_t tokens) override {
        try {
            return std::make_unique<Kept>(shared_from_this(), limiter_.reserve(who_, model, tokens));
        } catch (const access::Refusal& refusal) {
            throw edge_error(refusal);
        } catch (const Error& fault) {
            // Larger than the whole quota: waiting would not help, so no client should try again.
            throw RequestError(400, fault.kind(), fault.message(), fault.hint(), "max_tokens", "quota_exceeded");
        }
    }
    void asked(std::string_view text) override { take(text, "prompt", prompt_digest_); }
    void answered(std::string_view text) override { take(text, "answer", answer_digest_); }

    void judged(const std::string& decision, bool stopped) override {
        {
            const std::lock_guard hold(mutex_);
            decisions_.push_back(decision);
            stopped_ = stopped_ || stopped;
            if (!written_) return;
        }
        // The exchange is over (an answer in the background, a client that went away): its entry cannot be changed.
        access::AuditEntry entry;
        entry.kind = "safeguard";
        entry.set_who(who_);
        entry.request_id = request_id_;
        entry.outcome = stopped ? "refused" : "ok";
        entry.safeguards = {decision};
        try {
            audit_.append_ended(entry);
        } catch (const std::exception& fault) {
            log_error(fmt::format("A safeguard's decision could not be recorded: {}", fault.what()));
        }
    }

    [[nodiscard]] bool settled() const noexcept { return settled_; }
    // What the entry of the exchange says of its texts. True: a guard stopped one of them.
    bool write_texts(access::AuditEntry& entry) {
        const std::lock_guard hold(mutex_);
        entry.prompt_digest = prompt_digest_;
        entry.completion_digest = answer_digest_;
        entry.safeguards = decisions_;
        if (!kept_.empty()) entry.details.set("texts", kept_);
        written_ = true;
        return stopped_;
    }

 private:
    // The hold keeps the books, and with them the place where it says that it was settled.
    struct Kept final : TokenHold {
        Kept(std::shared_ptr<RequestBooks> b, access::Limiter::Reservation r)
            : books(std::move(b)), reserved(std::move(r)) {}
        [[nodiscard]] std::int64_t extend(std::int64_t tokens) override { return reserved.extend(tokens); }
        void settle(std::int64_t prompt, std::int64_t completion) override {
            reserved.settle(prompt, completion);
            books->settled_ = true;
        }
        std::shared_ptr<RequestBooks> books;
        access::Limiter::Reservation reserved;
    };

    void take(std::string_view text, const char* kind, std::string& digest) {
        std::string found = audit_.digest(text);
        std::string day = texts_ != nullptr ? texts_->keep(who_.tenant, request_id_, kind, text) : std::string();
        const std::lock_guard hold(mutex_);
        if (!day.empty()) kept_.set(kind, std::move(day));
        digest = std::move(found);
    }

    access::Limiter& limiter_;
    access::AuditLog& audit_;
    access::TextVault* texts_;
    access::Principal who_;
    std::string request_id_;
    std::atomic<bool> settled_{false};
    mutable std::mutex mutex_;
    std::string prompt_digest_, answer_digest_;
    std::vector<std::string> decisions_;
    ValueMap kept_;  // on which day each text was
    bool stopped_ = false, written_ = false;
};

}  // namespace

bool model_allowed(const std::vector<std::string>& patterns, std::string_view model) {
    if (patterns.empty()) return true;
    return std::ranges::any_of(patterns, [&](const std::string& p) { return access::model_matches(p, model); });
}

access::Right right_of(const Route& route) noexcept {
    const bool reads = route.method == "GET" || route.method == "HEAD";
    const std::string_view pattern = route.pattern;
    switch (route.role) {
        case Role::auditor:
            return access::Right::see_audit;
        case Role::operator_:
            if (pattern.starts_with("/freehold/v1/keys")) return access::Right::manage_keys;
            return reads ? access::Right::see_server : access::Right::manage_models;
        default:
            // What the page of any role shows: who am I, which models are there, how is the server.
            if (reads && (pattern.starts_with("/freehold/v1/") || pattern.starts_with("/v1/models") ||
                          pattern.starts_with("/api/")))
                return access::Right::see_models;
            return access::Right::use_models;
    }
}

Guard::Guard(const GuardOptions& options)
    : options_(options),
      config_(options.config ? *options.config : access::read_access_config(options.home / "access.json")) {
    std::filesystem::create_directories(options_.home);
    database_ = options_.database ? options_.database : open_state_database(options_.home);
    keys_ = std::make_unique<access::Keys>(*database_, options_.clock);
    limiter_ = std::make_unique<access::Limiter>(*database_, options_.clock);
    access::AuditOptions audit;
    audit.folder = access::audit_folder(options_.home);
    audit.replica = config_.replica;
    audit.export_to = config_.audit_export;
    audit.clock = options_.clock;
    audit_ = access::AuditLog::open(audit);
    if (config_.audit_texts) {
        access::TextOptions texts;
        texts.folder = audit.folder;
        texts.replica = audit.replica;
        texts.clock = options_.clock;
        texts_ = access::TextVault::open(texts);
    }
    access::DoorOptions door = config_.door;
    door.open_without_keys = options_.insecure;
    door_ = std::make_unique<access::Door>(*keys_, door);
    access::AuditEntry started;
    started.kind = "start";
    audit_->append_ended(started);
    thread_ = std::thread([this] {
        std::unique_lock hold(mutex_);
        std::int64_t kept_at = 0;  // retention: at the start, then every hour
        while (!wake_.wait_for(hold, std::chrono::seconds(1), [this] { return stop_; })) {
            hold.unlock();
            try {
                if (options_.each_second) options_.each_second();
                refresh();
                if (const std::int64_t now = options_.clock(); now - kept_at > 3'600'000) {
                    kept_at = now;
                    keep_policy(now);
                }
            } catch (const std::exception& fault) {
                log_warn(fmt::format("Keys and counts could not be brought up to date: {}", fault.what()));
            }
            hold.lock();
        }
    });
}

Guard::~Guard() {
    {
        const std::lock_guard hold(mutex_);
        stop_ = true;
    }
    wake_.notify_all();
    thread_.join();
    try {
        access::AuditEntry stopped;
        stopped.kind = "stop";
        audit_->append_ended(stopped);
        keys_->refresh();
    } catch (const std::exception& fault) {
        log_error(fmt::format("The end could not be recorded: {}", fault.what()));
    }
}

void Guard::refresh() {
    keys_->refresh();
    limiter_->flush();
    if (texts_) texts_->flush();
}

void Guard::keep_policy(std::int64_t now) {
    if (config_.keep_keys > 0) keys_->purge(now - config_.keep_keys);
    if (config_.keep_use > 0) limiter_->purge(access::time_text(now - config_.keep_use).substr(0, 10));
    if (config_.keep_audit > 0) audit_->purge(now - config_.keep_audit);
    if (config_.keep_texts > 0) {
        const std::uint64_t files =
            access::erase_texts(access::audit_folder(options_.home), {now - config_.keep_texts, {}});
        if (files > 0) audit_->append(access::erase_entry({now - config_.keep_texts, {}}, files));
    }
    if (options_.purge_responses) options_.purge_responses(now - config_.keep_responses);
}

Principal Guard::admit(const HttpRequest& request, const Route& route) {
    const access::Arrival arrival = arrival_of(request, route);
    try {
        if (route.role == Role::everyone) {
            // Nothing is asked for here, but a page of another origin still changes nothing.
            door_->check_page(arrival, !arrival.changes);
            return {};
        }
        const access::Principal who = door_->admit(arrival);
        const access::Right right = right_of(route);
        access::require(who, right);
        if (right == access::Right::use_models) {
            limiter_->admit(who);
            if (!audit_->fault().empty()) {
                throw RequestError(503, ErrorKind::io, "The audit log cannot be written, so nothing is answered.",
                                   "Whoever runs this server finds the cause in its log.", {}, "audit_unavailable");
            }
        }
        Principal principal = principal_of(who);
        if (right == access::Right::use_models)
            principal.books = std::make_shared<RequestBooks>(*limiter_, *audit_, texts_.get(), who, request.id);
        return principal;
    } catch (const access::Refusal& refusal) {
        record_refusal(request, route, status_of(refusal.why()), refusal.message());
        throw edge_error(refusal);
    }
}

void Guard::record_refusal(const HttpRequest& request, const Route& route, int status, const std::string& message) {
    std::int64_t left_out = 0;
    const bool unwritten = !audit_->fault().empty();  // memory is kept for the ends of what was let in
    {
        const std::lock_guard hold(mutex_);
        const std::int64_t second = options_.clock() / 1000;
        if (second != window_) {
            window_ = second;
            refused_ = 0;
        }
        if (++refused_ > kRefusalsASecond || unwritten) {
            ++left_out_;
            return;
        }
        left_out = std::exchange(left_out_, 0);
    }
    access::AuditEntry entry;
    entry.request_id = request.id;
    entry.route = route.method + " " + route.pattern;
    entry.outcome = "refused";
    entry.status = status;
    entry.details.set("peer", request.peer);
    entry.details.set("why", message);
    if (left_out > 0) entry.details.set("not_recorded_before", left_out);
    try {
        audit_->append(entry);
    } catch (const Error& fault) {
        log_error(fmt::format("A refusal could not be recorded: {}", fault.message()));
    }
}

void Guard::check_listen(const std::string& address, bool is_loopback) const {
    door_->check_listen(is_loopback ? "127.0.0.1" : address);
}

std::string Guard::not_ready() const {
    return audit_->fault().empty() ? std::string() : "The audit log cannot be written, so nothing is answered.";
}

const char* Guard::kind() const noexcept {
    return door_->open() ? "open" : "key";
}

void Guard::observe(const ExchangeRecord& record) noexcept {
    try {
        if (record.request == nullptr || record.route == nullptr || record.route->role == Role::everyone) return;
        // Whoever was let in has a tenant. The others were recorded as they were refused.
        const Principal& principal = record.request->principal;
        if (principal.tenant.empty()) return;
        const bool reads = record.route->method == "GET" || record.route->method == "HEAD";
        const std::int64_t prompt = number_note(record, "prompt_tokens");
        const std::int64_t completion = number_note(record, "completion_tokens");
        // What generations used is settled as they end; here only what nobody had set tokens aside for.
        auto* const books = dynamic_cast<RequestBooks*>(principal.books.get());
        if (prompt + completion > 0 && (books == nullptr || !books->settled()))
            limiter_->charge(back(principal), text_note(record, "model"), prompt, completion);
        if (reads && record.route->role != Role::auditor && !record.route->pattern.starts_with("/freehold/v1/keys"))
            return;
        access::AuditEntry entry;
        entry.set_who(back(principal));
        entry.request_id = record.request->id;
        entry.response_id = text_note(record, "response_id");
        entry.route = record.route->method + " " + record.route->pattern;
        entry.model = text_note(record, "model");
        entry.weights = text_note(record, "digest");
        entry.adapter = text_note(record, "adapter");
        entry.prompt_tokens = prompt;
        entry.completion_tokens = completion;
        const bool stopped = books != nullptr && books->write_texts(entry);
        entry.status = record.status;
        entry.outcome = !record.completed                              ? "cancelled"
                        : stopped                                      ? "refused"
                        : record.status < 400                          ? "ok"
                        : record.status == 403 || record.status == 429 ? "refused"
                                                                       : "failed";
        for (const auto& [name, value] : record.request->params) entry.details.set(name, value.substr(0, 200));
        if (const std::string finish = text_note(record, "finish"); !finish.empty())
            entry.details.set("finish", finish);
        if (const std::string error = text_note(record, "error"); !error.empty()) entry.details.set("error", error);
        // What was changed by it: a key or a model, in the words of the handler.
        if (const Value* change = record.notes.find("change"); change != nullptr && record.status < 400) {
            if (const auto* said = change->get<ValueMap>()) {
                for (const ValueEntry& e : *said) {
                    if (e.key == "kind") {
                        entry.kind = e.value.as_string().value_or("request");
                    } else {
                        entry.details.set(e.key, e.value);
                    }
                }
                entry.details.set("by_roles", principal.roles);
            }
        }
        if (const std::string cut = text_note(record, "cut_off"); !cut.empty()) entry.details.set("cut_off", cut);
        audit_->append_ended(entry);
    } catch (const std::exception& fault) {
        log_error(fmt::format("A request could not be recorded: {}", fault.what()));
    }
}

}  // namespace freehold::server
