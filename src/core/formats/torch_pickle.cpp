// From the values of a pickle to named tensors, and the small pickles of legacy files.
#include "torch_pickle.h"

#include <fmt/format.h>

#include <cstring>

#include "builder.h"
#include "freehold/base/error.h"
#include "freehold/base/printable.h"
#include "torch_machine.h"

namespace freehold {
namespace {

constexpr int kMaxDepth = 16;
constexpr std::size_t kMaxVisits = 10'000'000;

// 0x1950a86a20f9469cfc6c as LONG1, in protocol 2.
constexpr std::string_view kMagic("\x80\x02\x8a\x0a\x6c\xfc\x9c\x46\xf9\x20\x6a\xa8\x50\x19.", 15);

class Collector {
 public:
    Collector(const TorchMachine& machine, TorchPickle& out) : machine_(machine), out_(out) {}

    void collect(const TorchValue& value, const std::string& name, int depth) {
        if (depth > kMaxDepth || ++visits_ > kMaxVisits) machine_.fail("its dictionaries are nested without end");
        if (value.kind == TorchKind::tensor) {
            TorchView view = machine_.views[value.node];
            view.name = name;
            out_.tensors.push_back(std::move(view));
            return;
        }
        if (value.kind != TorchKind::dict) return;
        const auto& items = machine_.node(value).items;
        for (std::size_t i = 0; i + 1 < items.size(); i += 2) {
            if (items[i].kind != TorchKind::text) continue;
            const std::string& key = machine_.node(items[i]).text;
            collect(items[i + 1], name.empty() ? key : name + "." + key, depth + 1);
        }
    }

    // Checkpoints of training keep the weights beside other things, under a name of their own.
    [[nodiscard]] TorchValue weights_of(const TorchValue& root) const {
        if (root.kind != TorchKind::dict) return root;
        const auto& items = machine_.node(root).items;
        for (const char* name : {"state_dict", "model_state_dict"}) {
            for (std::size_t i = 0; i + 1 < items.size(); i += 2) {
                if (items[i].kind == TorchKind::text && machine_.node(items[i]).text == name &&
                    items[i + 1].kind == TorchKind::dict)
                    return items[i + 1];
            }
        }
        return root;
    }

 private:
    const TorchMachine& machine_;
    TorchPickle& out_;
    std::size_t visits_ = 0;
};

}  // namespace

TorchPickle read_torch_pickle(std::span<const std::byte> bytes, std::size_t at, const std::string& what,
                              std::uint64_t shift) {
    TorchMachine machine(bytes, at, what, shift);
    const TorchValue root = machine.run();
    TorchPickle out;
    Collector collector(machine, out);
    if (root.kind != TorchKind::dict)
        machine.refuse("the pickle holds no dictionary of tensors", "Have the model's state dictionary saved instead.");
    collector.collect(collector.weights_of(root), "", 0);
    out.storages = std::move(machine.storages);
    out.end = machine.at();
    return out;
}

std::size_t read_legacy_front(std::span<const std::byte> bytes, const std::string& what) {
    if (bytes.size() < kMagic.size() || std::memcmp(bytes.data(), kMagic.data(), kMagic.size()) != 0)
        throw Error(ErrorKind::bad_file, fmt::format("{} does not begin like a file of torch.", what), kDamagedHint);
    TorchMachine version(bytes, kMagic.size(), what, 0);
    const TorchValue number = version.run();
    if (number.kind != TorchKind::integer || number.number != 1001)
        version.refuse("the version of the legacy format is not 1001", "Have the file saved anew by a newer torch.");
    TorchMachine facts(bytes, version.at(), what, 0);
    const TorchValue map = facts.run();
    bool little = false;
    if (map.kind == TorchKind::dict) {
        const auto& items = facts.node(map).items;
        for (std::size_t i = 0; i + 1 < items.size(); i += 2) {
            if (items[i].kind == TorchKind::text && facts.node(items[i]).text == "little_endian")
                little = items[i + 1].kind == TorchKind::boolean && items[i + 1].number != 0;
        }
    }
    if (!little)
        facts.refuse("the file was written on a machine whose numbers are big-endian",
                     "Have the file saved anew on a little-endian machine.");
    return facts.at();
}

std::vector<std::string> read_legacy_keys(std::span<const std::byte> bytes, std::size_t& at, const std::string& what) {
    TorchMachine machine(bytes, at, what, 0);
    const TorchValue list = machine.run();
    if (list.kind != TorchKind::list) machine.fail("the list of storages is missing");
    std::vector<std::string> keys;
    for (const TorchValue& item : machine.node(list).items) {
        if (item.kind != TorchKind::text) machine.fail("the list of storages holds what is no name");
        keys.push_back(machine.node(item).text);
    }
    at = machine.at();
    return keys;
}

}  // namespace freehold
