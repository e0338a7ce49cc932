// The model card: front matter as Hugging Face reads it, then the sections that readers look for. Every section that
// nobody filled says so; nothing is padded with words.
#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <set>

#include "documents.h"
#include "freehold/base/error.h"
#include "freehold/base/file.h"
#include "freehold/base/printable.h"
#include "freehold/base/value.h"
#include "layout.h"

namespace freehold::bundle {
namespace {

// A JSON string is a YAML scalar too.
std::string yaml_text(std::string_view text) {
    return to_json(Value(std::string(text)));
}

void yaml_list(std::string& out, const char* key, const std::vector<std::string>& items) {
    if (items.empty()) return;
    out += fmt::format("{}:\n", key);
    std::set<std::string> seen;
    for (const std::string& item : items)
        if (seen.insert(item).second) out += fmt::format("- {}\n", yaml_text(item));
}

void yaml_licence(std::string& out, const Subject& s) {
    const LicenceSay& say = s.concluded.empty() ? s.declared : s.concluded;
    if (say.empty()) return;
    const licence::Known* known = licence::find_known(say.id);
    if (known != nullptr && !known->tags.empty()) {
        out += fmt::format("license: {}\n", yaml_text(known->tags.front()));
        return;
    }
    out += fmt::format("license: other\nlicense_name: {}\n", yaml_text(say.name.empty() ? say.id : say.name));
    if (!s.licence_files.empty()) out += fmt::format("license_link: {}\n", yaml_text(s.licence_files.front()));
}

std::string relation_tag(const std::string& relation) {
    if (relation == "quantised from") return "quantized";
    if (relation == "adapter of") return "adapter";
    if (relation == "merged from") return "merge";
    return relation == "fine-tuned from" ? "finetune" : "";
}

std::string front_matter(const Subject& s) {
    std::string out = "---\n";
    yaml_licence(out, s);
    yaml_list(out, "language", s.facts.languages.empty() ? s.card.all("language") : s.facts.languages);
    for (const char* key : {"library_name", "pipeline_tag"}) {
        std::string value = s.card.one(key);
        if (value.empty() && key == std::string_view("pipeline_tag")) value = s.task();
        if (!value.empty()) out += fmt::format("{}: {}\n", key, yaml_text(value));
    }
    std::vector<std::string> bases, sets, tags = s.card.all("tags");
    std::string relation;
    for (const lineage::Node* base : s.bases()) {
        if (base->name.empty()) continue;
        bases.push_back(base->name);
        if (relation.empty()) relation = relation_tag(base->relation);
    }
    yaml_list(out, "base_model", bases);
    if (!relation.empty()) out += fmt::format("base_model_relation: {}\n", relation);
    for (const Dataset& set : s.datasets)
        if (set.relation == "trained on") sets.push_back(set.name);
    yaml_list(out, "datasets", sets);
    if (s.record.container == "gguf") tags.emplace_back("gguf");
    tags.emplace_back("freehold-bundle");
    yaml_list(out, "tags", tags);
    if (!s.facts.results.empty()) {
        out += fmt::format("model-index:\n- name: {}\n  results:\n", yaml_text(s.name));
        for (const EvalResult& r : s.facts.results) {
            const std::string task = r.task.empty() ? s.task().empty() ? "other" : s.task() : r.task;
            const std::string set = r.dataset.empty() ? "not said" : r.dataset;
            out +=
                fmt::format("  - task:\n      type: {}\n    dataset:\n      type: {}\n      name: {}\n",
                            yaml_text(task), yaml_text(r.dataset_type.empty() ? set : r.dataset_type), yaml_text(set));
            if (!r.split.empty()) out += fmt::format("      split: {}\n", yaml_text(r.split));
            out += fmt::format("    metrics:\n    - type: {}\n      value: {}\n", yaml_text(r.metric),
                               to_json(Value(r.value)));
        }
    }
    return out + "---\n";
}

// A publisher's or a file's words where Markdown is read: no tag, link or cell of a table begins in them.
std::string plain(std::string_view text, std::size_t most = 400) {
    std::string out;
    for (const char c : printable(text, most)) {
        if (c == '<')
            out += "&lt;";
        else if (c == '>')
            out += "&gt;";
        else if (c == '&')
            out += "&amp;";
        else if (c == '|' || c == '[' || c == ']' || c == '`')
            out += std::string("\\") + c;
        else
            out += c;
    }
    return out;
}

class Prose {
 public:
    Prose(const Subject& subject, Gaps& gaps) : s_(subject), gaps_(gaps) { read_headings(); }

    std::string run() {
        out_ = fmt::format("# {}\n\n", plain(s_.name));
        const std::string text = s_.facts.text("description").empty() ? plain(s_.record.description, 4000)
                                                                      : valid_utf8(s_.facts.text("description"));
        if (!text.empty()) out_ += text + "\n\n";
        out_ += fmt::format(
            "This card was written by Freehold {} from the model's files, the store's record and what the packer "
            "stated. **Gap** marks what nobody stated{}.\n",
            s_.tool_version,
            s_.has_card ? fmt::format("; the publisher's own card is kept as it was in [{0}]({0})", kFirstCardFile)
                        : "");
        details();
        section("Uses", "uses", "what it is meant for", {"intended use", "uses", "usage", "use case"});
        section("Out of scope", "out_of_scope", "what it must not be used for",
                {"out of scope", "out-of-scope", "misuse"});
        section("Bias, risks and limitations", "limitations", "its known limits", {"limitation", "bias", "risk"});
        paragraph("bias");
        paragraph("recommendations");
        start();
        data();
        section("Training procedure", "training_procedure", "how it was trained",
                {"training procedure", "pre-training", "fine-tuning", "training details"});
        paragraph("preprocessing");
        paragraph("hyperparameters");
        evaluation();
        section("Environmental impact", "environment", "energy and emissions", {"environment", "emission", "carbon"});
        if (const std::string kwh = s_.facts.text("energy_kwh"); !kwh.empty())
            out_ += fmt::format("\nEnergy of the training: {} kWh.\n", kwh);
        section("Citation", "citation", "how to cite it", {"citation", "citing", "how to cite"});
        origin();
        files();
        return std::move(out_);
    }

 private:
    void gap(const char* what) {
        out_ += fmt::format("**Gap**: nobody stated {}.\n", what);
        gaps_.push_back({"model card", what});
    }

    void section(const char* title, const char* fact, const char* what, std::initializer_list<std::string_view> names) {
        out_ += fmt::format("\n## {}\n\n", title);
        if (const std::string text = s_.facts.text(fact); !text.empty())
            out_ += valid_utf8(text) + "\n";
        else if (const std::string there = heading_like(names); !there.empty())
            out_ += fmt::format("The packer stated nothing; the publisher's own card has \"{0}\": [{1}]({1}).\n",
                                plain(there), kFirstCardFile);
        else
            gap(what);
    }

    // The headings of the publisher's card: what it speaks of is no gap.
    void read_headings() {
        const auto card = std::ranges::find(s_.files, std::string(kFirstCardFile), &SubjectFile::path);
        if (card == s_.files.end() || card->size > (4U << 20U)) return;
        std::string text;
        try {
            text = read_text(card->at, 4U << 20U);
        } catch (const Error&) {
            return;  // told where the card is read for its front matter
        }
        bool code = false;
        for (std::size_t at = 0; at < text.size();) {
            const std::size_t end = std::min(text.find('\n', at), text.size());
            const std::string_view row = std::string_view(text).substr(at, end - at);
            at = end + 1;
            if (row.starts_with("```")) code = !code;
            const std::size_t words = row.find_first_not_of("# ");
            if (!code && row.starts_with('#') && words != std::string_view::npos && headings_.size() < 200)
                headings_.push_back(printable(row.substr(words), 80));
        }
    }

    [[nodiscard]] std::string heading_like(std::initializer_list<std::string_view> names) const {
        for (const std::string& heading : headings_) {
            std::string lower = heading;
            std::ranges::transform(lower, lower.begin(),
                                   [](char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c; });
            if (std::ranges::any_of(names, [&](std::string_view n) { return lower.find(n) != std::string::npos; }))
                return heading;
        }
        return {};
    }

    void paragraph(const char* fact) {
        if (const std::string text = s_.facts.text(fact); !text.empty()) out_ += "\n" + valid_utf8(text) + "\n";
    }

    void row(const char* name, const std::string& value) {
        if (value.empty()) return;
        out_ += fmt::format("| {} | {} |\n", name, plain(value));
    }

    static std::string words_of(const LicenceSay& say) {
        return say.empty() ? std::string() : fmt::format("{} ({})", say.name.empty() ? say.id : say.name, say.id);
    }

    void details() {
        out_ += "\n## Model details\n\n| | |\n|-|-|\n";
        row("Version", s_.version);
        row("Supplied by", s_.facts.text("supplier"));
        row("Contact", s_.facts.text("supplier_contact"));
        row("Authors", s_.facts.text("authors"));
        row("Released", s_.facts.text("release_date"));
        row("Architecture", s_.record.architecture.empty() ? s_.origin.architecture : s_.record.architecture);
        row("Parameters", s_.record.parameters == 0 ? "" : fmt::format("{}", s_.record.parameters));
        row("Weights are kept as", s_.record.quantisation);
        row("Context (tokens)", s_.record.context == 0 ? "" : fmt::format("{}", s_.record.context));
        row("Task", s_.task());
        row("Got from", s_.address());
        row("Licence as stated", s_.declared.empty() ? "" : words_of(s_.declared) + ", by " + s_.declared.where);
        row("Licence by its text", words_of(s_.concluded));
        row("Content", "sha256:" + s_.content);
        if (s_.facts.text("supplier").empty()) gap_row("who supplies the model");
        if (s_.declared.empty() && s_.concluded.empty()) gap_row("under which licence it may be used");
        if (s_.concluded.empty()) gap_row("a licence text that is exactly a known one");
    }

    void gap_row(const char* what) {
        out_ += fmt::format("| **Gap** | {} |\n", what);
        gaps_.push_back({"model card", what});
    }

    void start() {
        out_ += "\n## How to get started\n\n```\nfreehold verify . --key KEY.pub\n";
        const std::string task = s_.task();
        const bool encoder = task.find("similarity") != std::string::npos ||
                             task.find("feature") != std::string::npos || task.find("embed") != std::string::npos ||
                             s_.record.architecture.find("bert") != std::string::npos;
        out_ += encoder ? "freehold embed . \"Hello\"\n" : "freehold run . \"Hello\"\n";
        out_ +=
            "```\n\n"
            "Verify with a public key that you have from elsewhere than this folder.\n";
    }

    void data() {
        out_ += "\n## Training data\n\n";
        if (const std::string text = s_.facts.text("training_data"); !text.empty()) out_ += valid_utf8(text) + "\n\n";
        for (const Dataset& set : s_.datasets)
            out_ += fmt::format("- {} ({}; by {}): [{}{}.croissant.json]({}{}.croissant.json)\n", plain(set.name),
                                plain(set.relation), plain(set.evidence), kDataFolder, file_stem(set.name), kDataFolder,
                                file_stem(set.name));
        if (s_.datasets.empty() && s_.facts.text("training_data").empty()) gap("what it was trained on");
        out_ += fmt::format("\nThe summary in the shape of the EU's template: [{0}]({0}).\n", kSummaryFile);
    }

    void evaluation() {
        out_ += "\n## Evaluation\n\n";
        if (const std::string text = s_.facts.text("evaluation"); !text.empty()) out_ += valid_utf8(text) + "\n\n";
        if (s_.facts.results.empty()) {
            if (s_.facts.text("evaluation").empty()) gap("how well it does");
            return;
        }
        out_ += "| data | split | metric | value |\n|-|-|-|-|\n";
        for (const EvalResult& r : s_.facts.results)
            out_ += fmt::format("| {} | {} | {} | {} |\n", plain(r.dataset), plain(r.split), plain(r.metric),
                                to_json(Value(r.value)));
    }

    void origin() {
        out_ += "\n## Where it comes from\n\n```\n";
        for (const std::string& line : lineage::tree_lines(s_.origin)) out_ += line + "\n";
        out_ += fmt::format(
            "```\n\nA line with a question mark is something that is not known. The same for programs: "
            "[{0}]({0}), [{1}]({1}).\n",
            kLineageFile, kRecipeFile);
    }

    void files() {
        out_ += "\n## Files\n\n| file | for | SHA-256 |\n|-|-|-|\n";
        for (const SubjectFile& file : s_.files)
            out_ += fmt::format("| {} | {} | `{}` |\n", plain(file.path), plain(file.role), file.sha256);
        out_ += fmt::format("\nBills of materials: [{0}]({0}), [{1}]({1}).\n", kCycloneFile, kSpdxFile);
    }

    const Subject& s_;
    Gaps& gaps_;
    std::vector<std::string> headings_;
    std::string out_;
};

}  // namespace

std::string model_card(const Subject& subject, Gaps& gaps) {
    return front_matter(subject) + Prose(subject, gaps).run();
}

}  // namespace freehold::bundle
