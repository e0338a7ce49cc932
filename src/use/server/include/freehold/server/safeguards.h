// The safeguards of a server: runs the guards over texts, on their way in, on their way out and for /v1/moderations.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "freehold/safeguards/config.h"
#include "freehold/safeguards/judgement.h"
#include "freehold/server/metrics.h"

namespace freehold::server {

class Generator;

// What a guard is shown. Rules look at `whole`; guard models at `asked` and, for an answer, `answered`.
struct JudgedText {
    std::string whole;            // all that the model reads, or all that it wrote
    std::string asked, answered;  // the client's words without the template around them; the answer
};

struct SafeguardFindings {
    std::vector<safeguards::Decision> decisions;                   // one a guard that ran: the worst of its texts
    std::vector<std::map<std::string, double>> scores;             // of each text, by category
    std::vector<std::vector<safeguards::Decision>> text_unjudged;  // of each text: guards that could not judge it
    // The decision that stops the text, or null.
    [[nodiscard]] const safeguards::Decision* stop() const noexcept;
};

// Thread-safe. The generator that runs guard models must outlive every run.
class Safeguards {
 public:
    enum class Place { input, output, moderation };
    Safeguards(safeguards::Config config, Generator& generator, Metrics& metrics);
    ~Safeguards();

    [[nodiscard]] const safeguards::Config& config() const noexcept { return config_; }
    // Does any guard look at texts there? Moderation: always.
    [[nodiscard]] bool judges(Place place) const noexcept;
    // Must answers wait until they are judged?
    [[nodiscard]] bool holds_answers() const noexcept;
    // All guards of a place over all texts; input and output end at the first that stops. Rules run on this thread,
    // models through the generator: `done` is called once, here or on another thread, and never with an exception.
    void judge(Place place, std::vector<JudgedText> texts, std::string tenant,
               std::function<void(const SafeguardFindings&)> done);
    // Tries the examples of the guards that are models (those of rules were tried as the file was read), waiting.
    // Throws Error{usage} for a guard that does not fire, or whose model cannot be asked.
    void prove();

 private:
    class Run;
    safeguards::Config config_;
    Generator& generator_;
    Metrics& metrics_;
};

// "input house-rules: passed": for the audit.
[[nodiscard]] std::string decision_text(Safeguards::Place place, const safeguards::Decision& decision);

}  // namespace freehold::server
