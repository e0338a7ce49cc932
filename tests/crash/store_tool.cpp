// A small program around the store that the crash test starts and kills: pull, list, verify and gc, without the rest of
// Freehold. Prints one line per event so that the test can wait for the middle of something.
#include <cstdio>
#include <cstring>
#include <string>
#include <string_view>

#include "freehold/base/error.h"
#include "freehold/store/pull.h"
#include "freehold/store/store.h"

namespace {

using namespace freehold;

int do_pull(Store& store, int argc, char** argv) {
    PullOptions options;
    for (int i = 3; i < argc; ++i) {
        if (std::string_view(argv[i]) == "--link") options.link = true;
        if (std::string_view(argv[i]) == "--as" && i + 1 < argc) options.as = ModelName::parse(argv[++i]);
    }
    options.announce = [](const PullPlan& plan) {
        std::printf("plan %s from %s: %llu bytes, licence %s (%s)%s\n", plan.name.str().c_str(), plan.source.c_str(),
                    static_cast<unsigned long long>(plan.bytes), plan.licence.id.c_str(),
                    licence_category_name(plan.licence.category), plan.present ? ", present" : "");
    };
    options.notice = [](const std::string& sentence) { std::printf("notice %s\n", sentence.c_str()); };
    const PullResult result = pull(store, argv[2], options);
    std::printf("%s %s %s, %llu bytes, %.1f s\n", result.was_present ? "present" : "pulled",
                result.model.name.str().c_str(), result.model.digest.c_str(),
                static_cast<unsigned long long>(result.model.size), result.seconds);
    return 0;
}

int run(int argc, char** argv) {
    Store store = Store::open();
    const std::string_view verb = argc > 1 ? argv[1] : "";
    if (verb == "pull" && argc > 2) return do_pull(store, argc, argv);
    if (verb == "list") {
        for (const StoredModel& m : store.list())
            std::printf("%s %s %s %s %s params=%llu context=%llu licence=%s -> %s\n", m.name.str().c_str(),
                        m.digest.c_str(), m.record.architecture.c_str(), m.record.container.c_str(),
                        m.record.quantisation.c_str(), static_cast<unsigned long long>(m.record.parameters),
                        static_cast<unsigned long long>(m.record.context), m.record.licence.id.c_str(),
                        store.open_path(m).c_str());
        return 0;
    }
    if (verb == "verify") {
        const auto faults = store.verify();
        for (const StoreFault& f : faults) std::printf("fault %s\n", f.message.c_str());
        return faults.empty() ? 0 : 1;
    }
    if (verb == "rm" && argc > 2) {
        const GcResult freed = store.remove(ModelName::parse(argv[2]));
        std::printf("freed %llu bytes\n", static_cast<unsigned long long>(freed.bytes));
        return 0;
    }
    if (verb == "gc") {
        static_cast<void>(store.collect_garbage());
        return 0;
    }
    std::fprintf(stderr, "store_tool pull WHAT [--link] [--as NAME] | list | verify | rm NAME | gc\n");
    return 2;
}

}  // namespace

int main(int argc, char** argv) {
    std::setvbuf(stdout, nullptr, _IOLBF, 0);
    try {
        return run(argc, argv);
    } catch (const freehold::Error& e) {
        std::fprintf(stderr, "error: %s\n%s\n", e.message().c_str(), e.hint().c_str());
        return freehold::exit_code(e.kind());
    }
}
