// Cards and metadata that say other terms than the licence text beside them are never an unqualified yes, and ordinary
// cards stay one.
#include <fmt/format.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <algorithm>
#include <filesystem>

#include "freehold/base/file.h"
#include "freehold/licence/review.h"

namespace freehold::licence {
namespace {

namespace fs = std::filesystem;

std::string text_of(std::string_view id) {
    return read_text(fs::path(FREEHOLD_SOURCE_DIR) / "src/share/licence/texts" / fmt::format("{}.txt", id));
}

class CardWords : public ::testing::Test {
 protected:
    void SetUp() override {
        folder_ = fs::temp_directory_path() / fmt::format("freehold-card-words-{}", ::getpid());
        fs::create_directories(folder_);
        put("LICENSE", text_of("Apache-2.0"));
    }
    void TearDown() override { fs::remove_all(folder_); }

    void put(const std::string& name, std::string_view text) const {
        fs::create_directories((folder_ / name).parent_path());
        write_text_atomic(folder_ / name, text);
    }
    [[nodiscard]] Review look() const { return review(subject_of_path(folder_)); }
    [[nodiscard]] Review card(const std::string& words) const {
        put("README.md", "---\nlicense: apache-2.0\n---\n# Small\n\n" + words + "\n");
        return look();
    }
    static Verdict need(const Review& r, const std::string& name) {
        const std::vector<std::string> needs = {name};
        return judge(r, needs).at(0).verdict;
    }
    static std::string told(const Review& r) {
        std::string out;
        for (const Finding& f : r.findings) out += fmt::format("{} {} [{}]\n", f.key, f.message, f.where);
        for (const Claim& c : r.claims) out += fmt::format("claim {} \"{}\"\n", c.where, c.value);
        return out;
    }
    // What a safetensors file of nothing but metadata says.
    void put_metadata(const std::string& json) const {
        std::string file(8, '\0');
        file[0] = static_cast<char>(json.size());
        put("model.safetensors", file + json);
    }

    fs::path folder_;
};

TEST_F(CardWords, LicencesNamedOfTheWeightsAreToldWithTheirSentence) {
    struct Case {
        const char* words;
        const char* quote;
    };
    for (const Case& one :
         {Case{"The code is Apache-2.0. The model weights are CC-BY-NC 4.0.", "The model weights are CC-BY-NC 4.0"},
          Case{"## License\n\nWeights: CC BY-NC-SA 4.0", "Weights: CC BY-NC-SA 4.0"},
          Case{"## License\n\nWeights: CC-BY-NC", "Weights: CC-BY-NC"},
          Case{"## Weights (CC BY-NC 4.0)\n\nThey are 12 GB.", "Weights (CC BY-NC 4.0"},
          Case{"| Field | Value |\n|-|-|\n| License | CC-BY-NC-4.0 (weights) |", "CC-BY-NC-4.0"},
          Case{"| Part | License |\n|-|-|\n| Code | MIT |\n| Weights | CC-BY-NC-4.0 |", "Weights | CC-BY-NC-4.0"},
          Case{"MIT for the code, CC BY-NC 4.0 for the weights.", "CC BY-NC 4.0 for the weights"},
          Case{"![License](https://img.shields.io/badge/License-CC%20BY--NC%204.0-red.svg)", "CC BY-NC 4.0"},
          Case{"The weights are released under [these terms](https://creativecommons.org/licenses/by-nc/4.0/).",
               "released under"}}) {
        const Review r = card(one.words);
        EXPECT_EQ(need(r, "commercial"), Verdict::no) << one.words << "\n" << told(r);
        EXPECT_NE(told(r).find(one.quote), std::string::npos) << one.words << "\n" << told(r);
        EXPECT_NE(told(r).find("[README.md:"), std::string::npos) << told(r);
    }
    for (const char* words :
         {"The model inherits the Llama 3.1 Community License.", "This model is subject to the Gemma Terms of Use.",
          "License: Llama 3.1 license", "The checkpoint follows the CreativeML Open RAIL-M license."})
        EXPECT_EQ(need(card(words), "modify"), Verdict::ask) << words << "\n" << told(look());
}

TEST_F(CardWords, LimitsInSentencesAreQuoted) {
    for (const char* words :
         {"Commercial usage is prohibited.", "Use is limited to academic institutions.",
          "For commercial use, contact sales@acme.example for a paid licence.",
          "Please do not deploy this model in any product that earns money.",
          "Companies with more than 100 employees need a separate agreement.", "It is intended for research use only.",
          "The weights may be used for research only.", "本模型仅供学术研究使用，禁止商用。"}) {
        const Review r = card(words);
        EXPECT_EQ(need(r, "commercial"), Verdict::ask) << words << "\n" << told(r);
        EXPECT_NE(told(r).find("card-speaks-otherwise"), std::string::npos) << words;
        EXPECT_NE(told(r).find("[README.md:6]"), std::string::npos) << told(r);
    }
}

TEST_F(CardWords, OrdinaryCardsStayAYes) {
    for (const char* words :
         {"The code is under MIT, the weights under Apache-2.0.",
          "The model weights are released under the Apache 2.0 license and the dataset is CC-BY-NC 4.0.",
          "A fine model for commercial use. Not trained for research only.",
          "It may be used for commercial and non-commercial purposes.",
          "It permits commercial use without restriction.",
          "## License\n\nThis model is released under the [Apache 2.0 license](https://www.apache.org/licenses/"
          "LICENSE-2.0).",
          "## Training data\n\nThe corpus is licensed under CC BY-NC 4.0.",
          "It was trained on images under CC BY-NC 4.0.", "It uses the architecture of Llama 2 and was trained anew.",
          "The architecture is based on that of Llama 2.",
          "| Model | License | Score |\n|-|-|-|\n| Llama-2-7B | llama2 | 1 |\n| Small | apache-2.0 | 2 |",
          "<!-- Say here that it is for research use only, or CC BY-NC 4.0. -->\n\nNothing more is said.",
          "The licence was ~~CC BY-NC 4.0~~ and is Apache 2.0 now.", "It is not licensed under CC BY-NC 4.0.",
          "Unlike models under the Llama 3.1 Community License, it is free.",
          "This model card is licensed under CC BY-NC 4.0.", "Based on OpenLLaMA: a copy of open_llama_7b.",
          "[![License](https://img.shields.io/badge/License-Apache%202.0-blue.svg)](LICENSE)"}) {
        const Review r = card(words);
        for (const char* asked : {"commercial", "modify", "redistribute"})
            EXPECT_EQ(need(r, asked), Verdict::yes) << asked << ": " << words << "\n" << told(r);
    }
}

TEST_F(CardWords, FrontMatterThatSaysOtherwise) {
    struct Case {
        const char* front;
        Verdict commercial;
    };
    for (const Case& one :
         {Case{"license: apache-2.0\nextra_gated_prompt: \"You agree to use it for non-commercial purposes only.\"",
               Verdict::ask},
          Case{"license: apache-2.0\nextra_gated_prompt: >-\n  By asking for it you accept\n  the policy of Acme.",
               Verdict::ask},
          Case{"license: apache-2.0\nextra_gated_fields:\n  I agree to use this model for research ONLY: checkbox",
               Verdict::ask},
          Case{"license: other\nlicense_name: acme-research", Verdict::ask}, Case{"license: other", Verdict::ask},
          Case{"license: apache-2.0\nlicense_link: https://acme.example/noncommercial-license", Verdict::ask},
          Case{"license: apache-2.0\nlicense_link: https://creativecommons.org/licenses/by-nc/4.0/", Verdict::no},
          Case{"license: apache-2.0\nlicense_link: TERMS.md", Verdict::ask}, Case{"license: CC BY-NC 4.0", Verdict::no},
          Case{"License: cc-by-nc-4.0", Verdict::no}, Case{"license: &l cc-by-nc-4.0  # the weights", Verdict::no},
          Case{"license: apache-2.0\nbase_model: huggyllama/llama-7b", Verdict::ask},
          // As everybody writes them.
          Case{"license: apache-2.0\nlicense_link: LICENSE", Verdict::yes},
          Case{"license: apache-2.0\nlicense_link: https://huggingface.co/acme/small/blob/main/LICENSE", Verdict::yes},
          Case{"license: apache-2.0\nlicense_link: https://www.apache.org/licenses/LICENSE-2.0", Verdict::yes},
          Case{"license: other\nlicense_name: apache-2.0", Verdict::yes},
          Case{"license: apache-2.0\nextra_gated_prompt: Tell us who you are.\nextra_gated_fields:\n  Company: text",
               Verdict::yes},
          Case{"license: Apache License 2.0", Verdict::yes}}) {
        put("README.md", fmt::format("---\n{}\n---\n# Small\n", one.front));
        const Review r = look();
        EXPECT_EQ(need(r, "commercial"), one.commercial) << one.front << "\n" << told(r);
    }
    put("README.md", "\xef\xbb\xbf---\nlicense: cc-by-nc-4.0\n---\n");
    EXPECT_EQ(need(look(), "commercial"), Verdict::no) << "after a byte order mark";
}

TEST_F(CardWords, BasesInWordsAndArchitectures) {
    for (const char* words :
         {"It was initialised from Llama-2-7b weights.", "We continued pretraining from the CodeLlama checkpoint.",
          "This model is a distillation of meta-llama/Llama-3.3-70B-Instruct.",
          "A LoRA adapter for meta-llama/Llama-2-7b-hf.", "Starting from Gemma 7B, we trained for a day."}) {
        const Review r = card(words);
        EXPECT_NE(told(r).find("base-terms-missing"), std::string::npos) << words << "\n" << told(r);
        EXPECT_EQ(need(r, "commercial"), Verdict::ask) << words;
    }
    put("README.md", "---\nlicense: apache-2.0\n---\n# Small\n");
    EXPECT_EQ(need(look(), "commercial"), Verdict::yes);
    put("config.json", R"({"model_type": "gemma2"})");
    EXPECT_EQ(need(look(), "commercial"), Verdict::ask) << told(look());
    put("config.json", R"({"model_type": "llama"})");
    EXPECT_EQ(need(look(), "commercial"), Verdict::yes) << told(look());
}

TEST_F(CardWords, MetadataOfTheWeights) {
    for (const char* key : {"modelspec.license", "licence"}) {
        put_metadata(fmt::format(R"({{"__metadata__":{{"{}":"CC BY-NC 4.0"}}}})", key));
        EXPECT_EQ(need(look(), "commercial"), Verdict::no) << key << told(look());
    }
    put_metadata(R"({"__metadata__":{"modelspec.license":"CreativeML Open RAIL-M"}})");
    EXPECT_EQ(need(look(), "commercial"), Verdict::ask) << told(look());
    put_metadata(R"({"__metadata__":{"modelspec.license":"Apache-2.0"}})");
    EXPECT_EQ(need(look(), "commercial"), Verdict::yes) << told(look());
}

TEST_F(CardWords, OtherNamesOfFilesThatSpeakOfTerms) {
    constexpr std::string_view kWords = "Commercial use of the weights requires our written permission.\n";
    for (const char* name : {"LICENSE.json", "LICENSE.yaml", "legal.txt", "LEGAL.md", "AUP.txt", "POLICY.md",
                             "COPYRIGHT", "USAGE.md", "MODEL_CARD.md", "README.txt", "README.rst", "NOTICE"}) {
        put("README.md", "---\nlicense: apache-2.0\n---\n# Small\n");
        put(name, kWords);
        const Review r = look();
        EXPECT_EQ(need(r, "commercial"), Verdict::ask) << name << "\n" << told(r);
        EXPECT_NE(told(r).find(name), std::string::npos) << told(r);
        fs::remove(folder_ / name);
    }
    for (const auto& [name, words] : {std::pair{"COPYRIGHT", "Copyright 2025 Acme. All rights reserved.\n"},
                                      std::pair{"USAGE.md", "# Usage\n\nRun `small` with a file.\n"},
                                      std::pair{"README.txt", "A small model. See README.md.\n"},
                                      std::pair{"package.json", "{\"license\": \"see LICENSE\"}\n"},
                                      std::pair{"SECURITY_POLICY.md", "Write to us.\n"}}) {
        put(name, words);
        EXPECT_EQ(need(look(), "commercial"), Verdict::yes) << name << "\n" << told(look());
        fs::remove(folder_ / name);
    }
}

TEST(TermsInWords, SayWhatTheyAreAbout) {
    const auto about = [](std::string_view text) {
        const std::vector<Said> said = terms_in_words(text);
        return said.size() == 1 ? said[0].about : About::other;
    };
    EXPECT_EQ(about("The model is licensed under CC BY-NC 4.0."), About::model);
    EXPECT_EQ(about("The training data is licensed under CC BY-NC 4.0."), About::data);
    EXPECT_EQ(about("The model was trained on data licensed under CC BY-NC 4.0."), About::data);
    EXPECT_EQ(about("The data and the weights are under CC BY-NC 4.0."), About::model);
    EXPECT_EQ(about("The weights and the code are under CC BY-NC 4.0."), About::model);
    EXPECT_EQ(about("The code of the model is licensed under CC BY-NC 4.0."), About::code);
}

}  // namespace
}  // namespace freehold::licence
