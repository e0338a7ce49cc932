// The finders of the openness report: whatever a file holds, evidence lies in that file, presence follows from
// evidence, and a report can be made of it. The first byte chooses the name under which the rest is looked at.
#include <algorithm>
#include <array>
#include <string>

#include "freehold/base/error.h"
#include "fuzz.h"
#include "look.h"

namespace {

constexpr std::array kNames = {"README.md",    "DATA_CARD.md",       "train.py",         "model.ipynb",
                               "results.json", "corpus/train.jsonl", "config.json",      "report.md",
                               "run.cpp",      "samples.txt",        "requirements.txt", "attestations"};

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    using namespace freehold;
    return fuzz::run([&] {
        if (size == 0) return;
        const std::string name = kNames.at(data[0] % kNames.size());
        const std::string_view text = fuzz::as_text(data + 1, size - 1);
        openness::File f;
        f.name = name;
        f.base = openness::lower(name.substr(name.rfind('/') + 1));
        f.ext = f.base.substr(std::min(f.base.rfind('.'), f.base.size()));
        f.text = std::string(text);
        f.is_text = text.find('\0') == std::string_view::npos;
        f.size = text.size();
        f.at = "/nonexistent/fuzz";
        f.tokens = {"corpus", "train"};
        const std::vector<openness::File> files = {f};
        openness::Findings found;
        openness::find_weights(files, found);
        openness::find_code(files, found);
        openness::find_data(files, found);
        openness::find_documents(files, found);
        openness::Report report;
        report.subject = name;
        report.topics = std::move(found.topics);
        report.parts = found.take();
        const auto lines = static_cast<std::uint32_t>(1 + std::count(text.begin(), text.end(), '\n'));
        for (const openness::Part& p : report.parts) {
            fuzz::require(p.evidence.empty() == (p.presence == openness::Presence::absent));
            for (const openness::Evidence& e : p.evidence) {
                fuzz::require(e.presence <= p.presence && e.file == name);
                // The cells of a notebook are counted as if they were one text.
                if (f.ext != ".ipynb") fuzz::require(e.line <= lines);
            }
        }
        openness::judge_report(report);
        openness::check_claims(files, report);
        static_cast<void>(openness::report_html({&report, 1}, {}, "0", "today"));
        try {
            const openness::PublishedRelease r = openness::read_published(text, "fuzz");
            const openness::MofResult m = openness::evaluate(r.components, openness::Lists::tool);
            fuzz::require(m.mof_class >= 0 && m.mof_class <= 3 && (m.mof_class == 0) == (m.progress[0] < 100.0));
        } catch (const Error&) {
        }
        fuzz::planted_bug(report.part(openness::Component::training_code).presence == openness::Presence::here);
    });
}
