// From artefacts: one complete folder; one component at a time removed, emptied, put under other terms; and the ways in
// which files pretend.
#include <gtest/gtest.h>

#include <algorithm>
#include <set>

#include "complete_folder.h"
#include "freehold/base/error.h"
#include "freehold/openness/report.h"

namespace freehold::openness {
namespace {

namespace fs = std::filesystem;
using C = Component;
using testing::Scratch;

Report look(const fs::path& at) {
    const Scratch home;
    const Store store = Store::open(home.path());
    return examine(find_target(store, at.string()));
}

std::string told(const Report& r) {
    std::string out = fmt::format("{}: {}\n", category_key(r.category), r.category_reason);
    for (const Part& p : r.parts)
        out += fmt::format("  {} {} [{}] {}\n", info(p.component).key, presence_key(p.presence), p.licence.id,
                           p.evidence.empty() ? "" : p.evidence[0].file + ": " + p.evidence[0].what);
    for (const ChecklistItem& i : r.checklist)
        out += fmt::format("  {} {} {}\n", i.key, status_key(i.status), i.missing);
    for (const ClaimCheck& c : r.claims)
        out += fmt::format("  {} {} {} {}\n", c.rule, verdict_key(c.verdict), c.words, c.message);
    return out;
}

const ClaimCheck* claim(const Report& r, std::string_view rule) {
    const auto at = std::ranges::find(r.claims, rule, &ClaimCheck::rule);
    return at == r.claims.end() ? nullptr : &*at;
}

class Complete : public ::testing::Test {
 protected:
    Complete() {
        write_complete(folder());
        before_ = look(folder());
    }
    [[nodiscard]] fs::path folder() const { return scratch_ / "model"; }
    [[nodiscard]] fs::path file(C c) const { return folder() / complete_files().at(c); }

    // The components whose presence, licence or files are others than in the complete folder. That config.json also
    // names an architecture is no file of that component.
    [[nodiscard]] std::set<C> changed(const Report& now) const {
        const auto own = [](const Part& p) {
            return std::ranges::count_if(p.evidence, [](const Evidence& e) { return e.presence != Presence::named; });
        };
        std::set<C> out;
        for (std::size_t i = 0; i < kComponents; ++i) {
            const Part &a = before_.parts[i], &b = now.parts[i];
            if (a.presence != b.presence || a.licence.id != b.licence.id || a.licence.open != b.licence.open ||
                own(a) != own(b))
                out.insert(a.component);
        }
        return out;
    }

    Scratch scratch_;
    Report before_;
};

// What follows when one component of the complete folder does not count any more.
int class_after(C c) {
    if (c == C::technical_report || !info(c).required) return 1;
    return info(c).mof_class == 3 ? 0 : info(c).mof_class + 1;
}
Category category_after(C c, bool gone) {
    switch (c) {
        case C::parameters_final:
            return gone ? Category::api_only : Category::restricted_weights;
        case C::architecture_code:
        case C::training_code:
        case C::inference_code:
            return Category::permissive_weights;
        case C::datasets:
        case C::data_code:
        case C::supporting_tools:
            return Category::open_tooling;
        default:
            return Category::open_source_ai;
    }
}

TEST_F(Complete, IsOpenInEveryPart) {
    for (const Part& p : before_.parts) {
        EXPECT_EQ(p.presence, Presence::here) << info(p.component).key << "\n" << told(before_);
        EXPECT_TRUE(p.licence.open) << info(p.component).key << " " << p.licence.id;
        EXPECT_EQ(p.licence.basis, PartLicence::Basis::text) << info(p.component).key;
        ASSERT_FALSE(p.evidence.empty());
        EXPECT_EQ(p.evidence[0].file, complete_files().at(p.component));
        EXPECT_EQ(p.evidence[0].digest.size(), 71U);
    }
    EXPECT_EQ(before_.mof.mof_class, 1) << told(before_);
    EXPECT_EQ(before_.category, Category::open_source_ai) << told(before_);
    for (const ClaimCheck& c : before_.claims)
        EXPECT_NE(c.verdict, ClaimCheck::Verdict::contradicted) << c.rule << c.message;
}

TEST_F(Complete, OneRemoved) {
    for (const auto& [c, name] : complete_files()) {
        const std::string kept = testing::read_file(file(c));
        fs::remove(file(c));
        const Report r = look(folder());
        EXPECT_EQ(changed(r), std::set<C>{c}) << name << "\n" << told(r);
        EXPECT_NE(r.part(c).presence, Presence::here) << name;
        EXPECT_EQ(r.mof.mof_class, class_after(c)) << name << "\n" << told(r);
        EXPECT_EQ(r.category, category_after(c, true)) << name << "\n" << told(r);
        testing::write_file(file(c), kept);
    }
}

TEST_F(Complete, OneEmptied) {
    for (const auto& [c, name] : complete_files()) {
        const std::string kept = testing::read_file(file(c));
        testing::write_file(file(c), "");
        const Report r = look(folder());
        EXPECT_EQ(changed(r), std::set<C>{c}) << name << "\n" << told(r);
        // config.json also names the architecture, model.py does not need it.
        EXPECT_EQ(r.part(c).presence, c == C::architecture_code ? Presence::named : Presence::hollow) << name << "\n"
                                                                                                      << told(r);
        const std::string emptied = complete_files().at(c);
        const bool said = std::ranges::any_of(
            r.part(c).evidence, [&](const Evidence& e) { return e.presence == Presence::hollow && e.file == emptied; });
        EXPECT_TRUE(said) << name << " is there by name; that it is empty must be told\n" << told(r);
        EXPECT_EQ(r.mof.mof_class, class_after(c)) << name;
        EXPECT_EQ(r.category, category_after(c, true)) << name << "\n" << told(r);
        testing::write_file(file(c), kept);
    }
}

TEST_F(Complete, OneUnderOtherTerms) {
    testing::write_file(folder() / "LICENSES/CC-BY-NC-4.0.txt", licence_file("CC-BY-NC-4.0"));
    for (const auto& [c, name] : complete_files()) {
        const fs::path beside = folder() / (name + ".license");
        testing::write_file(beside, "SPDX-License-Identifier: CC-BY-NC-4.0\n");
        const Report r = look(folder());
        EXPECT_EQ(changed(r), std::set<C>{c}) << name << "\n" << told(r);
        EXPECT_EQ(r.part(c).licence.id, "CC-BY-NC-4.0") << name;
        EXPECT_EQ(r.part(c).licence.basis, PartLicence::Basis::text) << name;
        EXPECT_EQ(r.mof.mof_class, class_after(c)) << name << "\n" << told(r);
        EXPECT_EQ(r.category, category_after(c, false)) << name << "\n" << told(r);
        fs::remove(beside);
    }
}

TEST_F(Complete, ALicenceForOnePartSaysNothingOfTheOthers) {
    fs::remove(folder() / "LICENSE-MODEL");
    Report r = look(folder());
    EXPECT_EQ(r.part(C::parameters_final).licence.basis, PartLicence::Basis::none) << told(r);
    EXPECT_TRUE(r.part(C::training_code).licence.open);
    EXPECT_EQ(r.category, Category::restricted_weights) << told(r);
    ASSERT_NE(claim(r, "weights-unlicensed"), nullptr) << told(r);
    // A tag is a claim: it names a category, but no class rests on it.
    testing::write_file(folder() / "README.md",
                        "---\nlicense: apache-2.0\n---\n" + testing::read_file(folder() / "README.md"));
    r = look(folder());
    EXPECT_EQ(r.part(C::parameters_final).licence.basis, PartLicence::Basis::claim);
    EXPECT_EQ(claim(r, "claim-contradicts-text"), nullptr) << told(r);
    ASSERT_NE(claim(r, "claim-without-text"), nullptr) << told(r);
    EXPECT_TRUE(r.by_claim);
    EXPECT_EQ(r.mof.mof_class, 0);
    EXPECT_EQ(r.mof_claimed.mof_class, 1) << told(r);
    EXPECT_EQ(r.checklist.back().status, Status::undecided);
}

TEST_F(Complete, AnAlteredLicenceIsNoOpenOne) {
    std::string text = licence_file("MIT");
    const std::size_t at = text.find("to use, copy, modify");
    ASSERT_NE(at, std::string::npos);
    text.replace(at, 6, "to use for research only");
    testing::write_file(folder() / "LICENSE-CODE", text);
    const Report r = look(folder());
    EXPECT_FALSE(r.part(C::training_code).licence.open) << told(r);
    EXPECT_EQ(r.category, Category::permissive_weights) << told(r);
}

TEST_F(Complete, PretendersAreTold) {
    struct Case {
        C component;
        std::string text, words;
    };
    const Case cases[] = {
        {C::training_code, "# TODO: the training code will be released soon\npass\n", "no code that does anything"},
        {C::training_code, "import sys\nprint('usage: see the paper')\nx = 1\ny = 2\nprint(x + y)\n",
         "no sign of an optimiser"},
        {C::parameters_final, "version https://git-lfs.github.com/spec/v1\noid sha256:1\nsize 99\n", "Git LFS"},
        {C::datasets, json_lines(3, "x"), "a sample"},
        {C::data_card, "Data card: coming soon.", "placeholder"},
        {C::technical_report, "The report will be added.", "words"},
        {C::evaluation_results, "{\"date\": 2026, \"seeds\": [1, 2]}", "no measure"},
        {C::supporting_tools, "# none yet\n", "names none"},
    };
    for (const Case& one : cases) {
        const std::string kept = testing::read_file(file(one.component));
        testing::write_file(file(one.component), one.text);
        const Report r = look(folder());
        EXPECT_EQ(r.part(one.component).presence, Presence::hollow) << one.text << told(r);
        ASSERT_FALSE(r.part(one.component).evidence.empty());
        EXPECT_NE(r.part(one.component).evidence[0].what.find(one.words), std::string::npos)
            << r.part(one.component).evidence[0].what;
        testing::write_file(file(one.component), kept);
    }
}

TEST_F(Complete, ClaimsAreHeldAgainstWhatIsThere) {
    const std::string card = testing::read_file(folder() / "README.md");
    const auto with = [&](const std::string& sentence) {
        testing::write_file(folder() / "README.md", card + "\n" + sentence + "\n");
        return look(folder());
    };
    const Report good = with("This is a fully open model.");
    ASSERT_NE(claim(good, "claims-fully-open"), nullptr) << told(good);
    EXPECT_EQ(claim(good, "claims-fully-open")->verdict, ClaimCheck::Verdict::met);
    EXPECT_EQ(claim(good, "claims-fully-open")->line, 9U);
    EXPECT_EQ(claim(good, "claims-fully-open")->digest.size(), 71U);
    fs::remove(folder() / "corpus/train.jsonl");
    EXPECT_EQ(claim(with("This is a fully open model."), "claims-fully-open")->verdict,
              ClaimCheck::Verdict::contradicted);
    EXPECT_EQ(claim(with("We release an open-source model."), "claims-open-source")->verdict,
              ClaimCheck::Verdict::unsupported);
    EXPECT_EQ(claim(with("Training data is open data."), "claims-open-data")->verdict,
              ClaimCheck::Verdict::contradicted);
    EXPECT_EQ(claim(with("The script is in this repository: `extra_train.py`."), "named-file-missing")->verdict,
              ClaimCheck::Verdict::contradicted);
    EXPECT_EQ(claim(with("It runs with open-source libraries."), "claims-open-source"), nullptr);
    EXPECT_EQ(claim(with("This model is not open source."), "claims-open-source"), nullptr);
    EXPECT_EQ(claim(with("See `train.py`."), "named-file-missing"), nullptr);
    const Report tuned = with(
        "We used the pretrained [base](https://huggingface.co/some/base-7b) and the data of "
        "https://huggingface.co/datasets/some/data.");
    ASSERT_EQ(tuned.bases.size(), 1U);
    EXPECT_EQ(tuned.bases[0].name, "some/base-7b");
    ASSERT_NE(claim(tuned, "base-not-here"), nullptr);
    testing::write_file(folder() / "LICENSE-MODEL", licence_file("Llama-3.1"));
    EXPECT_EQ(claim(with("We release an open-source model."), "claims-open-source")->verdict,
              ClaimCheck::Verdict::contradicted);
}

TEST_F(Complete, ShardsThatAreMissingLeaveTheWeightsIncomplete) {
    testing::write_file(
        folder() / "model.safetensors.index.json",
        R"({"weight_map": {"a": "model-00001-of-00002.safetensors", "b": "model-00002-of-00002.safetensors"}})");
    fs::rename(folder() / "model.safetensors", folder() / "model-00001-of-00002.safetensors");
    const Report r = look(folder());
    const auto& evidence = r.part(C::parameters_final).evidence;
    EXPECT_TRUE(std::ranges::any_of(evidence, [](const Evidence& e) {
        return e.what.find("1 of the 2 files") != std::string::npos;
    })) << told(r);
    EXPECT_EQ(r.part(C::parameters_final).presence, Presence::hollow) << told(r);
    EXPECT_EQ(r.category, Category::api_only);
}

TEST_F(Complete, NeedsAreAnswered) {
    const std::vector<std::string> needs = {"data-information", "training-code", "commercial", "mof-class-2",
                                            "open-source-ai"};
    const auto all = [&](const Report& r) {
        std::string out;
        for (const auto& j : judge(r, needs)) out += fmt::format("{} {};", j.need, licence::verdict_key(j.verdict));
        return out;
    };
    EXPECT_EQ(all(before_),
              "data-information yes;training-code yes;commercial yes;mof-class-2 yes;open-source-ai yes;");
    fs::remove(folder() / "corpus/train.jsonl");
    fs::remove(folder() / "train.py");
    EXPECT_EQ(all(look(folder())),
              "data-information ask counsel;training-code no;commercial yes;mof-class-2 no;open-source-ai no;");
    const std::vector<std::string> wrong = {"comercial"};
    EXPECT_THROW(static_cast<void>(judge(before_, wrong)), Error);
}

TEST_F(Complete, WordsOfPersonsAreShownAndNeverCounted) {
    fs::remove(folder() / "corpus/train.jsonl");
    const Scratch home;
    const Store store = Store::open(home.path());
    const Target target = find_target(store, folder().string());
    Attestation a;
    a.item = "data-described";
    a.answer = true;
    a.name = "Ada Weber";
    a.role = "maintainer";
    a.date = "2026-11-23T10:00:00Z";
    a.subject = target.subject.name;
    a.digest = examine(target).digest;
    keep(target.attestations, sign(a, home / "keys"));
    Report r = examine(target, own_public_key(home / "keys"));
    ASSERT_EQ(r.attestations.size(), 1U);
    EXPECT_EQ(r.attestations[0].state, Attestation::State::good);
    EXPECT_TRUE(r.attestations[0].own_key);
    EXPECT_EQ(r.checklist[0].status, Status::undecided);
    EXPECT_EQ(r.checklist[0].with_attestation, Status::met);
    EXPECT_EQ(r.category, Category::open_tooling) << told(r);
    EXPECT_EQ(r.category_attested, Category::open_source_ai);
    EXPECT_NE(r.checklist[0].attested.find("Ada Weber (maintainer)"), std::string::npos);

    // One letter changed: no word of hers any more.
    std::string text = testing::read_file(target.attestations);
    text.replace(text.find("Ada Weber"), 9, "Ida Weber");
    testing::write_file(target.attestations, text);
    r = examine(target);
    EXPECT_EQ(r.attestations.at(0).state, Attestation::State::forged);
    EXPECT_EQ(r.category_attested, Category::open_tooling);

    // Said of another version.
    fs::remove(target.attestations);
    keep(target.attestations, sign(a, home / "keys"));
    testing::write_file(folder() / "more.txt", "x");
    r = examine(find_target(store, folder().string()));
    EXPECT_EQ(r.attestations.at(0).state, Attestation::State::stale);
    EXPECT_EQ(r.category_attested, Category::open_tooling);

    // Her later word counts.
    fs::remove(folder() / "more.txt");
    a.answer = false;
    a.date = "2026-11-24T10:00:00Z";
    keep(target.attestations, sign(a, home / "keys"));
    r = examine(target);
    EXPECT_EQ(r.attestations.size(), 2U);
    EXPECT_EQ(r.checklist[0].with_attestation, Status::not_met);
}

TEST(OpennessOfAFile, AGgufNamesItsArchitectureAndItsLicence) {
    const Scratch scratch;
    testing::write_tiny_gguf(scratch / "m.gguf", 7, 256, "apache-2.0");
    Report r = look(scratch / "m.gguf");
    EXPECT_EQ(r.category, Category::permissive_weights) << told(r);
    EXPECT_TRUE(r.by_claim);
    EXPECT_EQ(r.part(C::architecture_code).presence, Presence::named);
    EXPECT_EQ(r.part(C::architecture_code).evidence.at(0).key, "general.architecture");
    EXPECT_EQ(r.mof.mof_class, 0);
    EXPECT_EQ(r.checklist[0].status, Status::not_met);
    testing::write_tiny_gguf(scratch / "g.gguf", 8, 256, "gemma");
    r = look(scratch / "g.gguf");
    EXPECT_EQ(r.category, Category::restricted_weights) << told(r);
    testing::write_file(scratch / "n.gguf", "GGUF nothing");
    r = look(scratch / "n.gguf");
    EXPECT_EQ(r.category, Category::api_only) << told(r);
    EXPECT_EQ(r.part(C::parameters_final).presence, Presence::hollow);
}

TEST(OpennessOfAStoredModel, KeepsAttestationsByVersionAndKnowsParents) {
    const Scratch scratch;
    Store store = Store::open(scratch / "home");
    testing::write_tiny_gguf(scratch / "a.gguf", 1);
    testing::write_tiny_gguf(scratch / "b.gguf", 2);
    ModelRecord record;
    record.container = "gguf";
    const StoredModel base =
        store.add(ModelName::parse("base"), {{"a.gguf", scratch / "a.gguf", "", NewFile::How::copy, false}}, record);
    record.parents = {base.digest};
    store.add(ModelName::parse("tuned"), {{"b.gguf", scratch / "b.gguf", "", NewFile::How::copy, false}}, record);
    const Target target = find_target(store, "tuned");
    const Report r = examine(target);
    ASSERT_EQ(r.bases.size(), 1U);
    EXPECT_TRUE(r.bases[0].here);
    EXPECT_EQ(r.bases[0].digest, base.digest);
    EXPECT_EQ(r.digest, target.digest);
    EXPECT_NE(target.attestations.string().find("attestations"), std::string::npos);
    EXPECT_THROW(static_cast<void>(find_target(store, "nobody")), Error);
}

TEST_F(Complete, ReportsAreWholeAndCarryNoForeignMarkup) {
    testing::write_file(folder() / "README.md", "---\nlicense: \"<script>alert(1)</script>\"\n---\n" +
                                                    testing::read_file(folder() / "README.md") +
                                                    "\nThis fully open <img src=x onerror=alert(2)> model & more.\n");
    const std::vector<Report> reports = {look(folder()), before_};
    const std::string page = report_html(reports, {}, "0.1.0", "2026-11-23");
    EXPECT_EQ(page.find("<script"), std::string::npos);
    EXPECT_EQ(page.find("<img"), std::string::npos);
    EXPECT_NE(page.find("&lt;script&gt;"), std::string::npos);
    const std::string clean = report_html(std::span(reports).last(1), {}, "0.1.0", "2026-11-23");
    for (const char* outside : {"src=", "href=", "url(", "@import"})
        EXPECT_EQ(clean.find(outside), std::string::npos) << outside;
    EXPECT_NE(page.find("This is not legal advice"), std::string::npos);
    const ValueMap sarif = report_sarif(reports, "0.1.0");
    EXPECT_EQ(sarif.find("version")->as_string().value_or(""), "2.1.0");
    const ValueMap json = report_json(reports[1], "0.1.0");
    EXPECT_EQ(find(json, "category.key")->as_string().value_or(""), "open-source-ai");
    EXPECT_EQ(json.find("components")->size(), kComponents);
}

}  // namespace
}  // namespace freehold::openness
