// A GGUF model: one file, or the parts of a split one, of which any may be named.
#include <fmt/format.h>

#include <charconv>
#include <optional>

#include "builder.h"
#include "freehold/base/error.h"
#include "freehold/base/file.h"
#include "gguf.h"

namespace freehold {

namespace {

// "NAME-00002-of-00005.gguf"
struct PartName {
    std::string stem;
    std::uint32_t number = 0, count = 0;
    [[nodiscard]] std::string file(std::uint32_t n) const {
        return fmt::format("{}-{:05}-of-{:05}.gguf", stem, n, count);
    }
};

std::optional<PartName> read_part_name(const std::string& file) {
    constexpr std::string_view kExample = "-00002-of-00005.gguf";
    if (file.size() < kExample.size()) return std::nullopt;
    const std::string_view tail = std::string_view(file).substr(file.size() - kExample.size());
    if (tail[0] != '-' || tail.substr(6, 4) != "-of-" || tail.substr(15) != ".gguf") return std::nullopt;
    PartName part{file.substr(0, file.size() - kExample.size()), 0, 0};
    const auto number = [](std::string_view digits, std::uint32_t& out) {
        return std::from_chars(digits.data(), digits.data() + digits.size(), out).ptr == digits.data() + digits.size();
    };
    if (!number(tail.substr(1, 5), part.number) || !number(tail.substr(10, 5), part.count)) return std::nullopt;
    if (part.number < 1 || part.number > part.count) return std::nullopt;
    return part;
}

std::int64_t split_key(const GgufFile& file, const char* key, const std::string& name, std::int64_t missing) {
    const Value* value = file.meta.find(key);
    if (value == nullptr) return missing;
    const auto number = value->as_int();
    if (!number || *number < 0) {
        throw Error(ErrorKind::bad_file,
                    fmt::format("{}: key \"{}\" is {}, which is no count.", name, key, to_json(*value)), kDamagedHint);
    }
    return *number;
}

void take_tensors(ModelFilesBuilder& builder, GgufFile& file, std::uint32_t index) {
    for (TensorEntry& t : file.tensors) {
        t.file = index;
        builder.add(std::move(t));
    }
}

void open_parts(ModelFilesBuilder& builder, const std::filesystem::path& path, std::int64_t count) {
    const std::string name = path.filename().string();
    const auto part = read_part_name(name);
    if (!part || part->count != count) {
        throw Error(
            ErrorKind::bad_file,
            fmt::format("{} says that it is one of {} parts, but its name does not end in \"-00001-of-{:05}.gguf\".",
                        name, count, count),
            "Give the parts the names under which they were published; they find each other by name.");
    }
    std::int64_t declared = -1;
    for (std::uint32_t n = 1; n <= part->count; ++n) {
        const std::filesystem::path file = path.parent_path() / part->file(n);
        if (!std::filesystem::exists(file)) {
            throw Error(ErrorKind::not_found,
                        fmt::format("Part {} of {} is missing: {}.", n, part->count, file.string()),
                        "Get all parts into one folder.");
        }
        const std::uint32_t index = builder.map(file);
        GgufFile parsed = parse_gguf(builder.bytes(index), file.filename().string());
        const std::int64_t no = split_key(parsed, "split.no", file.filename().string(), -1);
        const std::int64_t of = split_key(parsed, "split.count", file.filename().string(), -1);
        if (no != n - 1 || of != count) {
            throw Error(ErrorKind::bad_file,
                        fmt::format("{} should be part {} of {}, but its keys split.no and split.count say {} and {}.",
                                    file.filename().string(), n, part->count, no, of),
                        "The parts do not belong together: get them again from one place.");
        }
        if (n == 1) {
            declared = split_key(parsed, "split.tensors.count", file.filename().string(), -1);
            builder.set_path(file);
            builder.meta() = std::move(parsed.meta);
        }
        take_tensors(builder, parsed, index);
    }
    if (declared >= 0 && static_cast<std::uint64_t>(declared) != builder.n_entries()) {
        throw Error(ErrorKind::bad_file,
                    fmt::format("{} declares {} tensors (split.tensors.count), but its {} parts hold {}.",
                                part->file(1), declared, part->count, builder.n_entries()),
                    "Get all parts again from one place.");
    }
}

}  // namespace

std::shared_ptr<const ModelFiles> open_gguf(const std::filesystem::path& path) {
    ModelFilesBuilder builder(Container::gguf, path);
    std::int64_t count = 0;
    {
        // The named part tells whether there are others; only then is it known which file comes first.
        const auto mapped = MappedFile::open(path);
        GgufFile parsed = parse_gguf(mapped->bytes(), path.filename().string());
        count = split_key(parsed, "split.count", path.filename().string(), 0);
        if (count <= 1) {
            builder.meta() = std::move(parsed.meta);
            take_tensors(builder, parsed, builder.map(path));
        }
    }
    if (count > 1) open_parts(builder, path, count);
    if (const Value* name = builder.meta().find("general.architecture")) {
        if (!name->as_string()) {
            throw Error(ErrorKind::bad_file,
                        fmt::format("{}: key \"general.architecture\" is not a text.", path.filename().string()),
                        kDamagedHint);
        }
        builder.set_architecture(std::string(*name->as_string()));
    }
    return builder.finish();
}

}  // namespace freehold
