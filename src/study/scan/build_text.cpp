// Configurations of programs and of builds: YAML, lists of packages, and files whose lines are commands of a shell.
#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cctype>

#include "freehold/base/printable.h"
#include "readers.h"

namespace freehold::scan {
namespace {

bool begins_with_one(std::string_view text, std::initializer_list<std::string_view> all) {
    return std::ranges::any_of(
        all, [&](std::string_view one) { return text == one || (text.starts_with(one) && text[one.size()] == '.'); });
}

bool is_one_of(std::string_view text, std::initializer_list<std::string_view> all) {
    return std::ranges::find(all, text) != all.end();
}

// "!!javax.script.ScriptEngineManager", "!ruby/object:Gem::Installer": loaders of Java and Ruby make what is named.
// Tags of YAML itself have no dot.
void find_class_tags(Context& context, const Content& content, std::string_view text) {
    const auto told = [&](std::size_t at, std::string_view tag) {
        context.find("code.exec", content, at_line(line_of(text, at)),
                     fmt::format("The tag {} makes a loader call what it names.", printable(tag, 80)));
    };
    if (const std::size_t at = text.find("!ruby/"); at != std::string_view::npos)
        told(at, text.substr(at, text.find_first_of(" \n[{", at) - at));
    for (const std::string_view mark : {"!!", "tag:yaml.org,2002:"}) {
        for (std::size_t at = text.find(mark); at != std::string_view::npos; at = text.find(mark, at + mark.size())) {
            std::size_t end = at + mark.size();
            bool dotted = false;
            while (end < text.size() && (std::isalnum(static_cast<unsigned char>(text[end])) != 0 || text[end] == '_' ||
                                         text[end] == '$' || text[end] == '.')) {
                dotted = dotted || (text[end] == '.' && end > at + mark.size());
                ++end;
            }
            const bool begins =
                at == 0 || is_one_of(text.substr(at - 1, 1), {" ", "\n", "\t", "<", "[", "{", ",", ":", "-"});
            if (!dotted || !begins || end == text.size() || text[end - 1] == '.') continue;
            return told(at, text.substr(at, end - at));
        }
    }
}

// Where packages usually come from.
bool is_usual_host(std::string_view host) {
    static constexpr std::array<std::string_view, 9> kHosts = {
        "pypi.org",        "pypi.python.org", "test.pypi.org", "files.pythonhosted.org", "download.pytorch.org",
        "pypi.nvidia.com", "data.pyg.org",    "flashinfer.ai", "storage.googleapis.com"};
    return std::ranges::find(kHosts, host) != kHosts.end();
}
bool is_usual_forge(std::string_view host) {
    return is_one_of(host, {"github.com", "gitlab.com", "huggingface.co", "codeload.github.com"});
}

// The option of an index, whose leading dashes are gone ("--index-url X", "index-url = X", "url = X" in a Pipfile).
bool begins_with_index(std::string_view line, std::string_view leaf) {
    for (const std::string_view option : {"index-url", "extra-index-url", "find-links", "index_url", "extra_index_url",
                                          "find_links", "i http", "f http"})
        if (line.starts_with(option)) return true;
    return line.starts_with("url =") && is_one_of(leaf, {"Pipfile", "uv.toml"});
}

// An address in a line of requirements: of an index, or of a package itself.
void package_address(Context& context, const Content& content, std::uint64_t line, std::string_view text, bool index) {
    const std::size_t scheme = text.find("://");
    if (scheme == std::string_view::npos) return;
    std::string_view host = text.substr(scheme + 3, text.find_first_of("/ \"'#;", scheme + 3) - scheme - 3);
    host.remove_prefix(host.rfind('@') == std::string_view::npos ? 0 : host.rfind('@') + 1);
    host = host.substr(0, host.find(':'));
    const std::size_t begin = text.substr(0, scheme).find_last_of(" \t=\"'") + 1;
    const std::string_view way = text.substr(begin, scheme - begin);
    const bool open = way == "http" || way == "git+http" || way == "git" || way == "git+git";
    if (is_usual_host(host) && !open) return;
    const std::string shown = printable(text.substr(begin, text.find_first_of(" \t\"'", scheme) - begin), 120);
    const Severity severity = is_usual_forge(host) && !open && !index ? Severity::low : Severity::medium;
    context.find("packages.elsewhere", severity, content, at_line(line),
                 index ? fmt::format("It takes packages from the index {}.", shown)
                       : fmt::format("It installs a package from {}.", shown));
}

}  // namespace

void scan_yaml(Context& context, const Content& content) {
    const std::string_view text = text_of(content.bytes);
    find_class_tags(context, content, text);
    scan_shell_text(context, content, text);  // commands of workflows and services
    for (const std::string_view tag :
         {"!!python/object", "!!python/name", "!!python/module", "tag:yaml.org,2002:python/"})
        if (const auto at = text.find(tag); at != std::string_view::npos)
            context.find("code.exec", content, at_line(line_of(text, at)),
                         fmt::format("The tag {} makes a loader call what it names.", tag));
    for (std::size_t at = text.find("_target_:"); at != std::string_view::npos; at = text.find("_target_:", at + 1)) {
        const std::size_t end = std::min(text.find('\n', at), text.size());
        std::string_view name = text.substr(at + 9, end - at - 9);
        while (!name.empty() && (name.front() == ' ' || name.front() == '"' || name.front() == '\''))
            name.remove_prefix(1);
        const bool bad = begins_with_one(name.substr(0, name.find_first_of(" \"'\r")),
                                         {"os", "posix", "subprocess", "builtins", "sys", "shutil", "pickle",
                                          "importlib", "runpy", "pty", "socket", "ctypes"});
        context.find("config.instantiate", bad ? Severity::critical : Severity::medium, content,
                     at_line(line_of(text, at)), fmt::format("\"_target_\" names {}.", printable(name)));
    }
}

bool is_package_list(std::string_view leaf) {
    const bool text = leaf.ends_with(".txt") || leaf.ends_with(".in");
    return (text && (leaf.find("requirements") != std::string_view::npos || leaf.starts_with("constraints"))) ||
           is_one_of(leaf, {"environment.yml", "environment.yaml", "conda.yaml", "pyproject.toml", "setup.cfg",
                            "Pipfile", "pip.conf", "pip.ini", "uv.toml"});
}

void scan_packages(Context& context, const Content& content) {
    std::string_view text = text_of(content.bytes);
    for (std::uint64_t number = 1; !text.empty(); ++number) {
        std::string_view line = text.substr(0, text.find('\n'));
        text.remove_prefix(std::min(text.size(), line.size() + 1));
        line.remove_prefix(std::min(line.find_first_not_of(" \t-"), line.size()));
        if (line.starts_with('#')) continue;
        line = line.substr(0, line.find(" #"));
        const bool index = begins_with_index(line, leaf_of(content.name));
        // An address is of a package only behind "name @" or as the whole of the line.
        const bool package = line.starts_with("git+") || line.starts_with("http://") || line.starts_with("https://") ||
                             line.starts_with("\"git+") || line.find(" @ ") != std::string_view::npos ||
                             line.starts_with("e git+") || line.starts_with("editable git+");
        if (index || package) package_address(context, content, number, line, index);
    }
}

bool holds_commands(std::string_view leaf, std::string_view ending) {
    return is_one_of(leaf, {"package.json", "tasks.json", "launch.json", "devcontainer.json", "CMakeLists.txt",
                            "Procfile", "Jenkinsfile", "meson.build", "wscript", "tox.ini", "pyproject.toml",
                            "setup.cfg", "Modelfile"}) ||
           is_one_of(ending, {".desktop", ".service", ".gradle", ".cmake", ".toml", ".bzl", ".command"});
}

}  // namespace freehold::scan
