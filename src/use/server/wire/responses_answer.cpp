// Items and events of /v1/responses. Every event has a sequence_number that rises by one from 0.
#include "responses_answer.h"

#include <fmt/format.h>

#include "freehold/base/log.h"
#include "responses_input.h"

namespace freehold::server {

using Kind = OutputDelta::Kind;

ResponseAnswer::ResponseAnswer(ResponderPtr responder, ResponseFacts facts, std::shared_ptr<ResponseStore> store)
    : stream_(std::move(responder)),
      facts_(std::move(facts)),
      store_(std::move(store)),
      id_(fresh_id("resp_")),
      created_(unix_now()) {
    if (stream_.responder()) stream_.responder()->note("response_id", Value(id_));
}

Value ResponseAnswer::part_json(const Item& item, bool begins) const {
    const Value text(begins ? std::string() : item.text);
    if (item.kind == Kind::reasoning) return ValueMap{{"type", Value("reasoning_text")}, {"text", text}};
    return ValueMap{{"type", Value("output_text")},
                    {"text", text},
                    {"annotations", Value(ValueList{})},
                    {"logprobs", Value(begins ? ValueList{} : item.logprobs)}};
}

Value ResponseAnswer::item_json(const Item& item, bool begins) const {
    const ValueList parts = begins ? ValueList{} : ValueList{part_json(item, false)};
    ValueMap map{{"id", Value(item.id)}};
    if (item.kind == Kind::content) {
        map.set("type", Value("message"));
        map.set("role", Value("assistant"));
        map.set("content", Value(parts));
    } else if (item.kind == Kind::reasoning) {
        map.set("type", Value("reasoning"));
        map.set("summary", Value(ValueList{}));
        map.set("content", Value(parts));
    } else {
        map.set("type", Value("function_call"));
        map.set("call_id", Value(item.call_id));
        map.set("name", Value(item.name));
        map.set("arguments", Value(begins ? std::string() : item.text));
    }
    map.set("status", Value(item.status));
    return map;
}

ValueMap ResponseAnswer::object(const std::string& status) const {
    ValueMap map{
        {"id", Value(id_)}, {"object", Value("response")}, {"created_at", Value(created_)}, {"status", Value(status)}};
    map.set("background", Value(facts_.background));
    map.set("error", error_);
    map.set("incomplete_details",
            status == "incomplete"
                ? Value(ValueMap{{"reason", Value(withheld_ ? "content_filter" : "max_output_tokens")}})
                : Value());
    for (const auto& [key, value] : facts_.repeated) map.set(key, value);
    if (model_) map.set("model", Value(model_.name()));
    ValueList output;
    for (const Item& item : items_) output.push_back(item_json(item, false));
    map.set("output", Value(std::move(output)));
    map.set("usage", usage_);
    return map;
}

void ResponseAnswer::event(const char* type, ValueMap body) {
    if (!facts_.streaming) return;
    ValueMap map{{"type", Value(type)}, {"sequence_number", Value(sequence_++)}};
    for (const auto& [key, value] : body) map.set(key, value);
    stream_.named(type, map);
}

void ResponseAnswer::open() {
    if (!facts_.streaming || stream_.responder()->begun()) return;
    stream_.open();
    event("response.created", {{"response", Value(object("in_progress"))}});
    event("response.in_progress", {{"response", Value(object("in_progress"))}});
}

void ResponseAnswer::held() {
    open();
    stream_.held();
}

void ResponseAnswer::take(Event&& e) {
    if (auto* started = std::get_if<Started>(&e)) {
        model_ = started->model;
        if (facts_.background) keep(object("in_progress"), true);
    } else if (auto* delta = std::get_if<Delta>(&e)) {
        ValueList logprobs;
        if (facts_.logprobs) {
            for (const TokenPiece& piece : delta->tokens) logprobs.push_back(logprob_json(piece));
        }
        for (OutputDelta& part : delta->parts) add(part, logprobs);
    } else if (auto* done = std::get_if<ChoiceDone>(&e)) {
        open();
        finish_ = done->finish;
        withheld_ = done->withheld.has_value();
        end_item(finish_ == FinishReason::length ? "incomplete" : "completed");
    } else if (auto* all = std::get_if<AllDone>(&e)) {
        finish(*all);
    } else {
        fail(std::get<Failed>(e).fault);
    }
}

void ResponseAnswer::begin_item(Item item) {
    end_item("completed");
    items_.push_back(std::move(item));
    item_open_ = true;
    const Item& now = items_.back();
    const Value at(static_cast<std::int64_t>(items_.size()) - 1);
    event("response.output_item.added", {{"output_index", at}, {"item", item_json(now, true)}});
    if (now.kind == Kind::tool_arguments) return;
    event("response.content_part.added", {{"item_id", Value(now.id)},
                                          {"output_index", at},
                                          {"content_index", Value(0)},
                                          {"part", part_json(now, true)}});
}

void ResponseAnswer::end_item(const char* status) {
    if (!std::exchange(item_open_, false)) return;
    Item& now = items_.back();
    now.status = status;
    const Value at(static_cast<std::int64_t>(items_.size()) - 1);
    ValueMap place{{"item_id", Value(now.id)}, {"output_index", at}};
    if (now.kind == Kind::tool_arguments) {
        place.set("name", Value(now.name));
        place.set("arguments", Value(now.text));
        event("response.function_call_arguments.done", std::move(place));
    } else {
        place.set("content_index", Value(0));
        ValueMap text = place;
        text.set("text", Value(now.text));
        if (now.kind == Kind::content) text.set("logprobs", Value(now.logprobs));
        event(now.kind == Kind::content ? "response.output_text.done" : "response.reasoning_text.done",
              std::move(text));
        place.set("part", part_json(now, false));
        event("response.content_part.done", std::move(place));
    }
    event("response.output_item.done", {{"output_index", at}, {"item", item_json(now, false)}});
}

void ResponseAnswer::add(OutputDelta& part, ValueList& logprobs) {
    open();
    if (part.kind == Kind::tool_call) {
        Item item;
        item.kind = Kind::tool_arguments;
        item.id = fresh_id("fc_");
        item.call_id = std::move(part.id);
        item.name = std::move(part.name);
        return begin_item(std::move(item));
    }
    if (!item_open_ || items_.back().kind != part.kind) {
        Item item;
        item.kind = part.kind;
        item.id = fresh_id(part.kind == Kind::reasoning ? "rs_" : "msg_");
        begin_item(std::move(item));
    }
    Item& now = items_.back();
    now.text += part.text;
    ValueMap body{{"item_id", Value(now.id)}, {"output_index", Value(static_cast<std::int64_t>(items_.size()) - 1)}};
    if (part.kind != Kind::tool_arguments) body.set("content_index", Value(0));
    body.set("delta", Value(part.text));
    if (part.kind == Kind::content) {
        body.set("logprobs", Value(logprobs));
        for (Value& item : logprobs) now.logprobs.push_back(std::move(item));
        logprobs.clear();
    }
    event(part.kind == Kind::content     ? "response.output_text.delta"
          : part.kind == Kind::reasoning ? "response.reasoning_text.delta"
                                         : "response.function_call_arguments.delta",
          std::move(body));
}

void ResponseAnswer::finish(const AllDone& all) {
    const auto n = [](std::uint64_t x) { return Value(static_cast<std::int64_t>(x)); };
    usage_ =
        ValueMap{{"input_tokens", n(all.usage.prompt_tokens)},
                 {"input_tokens_details",
                  Value(ValueMap{{"cached_tokens", n(all.usage.cached_tokens)}, {"cache_write_tokens", Value(0)}})},
                 {"output_tokens", n(all.usage.completion_tokens)},
                 {"output_tokens_details", Value(ValueMap{{"reasoning_tokens", Value(0)}})},
                 {"total_tokens", n(all.usage.prompt_tokens + all.usage.completion_tokens)}};
    const std::string status = all.cancelled                                  ? "cancelled"
                               : withheld_ || finish_ == FinishReason::length ? "incomplete"
                                                                              : "completed";
    end_item(status == "completed" ? "completed" : "incomplete");
    const ValueMap done = object(status);
    if (facts_.store && (!all.cancelled || facts_.background)) keep(done, false);
    if (facts_.background) return;
    if (model_) note_generation(*stream_.responder(), model_, all.usage, status);
    if (all.cancelled) {
        return fail(stopped_fault());
    }
    if (!facts_.streaming) return send_json(*stream_.responder(), 200, done);
    event(status == "incomplete" ? "response.incomplete" : "response.completed", {{"response", Value(done)}});
    stream_.close();
}

void ResponseAnswer::fail(const std::exception_ptr& fault) {
    const ErrorFacts facts = error_facts(fault);
    error_ = ValueMap{{"code", Value(facts.code.empty() ? std::string("server_error") : facts.code)},
                      {"message", Value(facts.message)}};
    if (facts_.background) return keep(object("failed"), false);
    Responder& responder = *stream_.responder();
    if (!responder.begun()) return send_error(responder, fault);
    responder.note("error", Value(std::string(kind_name(facts.kind))));
    event("response.failed", {{"response", Value(object("failed"))}});
    stream_.close();
}

void ResponseAnswer::keep_queued() {
    keep(object("queued"), true);
}

void ResponseAnswer::keep(const ValueMap& object, bool running) {
    StoredResponse kept;
    kept.response = Value(object);
    kept.input = facts_.input;
    kept.messages = facts_.messages;
    const Value* output = object.find("output");
    if (!running && output != nullptr && output->get<ValueList>() != nullptr)
        add_answer(kept.messages, *output->get<ValueList>());
    kept.running = running;
    try {
        store_->put(facts_.tenant, id_, std::move(kept));
    } catch (const Error& fault) {
        log_error(fmt::format("The response {} could not be kept. {}", id_, fault.message()));
        throw RequestError(507, ErrorKind::io, "The answer could not be kept, and so it is not given.",
                           "Ask again with \"store\": false, or when whoever runs this server has mended its storage.",
                           {}, "storage_failed");
    }
}

}  // namespace freehold::server
