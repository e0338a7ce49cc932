// One answer of /v1/responses while it grows: its items, its events in order, what is kept of it.
#pragma once

#include <functional>
#include <mutex>

#include "common.h"
#include "freehold/server/response_store.h"

namespace freehold::server {

// What the request said and the response repeats.
struct ResponseFacts {
    ValueMap repeated;  // instructions, tools, temperature, ... as the object shows them
    std::string tenant;
    ValueList input;     // items with ids
    ValueList messages;  // conversation so far, without instructions
    bool store = true, streaming = false, background = false, logprobs = false;
};

class ResponseAnswer {
 public:
    // `responder` is null for an answer in the background.
    ResponseAnswer(ResponderPtr responder, ResponseFacts facts, std::shared_ptr<ResponseStore> store);
    void take(Event&& event);
    [[nodiscard]] bool streaming() const noexcept { return facts_.streaming; }
    void held();  // a sign of life
    [[nodiscard]] const std::string& id() const noexcept { return id_; }
    // The response as it is now, with a status.
    [[nodiscard]] ValueMap object(const std::string& status) const;
    // Keeps the beginning of an answer in the background.
    void keep_queued();

 private:
    struct Item {
        OutputDelta::Kind kind = OutputDelta::Kind::content;
        std::string id, text, call_id, name, status = "in_progress";
        ValueList logprobs;
    };
    [[nodiscard]] Value part_json(const Item& item, bool begins) const;
    [[nodiscard]] Value item_json(const Item& item, bool begins) const;
    void event(const char* type, ValueMap body);
    void open();
    void add(OutputDelta& part, ValueList& logprobs);
    void begin_item(Item item);
    void end_item(const char* status);
    void finish(const AllDone& all);
    void fail(const std::exception_ptr& fault);
    void keep(const ValueMap& object, bool running);

    EventStream stream_;
    ResponseFacts facts_;
    std::shared_ptr<ResponseStore> store_;
    const std::string id_;
    const std::int64_t created_;
    std::int64_t sequence_ = 0;
    ModelLease model_;
    std::vector<Item> items_;
    bool item_open_ = false;
    FinishReason finish_ = FinishReason::stop;
    bool withheld_ = false;  // by a safeguard
    Value usage_, error_;
};

}  // namespace freehold::server
