// Plans and writes a file of fewer bits: rows are expanded and encoded in parallel, one tensor after the other.
#include "freehold/formats/quantise.h"

#include <fmt/format.h>

#include <algorithm>
#include <atomic>
#include <cmath>

#include "freehold/base/error.h"
#include "freehold/base/file.h"
#include "freehold/base/printable.h"
#include "freehold/formats/gguf_writer.h"
#include "freehold/formats/origin.h"
#include "gguf.h"
#include "quantise_mix.h"

namespace freehold {
namespace {

// A whole number of the architecture ("llama.block_count"); lists (one per layer) give their largest.
int model_number(const ModelFiles& model, std::string_view key, int missing) {
    const Value* value = model.meta().find(fmt::format("{}.{}", model.architecture(), key));
    if (value == nullptr) return missing;
    std::int64_t number = value->as_int().value_or(0);
    for (std::size_t i = 0; i < value->size(); ++i) number = std::max(number, value->at(i).as_int().value_or(0));
    return static_cast<int>(std::clamp<std::int64_t>(number, 0, 1 << 20));
}

// Says how numbers are stored or how files are cut: both are new.
bool is_about_the_file(std::string_view key) {
    return key == "general.file_type" || key == "general.quantization_version" || key == "general.alignment" ||
           key == kQuantisedFrom || key == kConvertedFrom || key == kQuantisedBefore || key.starts_with("split.") ||
           key.starts_with("quantize.imatrix.");
}

void carry_keys(const QuantPlan& plan, GgufWriter& writer) {
    if (plan.model->container() == Container::gguf) {
        const auto file = MappedFile::open(plan.model->files().front());
        const GgufFile parsed = parse_gguf(file->bytes(), file->path().filename().string());
        for (const GgufKeyPlace& key : parsed.keys)
            if (!is_about_the_file(key.name))
                writer.set_raw(key.name, file->bytes().subspan(key.begin, key.end - key.begin));
    } else {
        for (const ValueEntry& entry : plan.model->meta())
            if (!is_about_the_file(entry.key)) writer.set(entry.key, entry.value);
    }
    writer.set("general.file_type", GgufType::u32, Value(std::int64_t{plan.mix.file_type}));
    if (traits(plan.mix.base).quantised) writer.set("general.quantization_version", GgufType::u32, Value(2));
    if (!plan.source_digest.empty()) writer.set(kQuantisedFrom, Value(plan.source_digest));
    const std::string before = digests_text(sources_named(plan.model->meta()));
    if (!before.empty()) writer.set(kQuantisedBefore, Value(before));
}

// Called between slices of a tensor with the bytes of it that are done.
using Step = std::function<void(std::uint64_t)>;

Tensor convert(const Tensor& source, const QuantPlanEntry& entry, ThreadPool& pool, const Step& step) {
    if (entry.from == entry.to) return source;
    const DTypeTraits& from = traits(entry.from);
    const DTypeTraits& to = traits(entry.to);
    Tensor out = Tensor::zeros(entry.to, entry.shape);
    auto* const bytes = const_cast<std::byte*>(out.data());  // fresh memory of our own
    const auto width = static_cast<std::size_t>(entry.shape.last());
    const auto n_rows = static_cast<std::size_t>(entry.shape.rows());
    std::vector<std::vector<float>> buffers(static_cast<std::size_t>(pool.size()), std::vector<float>(width));
    std::atomic<std::size_t> broken{n_rows};     // the first row with a number that is not finite
    std::atomic<std::size_t> too_large{n_rows};  // the first row that became so
    const auto finite = [width](const float* values) {
        return std::all_of(values, values + width, [](float v) { return std::isfinite(v); });
    };
    const auto note = [](std::atomic<std::size_t>& least, std::size_t r) {
        std::size_t first = least.load();
        while (r < first && !least.compare_exchange_weak(first, r)) {
        }
    };
    const auto row = [&](std::size_t r, float* buffer) {
        from.to_f32(source.row(static_cast<std::int64_t>(r)), buffer, width);
        if (!finite(buffer)) note(broken, r);
        to.from_f32(buffer, bytes + r * out.row_bytes(), width);
        // Scales are half floats: a finite number may be out of their reach.
        to.to_f32(bytes + r * out.row_bytes(), buffer, width);
        if (!finite(buffer)) note(too_large, r);
    };
    const std::size_t rows_a_task = std::max<std::size_t>(1, 16384 / std::max<std::size_t>(width, 1));
    const std::size_t rows_a_slice = rows_a_task * 256;  // four million numbers between two reports
    for (std::size_t slice = 0; slice < n_rows; slice += rows_a_slice) {
        const std::size_t end = std::min(n_rows, slice + rows_a_slice);
        pool.run((end - slice + rows_a_task - 1) / rows_a_task, [&](std::size_t task, int worker) {
            const std::size_t begin = slice + task * rows_a_task;
            for (std::size_t r = begin; r < std::min(end, begin + rows_a_task); ++r)
                row(r, buffers[static_cast<std::size_t>(worker)].data());
        });
        if (broken.load() < n_rows)
            throw Error(ErrorKind::bad_file,
                        fmt::format("Tensor \"{}\" holds a number in row {} that is infinite or not a number.",
                                    printable(entry.name), broken.load()),
                        "The file was damaged or its training went astray; get it anew from its maker.");
        if (too_large.load() < n_rows)
            throw Error(ErrorKind::bad_file,
                        fmt::format("Tensor \"{}\" holds a number in row {} that is too large for {}.",
                                    printable(entry.name), too_large.load(), to.name),
                        "Take bf16 or f32, whose range is that of floats.");
        step(end * out.row_bytes());
    }
    return out;
}

GgufWriter make_writer(const QuantPlan& plan, ThreadPool* pool, const std::function<void(std::uint64_t)>& done) {
    GgufWriter writer;
    carry_keys(plan, writer);
    std::uint64_t before = 0;
    for (const QuantPlanEntry& entry : plan.entries) {
        writer.add_tensor(entry.name, entry.to, entry.shape, [&plan, &entry, pool, done, before] {
            const Tensor made = convert(plan.model->tensor(entry.name), entry, *pool,
                                        [&](std::uint64_t bytes) { done(before + bytes); });
            done(before + entry.bytes_to);
            return made;
        });
        before += entry.bytes_to;
    }
    return writer;
}

}  // namespace

QuantPlan plan_quantise(std::shared_ptr<const ModelFiles> model, const QuantMix& mix, std::string source_digest) {
    if (model->container() == Container::hf)
        throw Error(
            ErrorKind::unsupported,
            fmt::format("{} is a Hugging Face folder; only GGUF files can be quantised.", model->path().string()),
            "Convert it to a GGUF file in F16 or BF16 first, or get the model as such a file.");
    if (model->entries().empty())
        throw Error(ErrorKind::bad_file, fmt::format("{} holds no tensors.", model->path().string()));
    MixModel facts;
    facts.n_layers = model_number(*model, "block_count", 0);
    facts.n_experts = model_number(*model, "expert_count", 0);
    const int heads = model_number(*model, "attention.head_count", 1);
    facts.heads_per_kv = heads / std::max(1, model_number(*model, "attention.head_count_kv", heads));
    facts.tied = std::ranges::none_of(model->entries(), [](const TensorEntry& e) { return e.name == "output.weight"; });
    QuantPlan plan;
    plan.model = model;
    plan.mix = mix;
    plan.source_digest = std::move(source_digest);
    for (const TensorEntry& e : model->entries()) {
        const Tensor& tensor = model->tensor(e.name);
        QuantPlanEntry entry{.name = e.name, .shape = tensor.shape(), .from = e.dtype, .to = e.dtype};
        if (mix_touches(e.name, entry.shape)) {
            const MixChoice choice = mix_choice(mix, facts, e.name, entry.shape);
            entry.to = choice.type;
            entry.fell_back = choice.fell_back;
            const bool again = entry.to != entry.from && traits(entry.from).quantised && traits(entry.to).quantised;
            plan.requantises = plan.requantises || again;
        }
        entry.bytes_from = bytes_for(entry.from, entry.shape);
        entry.bytes_to = bytes_for(entry.to, entry.shape);
        plan.tensor_bytes_from += entry.bytes_from;
        plan.tensor_bytes_to += entry.bytes_to;
        plan.n_weights += static_cast<std::uint64_t>(entry.shape.numel());
        plan.entries.push_back(std::move(entry));
    }
    plan.file_bytes = make_writer(plan, nullptr, {}).file_size();
    return plan;
}

void write_quantised(const QuantPlan& plan, const std::filesystem::path& path, ThreadPool& pool,
                     const Progress& progress) {
    const auto done = [&](std::uint64_t bytes) {
        if (progress) progress({"writing " + path.filename().string(), bytes, plan.tensor_bytes_to, "B"});
    };
    make_writer(plan, &pool, done).write(path);
}

}  // namespace freehold
