// The two directions: blueprint, keys, tensors, tokenizer; then what was written is read again and compared.
#include "freehold/convert/convert.h"

#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>

#include "freehold/base/error.h"
#include "freehold/base/file.h"
#include "freehold/formats/gguf_writer.h"
#include "freehold/formats/origin.h"
#include "freehold/models/decoder.h"
#include "parts.h"

namespace freehold {

namespace fs = std::filesystem;
using convert::OutTensor;
using convert::Target;

namespace {

void check_type(DType type) {
    if (type != DType::None && type != DType::F32 && type != DType::F16 && type != DType::BF16)
        throw Error(ErrorKind::usage, fmt::format("A conversion writes no {}.", dtype_name(type)),
                    "Convert to f32, f16 or bf16, then use `freehold quantize`.");
}

const Family& decoder_family(const ModelFiles& files, const DecoderSpec& spec) {
    const Family& family = family_of(files);
    if (!spec.has_head || spec.encoder || family.gguf_names.empty() || family.hf_names.empty() ||
        spec.latent.kv_rank > 0)
        throw Error(ErrorKind::unsupported,
                    fmt::format("{} is of family {}, which is not converted.", files.path().string(), family.name),
                    "Use the model in the container that it is in.");
    return family;
}

std::uint64_t total_bytes(const std::vector<OutTensor>& tensors) {
    std::uint64_t bytes = 0;
    for (const OutTensor& t : tensors) bytes += bytes_for(t.dtype, t.shape);
    return bytes;
}

// general.file_type: of most numbers.
std::int64_t file_type(const std::vector<OutTensor>& tensors) {
    std::uint64_t f32 = 0, f16 = 0, bf16 = 0;
    for (const OutTensor& t : tensors) {
        std::uint64_t& n = t.dtype == DType::F16 ? f16 : t.dtype == DType::BF16 ? bf16 : f32;
        n += static_cast<std::uint64_t>(t.shape.numel());
    }
    return bf16 > f32 && bf16 > f16 ? 32 : f16 > f32 ? 1 : 0;
}

std::string name_of(const ModelFiles& files, const ConvertOptions& options) {
    if (!options.name.empty()) return options.name;
    for (const char* key : {"general.name", "_name_or_path"}) {
        const Value* v = find(files.meta(), key);
        if (v != nullptr && v->as_string() && !v->as_string()->empty()) return std::string(*v->as_string());
    }
    return fs::absolute(files.path()).lexically_normal().stem().string();
}

// Beside the target, so that a rename puts it into place.
fs::path beside(const fs::path& to) {
    const fs::path whole = fs::absolute(to).lexically_normal();
    const fs::path target = whole.has_filename() ? whole : whole.parent_path();
    return target.parent_path() /
           fmt::format(".{}.tmp-{}{}", target.filename().string(), ::getpid(), target.extension().string());
}

// Removes what was begun, unless it was finished.
class Unfinished {
 public:
    explicit Unfinished(fs::path path) : path_(std::move(path)) {}
    ~Unfinished() {
        std::error_code ignored;
        if (!path_.empty()) fs::remove_all(path_, ignored);
    }
    Unfinished(const Unfinished&) = delete;
    Unfinished& operator=(const Unfinished&) = delete;
    void finish(const fs::path& to) {
        std::error_code problem;
        fs::rename(path_, to, problem);
        if (problem)
            throw Error(ErrorKind::io, fmt::format("Cannot put {} into place: {}.", to.string(), problem.message()),
                        "Check the folder's permissions.");
        path_.clear();
    }

 private:
    fs::path path_;
};

// Where the result comes from, so that what is known of the source reaches it.
ValueMap origin_keys(const ModelFiles& from, const ConvertOptions& options) {
    ValueMap keys;
    if (!options.source.empty()) keys.set(kConvertedFrom, options.source);
    if (const std::string before = digests_text(sources_named(from.meta())); !before.empty())
        keys.set(kQuantisedBefore, before);
    return keys;
}

}  // namespace

ConvertReport convert_to_gguf(std::shared_ptr<const ModelFiles> from, const fs::path& to, const ConvertOptions& options,
                              const Progress& progress) {
    check_type(options.type);
    if (from->container() != Container::hf)
        throw Error(ErrorKind::usage, fmt::format("{} is no Hugging Face folder.", from->path().string()),
                    "A GGUF file with other types is made by `freehold quantize`.");
    const DecoderSpec spec = read_spec(*from);
    const Family& family = decoder_family(*from, spec);
    ConvertReport report;
    report.family = spec.family;
    const std::vector<OutTensor> tensors =
        convert::out_tensors(*from, family, spec, Target::gguf, options.type, spec.norm_weight_plus_one ? 1.0F : 0.0F);
    GgufWriter writer;
    for (const ValueEntry& key : convert::gguf_keys(*from, family, spec, name_of(*from, options)))
        writer.set(key.key, key.value);
    writer.set("general.file_type", GgufType::u32, Value(file_type(tensors)));
    writer.set("general.quantization_version", GgufType::u32, Value(2));
    for (const ValueEntry& key : origin_keys(*from, options)) writer.set(key.key, key.value);
    if (options.tokenizer) {
        const std::string arch(family.gguf_names.front());
        for (const ValueEntry& key : convert::gguf_tokenizer(*from, arch, spec.vocab, report.tokenizer))
            writer.set(key.key, key.value);
        if (report.tokenizer.empty()) report.remarks.push_back("The folder has no tokenizer.");
    }
    const auto divisors = convert::rope_divisors(*from, spec);
    if (divisors) writer.add_tensor("rope_freqs.weight", *divisors);
    for (const OutTensor& t : tensors) writer.add_tensor(t.name, t.dtype, t.shape, t.make);
    report.tensors = tensors.size() + (divisors ? 1 : 0);
    report.bytes = writer.file_size();
    Unfinished temporary(beside(to));
    const fs::path place = beside(to);
    writer.write(place, [&](const ProgressEvent& event) {
        if (progress) progress({"writing " + to.filename().string(), event.done, event.total, event.unit});
    });
    const auto made = ModelFiles::open(place);
    convert::check_same(spec, read_spec(*made), from->path().string());
    temporary.finish(to);
    return report;
}

ConvertReport convert_to_folder(std::shared_ptr<const ModelFiles> from, const fs::path& to,
                                const ConvertOptions& options, const Progress& progress) {
    check_type(options.type);
    if (from->container() == Container::hf)
        throw Error(ErrorKind::usage, fmt::format("{} is a Hugging Face folder already.", from->path().string()),
                    "Name a GGUF file.");
    const DecoderSpec spec = read_spec(*from);
    const Family& family = decoder_family(*from, spec);
    ConvertReport report;
    report.family = spec.family;
    const fs::path place = beside(to);
    fs::create_directories(place);
    Unfinished temporary(place);
    ValueMap config = convert::config_json(*from, family, spec, options.type);
    for (const ValueEntry& key : origin_keys(*from, options)) config.set(key.key, key.value);
    write_text_atomic(place / "config.json", to_json(Value(config), 2) + "\n");
    if (options.tokenizer) {
        for (const auto& [name, text] : convert::folder_tokenizer(*from, report.tokenizer))
            write_text_atomic(place / name, text);
        if (report.tokenizer.empty()) report.remarks.push_back("The file has no tokenizer.");
    }
    // The blueprint of what was written says whether the folder's norms stand for 1 + w.
    const DecoderSpec written = read_spec(*ModelFiles::open(place));
    convert::check_same(spec, written, from->path().string());
    const std::vector<OutTensor> tensors = convert::out_tensors(*from, family, spec, Target::folder, options.type,
                                                                written.norm_weight_plus_one ? -1.0F : 0.0F);
    report.tensors = tensors.size();
    report.bytes = total_bytes(tensors);
    convert::write_safetensors(place / "model.safetensors", tensors, [&](std::uint64_t done) {
        if (progress) progress({"writing model.safetensors", done, report.bytes, "B"});
    });
    static_cast<void>(ModelFiles::open(place));
    temporary.finish(to);
    return report;
}

}  // namespace freehold
