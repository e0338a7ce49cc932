// Licence texts: whatever the bytes, the report's places lie in the text, a change is told for everything altered, and
// line ends of the other kind change nothing.
#include <algorithm>
#include <string>

#include "freehold/licence/licence.h"
#include "fuzz.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    using namespace freehold;
    return fuzz::run([&] {
        const std::string_view text = fuzz::as_text(data, size);
        const licence::TextReport report = licence::examine(text);
        if (!report.unreadable.empty()) return;
        const auto lines = static_cast<std::uint32_t>(1 + std::count(text.begin(), text.end(), '\n'));
        bool named = false;
        for (const licence::Match& m : report.matches) {
            fuzz::require(m.first_line >= 1 && m.first_line <= m.last_line && m.last_line <= lines);
            fuzz::require((m.likeness == licence::Likeness::altered) == !m.changes.empty() ||
                          m.likeness == licence::Likeness::notice || m.likeness == licence::Likeness::reference);
            for (const licence::Clause& c : m.clauses)
                for (const licence::Quote& q : c.quotes)
                    fuzz::require(q.first_line >= 1 && q.last_line <= lines && !q.text.empty());
            named = named || (m.likeness == licence::Likeness::reference && m.known != nullptr);
        }
        for (const licence::Worry& w : report.worries) fuzz::require(w.quote.last_line <= lines);
        fuzz::require(report.words_outside <= report.words);
        std::string other;
        for (const char c : text) other += c == '\n' ? std::string("\r\n") : std::string(1, c);
        if (other.size() <= (4U << 20)) fuzz::require(licence::examine(other).matches.size() == report.matches.size());
        fuzz::planted_bug(named);
    });
}
