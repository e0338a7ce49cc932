// Code by what it does, not by what it is called: comments and texts are taken away, and each role needs several signs
// at once. A file whose name promises a role that its content does not play is told.
#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <optional>

#include "freehold/base/error.h"
#include "freehold/base/printable.h"
#include "look.h"

namespace freehold::openness {
namespace {

struct CodeLine {
    std::uint32_t number = 0;
    std::string text;  // lower case, without comments; quoted texts kept short
    std::size_t indent = 0;
};

struct Code {
    std::vector<CodeLine> lines;
    std::size_t statements = 0;  // lines that do something: no imports, no bare braces, no pass
    std::uint32_t stop = 0;      // the first line that ends the program before other lines of it; 0: none
};

bool does_nothing(std::string_view line) {
    constexpr auto kIdle =
        std::to_array<std::string_view>({"pass", "...", "{", "}", "};", ")", "else:", "return", "end"});
    if (std::ranges::find(kIdle, line) != kIdle.end()) return true;
    return line.starts_with("import ") || line.starts_with("from ") || line.starts_with("#include") ||
           line.starts_with("using ") || line.starts_with("raise notimplementederror");
}

constexpr auto kBlocks =
    std::to_array<std::pair<std::string_view, std::string_view>>({{"\"\"\"", "\"\"\""}, {"'''", "'''"}, {"/*", "*/"}});

// Takes comments and the texts between triple quotes away. `hash`: comments begin with '#', else with "//".
Code strip(std::string_view text, bool hash) {
    Code out;
    bool in_block = false;
    std::string_view closing;
    std::uint32_t number = 0;
    for (std::string_view row : lines_of(text)) {
        ++number;
        std::string kept;
        while (!row.empty()) {
            if (in_block) {
                const std::size_t end = row.find(closing);
                if (end == std::string_view::npos) break;
                row.remove_prefix(end + closing.size());
                in_block = false;
                continue;
            }
            const std::size_t comment = hash ? row.find('#') : row.find("//");
            std::size_t block = std::string_view::npos;
            std::string_view ending;
            for (const auto& mark : kBlocks) {
                if (hash == (mark.first == "/*")) continue;
                if (const std::size_t at = row.find(mark.first); at < block) {
                    block = at;
                    ending = mark.second;
                }
            }
            const std::size_t stop = std::min({comment, block, row.size()});
            kept += row.substr(0, stop);
            if (stop == row.size() || stop == comment) break;
            row.remove_prefix(stop + (ending == "*/" ? 2U : 3U));
            closing = ending;
            in_block = true;
        }
        std::string line = lower(trimmed(kept));
        if (line.empty()) continue;
        const std::size_t indent = std::min(kept.find_first_not_of(" \t"), kept.size());
        out.lines.push_back({number, std::move(line), indent});
    }
    return out;
}

bool leaves(std::string_view line) {
    constexpr auto kJumps = std::to_array<std::string_view>(
        {"raise ", "raise(", "return", "sys.exit(", "exit(", "quit(", "os._exit(", "os.abort(", "assert false"});
    return line == "raise" || std::ranges::any_of(kJumps, [&](std::string_view j) { return line.starts_with(j); });
}

int depth_of(std::string_view line) {
    int depth = 0;
    for (const char c : line) {
        if (c == '(' || c == '[' || c == '{') ++depth;
        if (c == ')' || c == ']' || c == '}') --depth;
    }
    return depth;
}

// Takes away what Python never reaches: what follows a jump in its block, and blocks under `if False:`.
void drop_unreached(Code& code) {
    std::vector<CodeLine> kept;
    constexpr auto kAlive = static_cast<std::size_t>(-1);
    std::size_t dead = kAlive;  // lines with this indent or more are not reached
    int open = 0;               // brackets of a statement that goes on
    bool jumped = false;
    for (CodeLine& l : code.lines) {
        if (open > 0) {  // the rest of a statement belongs to it
            open = std::max(0, open + depth_of(l.text));
            if (dead == kAlive || jumped) kept.push_back(std::move(l));
            if (open == 0) jumped = false;
            continue;
        }
        if (l.indent < dead) dead = kAlive;
        open = std::max(0, depth_of(l.text));
        if (dead != kAlive) continue;
        const bool never =
            l.text == "if false:" || l.text == "if 0:" || l.text == "while false:" || l.text == "while 0:";
        if (never) dead = l.indent + 1;
        if (leaves(l.text)) {
            dead = l.indent;
            jumped = open > 0;
            if (code.stop == 0 && !l.text.starts_with("return")) code.stop = l.number;
        }
        kept.push_back(std::move(l));
    }
    if (kept.size() == code.lines.size()) code.stop = 0;
    code.lines = std::move(kept);
}

void count_statements(Code& code) {
    code.statements = static_cast<std::size_t>(
        std::ranges::count_if(code.lines, [](const CodeLine& l) { return !does_nothing(l.text); }));
}

// The code cells of a notebook, one line each; their numbers are those within the code.
std::string notebook_code(const File& f) {
    std::string out;
    try {
        const Value root = parse_json(f.text, f.name);
        const auto* map = root.get<ValueMap>();
        const Value* cells = map != nullptr ? map->find("cells") : nullptr;
        for (std::size_t i = 0; cells != nullptr && i < cells->size(); ++i) {
            const Value cell = cells->at(i);
            const auto* entry = cell.get<ValueMap>();
            const Value* kind = entry != nullptr ? entry->find("cell_type") : nullptr;
            if (kind == nullptr || kind->as_string().value_or("") != "code") continue;
            const Value* source = entry->find("source");
            for (std::size_t k = 0; source != nullptr && k < source->size(); ++k) {
                const Value line = source->at(k);
                out += line.as_string().value_or("");
                if (!out.ends_with('\n')) out += '\n';
            }
        }
    } catch (const Error&) {
        return {};
    }
    return out;
}

// The first line in which one of "a|b|c" stands; 0: none.
std::uint32_t first(const Code& code, std::string_view any) {
    for (const CodeLine& l : code.lines) {
        std::string_view rest = any;
        while (true) {
            const std::size_t bar = rest.find('|');
            if (l.text.find(rest.substr(0, bar)) != std::string::npos) return l.number;
            if (bar == std::string_view::npos) break;
            rest.remove_prefix(bar + 1);
        }
    }
    return 0;
}

struct Sign {
    const char* name;
    std::string_view any;
};
struct Role {
    Component component;
    std::string_view names;  // words of a file name that promise it
    std::array<Sign, 3> signs;
};

constexpr auto kRoles = std::to_array<Role>({
    {Component::training_code,
     "train|training|trainer|pretrain|pretraining|finetune|finetuning|sft|dpo",
     {{{"an optimiser", "optim.|optimizer|optimiser|adamw|optax|sgd(|lion("},
       {"a training step",
        ".backward(|value_and_grad|gradienttape|optimizer.step|.step()|train_step|trainer.train(|.fit(|backward("},
       {"the data that it reads", "dataloader|load_dataset|train_dataset|train_data|get_batch|data_loader|dataset"}}}},
    {Component::evaluation_code,
     "eval|evaluate|evaluation|benchmark|score|metrics",
     {{{"a measure",
        "accuracy|perplexity|f1_score|f1 |bleu|rouge|exact_match|lm_eval|evaluate.load|compute_metrics|metric|pass_at"},
       {"what it is measured on", "test|eval|benchmark|validation|heldout|task"},
       {"a sum over it", "mean(|sum(|len(|+=|average|simple_evaluate|.compute(|total"}}}},
    {Component::inference_code,
     "infer|inference|generate|generation|chat|sample|predict|serve|demo",
     {{{"loading the weights",
        "from_pretrained|load_state_dict|load_model|torch.load|load_file|safe_open|inferencesession|load_weights|"
        "load_checkpoint|mmap"},
       {"a forward pass", ".generate(|model(|forward(|.run(|pipeline(|.encode(|predict("},
       {"an answer", "decode(|argmax|multinomial|softmax|print(|.generate(|return|yield|cout"}}}},
    {Component::data_code,
     "prepare|preprocess|preprocessing|process|clean|filter|dedup|deduplicate|data",
     {{{"reading data", "open(|load_dataset|read_parquet|read_csv|jsonlines|json.loads|warc|glob(|read_text|getline"},
       {"choosing or changing it",
        "dedup|filter|minhash|langid|normalize|clean|re.sub|quality|bloom|.strip(|sha256|.map(|tokenize"},
       {"writing data", "write(|to_parquet|json.dump|to_json|save_to_disk|.tofile|memmap|writelines|print("}}}},
});

constexpr Role kArchitecture = {
    Component::architecture_code,
    "model|modeling|modelling|architecture|network|transformer",
    {{{"a network class",
       "nn.module)|keras.model)|linen.module)|eqx.module)|hk.module)|keras.layers.layer)|struct model|class model|"
       "pretrainedmodel)"},
      {"its forward pass", "def forward(|def __call__(|def call(|forward("},
      {"layers", "linear|attention|embedding|conv|matmul|einsum|norm|dense|dot("}}}};
constexpr std::string_view kTokenizerTraining =
    "train_new_from_iterator|bpetrainer|sentencepiecetrainer|unigramtrainer|wordpiecetrainer|spm_train|optuna|ray.tune";

struct Seen {
    std::array<std::uint32_t, 3> at = {};
    [[nodiscard]] bool all() const {
        return std::ranges::all_of(at, [](std::uint32_t l) { return l > 0; });
    }
};

Seen see(const Code& code, const Role& role) {
    Seen out;
    for (std::size_t i = 0; i < role.signs.size(); ++i) out.at[i] = first(code, role.signs[i].any);
    return out;
}

std::string told(const Role& role, const Seen& seen) {
    return fmt::format("{} (line {}), {} (line {}), {} (line {})", role.signs[0].name, seen.at[0], role.signs[1].name,
                       seen.at[1], role.signs[2].name, seen.at[2]);
}

void tell_hollow(const File& f, const Code& code, const Role& role, const Seen& seen, Findings& out) {
    std::string why;
    if (f.size == 0) {
        why = "the file is empty";
    } else if (f.pointer) {
        why = "it is a pointer to a file that lies elsewhere";
    } else if (code.statements < 3 && code.stop == 0) {
        why = "it holds no code that does anything";
    } else {
        for (std::size_t i = 0; i < 3; ++i)
            if (seen.at[i] == 0) why += fmt::format("{}{}", why.empty() ? "no sign of " : " and ", role.signs[i].name);
        if (code.stop > 0 && f.ext == ".py") {
            const auto lines = lines_of(f.text);
            why += fmt::format("{}line {} ends it before that: \"{}\"", why.empty() ? "" : ", and ", code.stop,
                               printable(trimmed(lines[code.stop - 1]), 120));
        }
    }
    out.add(role.component, f, Presence::hollow, Sureness::certain,
            fmt::format("by its name {}, but {}", lower(info(role.component).title), why));
}

void look_at(const File& f, Findings& out) {
    const bool notebook = f.ext == ".ipynb";
    const bool hash = notebook || f.ext == ".py" || f.ext == ".sh" || f.ext == ".jl" || f.ext == ".r";
    const std::string cells = notebook ? notebook_code(f) : std::string();
    const std::string_view text = notebook ? std::string_view(cells) : std::string_view(f.text);
    Code code = strip(text, hash);
    if (notebook || f.ext == ".py") drop_unreached(code);
    count_statements(code);

    const Role* played = nullptr;
    if (code.statements >= 3) {
        for (const Role& role : kRoles) {
            const Seen seen = see(code, role);
            if (!seen.all()) continue;
            // Signs of evaluation and inference overlap; a name that says which it is decides between them.
            if (role.component == Component::evaluation_code && f.base_has(kRoles[2].names) &&
                !f.base_has(role.names) && see(code, kRoles[2]).all())
                continue;
            // Nearly every program reads, changes and writes; without a name of that kind it is no data processing.
            if (role.component == Component::data_code && !f.has(role.names)) continue;
            played = &role;
            const bool agrees = f.base_has(role.names);
            out.add(role.component, f, Presence::here, agrees ? Sureness::certain : Sureness::likely, told(role, seen),
                    seen.at[0]);
            break;
        }
    }
    const Seen network = see(code, kArchitecture);
    const bool builds = network.all() && code.statements >= 3;
    if (builds)
        out.add(kArchitecture.component, f, Presence::here,
                f.base_has(kArchitecture.names) ? Sureness::certain : Sureness::likely, told(kArchitecture, network),
                network.at[0]);
    const std::uint32_t tools = first(code, kTokenizerTraining);
    if (tools > 0)
        out.add(Component::supporting_tools, f, Presence::here, Sureness::likely,
                "trains a tokenizer or searches settings", tools);
    if (played != nullptr || builds || tools > 0) return;
    for (const Role& role : kRoles) {
        if (role.component == Component::data_code && f.base_has("data")) continue;  // too common a word
        if (!f.base_has(role.names)) continue;
        tell_hollow(f, code, role, see(code, role), out);
        return;
    }
    if (f.base_has(kArchitecture.names)) tell_hollow(f, code, kArchitecture, network, out);
}

// Lists of what must be installed.
void look_at_dependencies(const File& f, Findings& out) {
    std::size_t names = 0;
    std::uint32_t line = 0, at = 0;
    const bool plain = f.base.starts_with("requirements") && f.ext == ".txt";
    bool inside = plain;
    for (const std::string_view row : lines_of(f.text)) {
        ++line;
        const std::string_view content = trimmed(row);
        if (content.empty() || content.starts_with('#') || content.starts_with("//")) continue;
        if (!plain && content.find("dependencies") != std::string_view::npos) inside = true;
        if (f.base == "setup.py" && content.find("install_requires") != std::string_view::npos) inside = true;
        if (f.base == "cmakelists.txt") inside = content.starts_with("find_package(");
        if (f.base == "dockerfile") inside = content.starts_with("RUN ") || content.starts_with("FROM ");
        if (!inside) continue;
        if (at == 0) at = line;
        ++names;
    }
    if (names > 0)
        out.add(Component::supporting_tools, f, Presence::here, Sureness::certain,
                fmt::format("names what must be installed ({} {})", names, names == 1 ? "line" : "lines"), at);
    else
        out.add(Component::supporting_tools, f, Presence::hollow, Sureness::certain,
                "by its name a list of libraries, but it names none");
}

bool is_dependency_list(const File& f) {
    constexpr auto kNames =
        std::to_array<std::string_view>({"pyproject.toml", "environment.yml", "environment.yaml", "setup.py",
                                         "setup.cfg", "package.json", "cargo.toml", "dockerfile", "cmakelists.txt"});
    return (f.base.starts_with("requirements") && f.ext == ".txt") ||
           std::ranges::find(kNames, std::string_view(f.base)) != kNames.end();
}

}  // namespace

void find_code(const std::vector<File>& files, Findings& out) {
    constexpr auto kEndings = std::to_array<std::string_view>(
        {".py", ".ipynb", ".c", ".cc", ".cpp", ".cu", ".rs", ".js", ".ts", ".jl", ".lua", ".r", ".sh"});
    for (const File& f : files) {
        if (is_dependency_list(f)) {
            look_at_dependencies(f, out);
            continue;
        }
        if (std::ranges::find(kEndings, std::string_view(f.ext)) == kEndings.end()) continue;
        if (!f.is_text && f.size > 0) continue;
        look_at(f, out);
    }
}

}  // namespace freehold::openness
