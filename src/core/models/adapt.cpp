// An adapter's pairs, found by the names of the family's table and held against the model's shapes.
#include "freehold/models/adapt.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstring>
#include <set>

#include "adapted.h"
#include "freehold/base/error.h"
#include "freehold/formats/adapter_files.h"
#include "tensor_source.h"

namespace freehold {
namespace {

class Fitting {
 public:
    // threads null: names and shapes are checked and nothing is made.
    Fitting(const ModelFiles& model, const DecoderSpec& spec, const AdapterFiles& files, ThreadPool* threads)
        : model_(model), spec_(spec), family_(family_of(model)), files_(files), threads_(threads) {
        peft_ = files.form() == AdapterForm::peft;
        const bool as_hf = model.container() == Container::hf;
        turn_ = family_.gguf_pairs_qk && peft_ != as_hf;
    }

    std::vector<LowRank> run() {
        check_architecture();
        std::vector<LowRank> pairs(static_cast<std::size_t>(spec_.n_layers) * kAdaptedLinears.size());
        for (int l = 0; l < spec_.n_layers; ++l) {
            for (const AdaptedLinear& a : kAdaptedLinears) {
                if (a.role == Role::gate && !spec_.gated_mlp) continue;
                // A layer of experts has no linears of an MLP that anything could be added to.
                const bool of_mlp = a.role == Role::gate || a.role == Role::up || a.role == Role::down;
                if (of_mlp && spec_.layers[static_cast<std::size_t>(l)].experts) continue;
                pairs[static_cast<std::size_t>(place_of(l, a))] = pair(a.role, l);
            }
        }
        refuse_leftovers();
        return pairs;
    }

 private:
    void check_architecture() const {
        const std::string& made_for = files_.architecture();
        if (made_for.empty() || std::ranges::find(family_.gguf_names, made_for) != family_.gguf_names.end()) return;
        throw Error(ErrorKind::bad_file,
                    fmt::format("{} is an adapter for models of architecture {}, and {} is of family {}.",
                                files_.path().string(), made_for, model_.path().string(), family_.name),
                    "Use it with the model that it was trained on.");
    }

    // The name under which the adapter has this role: the prefixes of Hugging Face folders differ by who saved it.
    std::string stem_of(const TensorRow& row, int layer) const {
        std::string name(peft_ ? row.hf : row.gguf);
        if (const std::size_t at = name.find("{}"); at != std::string::npos) name.replace(at, 2, std::to_string(layer));
        if (!name.starts_with('@')) return files_.pairs().contains(name) ? name : std::string{};
        for (const std::string_view prefix : family_.hf_prefixes) {
            std::string with = std::string(prefix) + name.substr(1);
            if (files_.pairs().contains(with)) return with;
        }
        return {};
    }

    [[noreturn]] void wrong_shape(const std::string& name, const Tensor& t, const Shape& must) const {
        throw Error(ErrorKind::bad_file,
                    fmt::format("Adapter {}: tensor '{}' has shape {} where {} asks for {}.", files_.path().string(),
                                name, t.shape().str(), model_.path().string(), must.str()),
                    "It was trained on a model of other sizes; use it with that one.");
    }

    LowRank pair(Role role, int layer) {
        for (const TensorRow& row : family_.tensors) {
            if (row.role != role) continue;
            const std::string stem = stem_of(row, layer);
            if (stem.empty()) continue;
            taken_.insert(stem);
            const AdapterPair& given = files_.pairs().find(stem)->second;
            const Layout layout = peft_ ? row.hf_layout : row.gguf_layout;
            const Want want = want_of(spec_, role, layer);
            const std::int64_t rank = given.a.shape()[0];
            const std::int64_t out = outputs_of(spec_, role, layout, layer);
            if (given.a.shape() != Shape{rank, want.in}) wrong_shape(given.a_name, given.a, {rank, want.in});
            if (given.b.shape() != Shape{out, rank}) wrong_shape(given.b_name, given.b, {out, rank});
            if (threads_ == nullptr) return {};
            Tensor b = part_of(spec_, role, layout, layer, given.b);
            if (turn_ && (role == Role::q || role == Role::k)) b = turned(b);
            LowRank made;
            made.a = Weight(given.a, Profile::f32, true, *threads_);
            made.b = Weight(b, Profile::f32, true, *threads_);
            made.scale = given.scale;
            return made;
        }
        return {};
    }

    // Rows of q or k in the order of the model's own container: pairs for a GGUF model, halves for a folder.
    [[nodiscard]] Tensor turned(const Tensor& b) const {
        const std::int64_t dim = spec_.head_dim, half = dim / 2, rank = b.shape()[1];
        const Tensor from = b.to_f32();
        Tensor to = Tensor::zeros(DType::F32, b.shape());
        const auto n = static_cast<std::size_t>(rank);
        for (std::int64_t r = 0; r < b.shape()[0]; ++r) {
            const std::int64_t head = r / dim * dim, in_head = r % dim;
            const std::int64_t paired =
                head + in_head % half * 2 + in_head / half;  // where a row of halves lies in pairs
            const auto source = static_cast<std::size_t>(peft_ ? r : paired) * n;
            const auto target = static_cast<std::size_t>(peft_ ? paired : r) * n;
            std::copy_n(from.f32().data() + source, n, to.f32_mut().data() + target);
        }
        return to;
    }

    void refuse_leftovers() const {
        for (const auto& [stem, pair] : files_.pairs()) {
            if (taken_.contains(stem)) continue;
            throw Error(ErrorKind::unsupported,
                        fmt::format("Adapter {}: tensor '{}' {} changes nothing that {} (family {}, {} layers) lets an "
                                    "adapter change.",
                                    files_.path().string(), pair.a_name, pair.a.shape().str(), model_.path().string(),
                                    family_.name, spec_.n_layers),
                        "Adapters change the linears of attention and MLP. If it was trained on another model, use it "
                        "with that one.");
        }
    }

    const ModelFiles& model_;
    const DecoderSpec& spec_;
    const Family& family_;
    const AdapterFiles& files_;
    ThreadPool* threads_;
    bool peft_ = false, turn_ = false;
    std::set<std::string, std::less<>> taken_;
};

}  // namespace

void check_adapter(const AdapterFiles& adapter, const ModelFiles& model) {
    const DecoderSpec spec = read_spec(model);
    static_cast<void>(Fitting(model, spec, adapter, nullptr).run());
}

std::shared_ptr<const Adapter> Decoder::adapt(const AdapterFiles& files, ThreadPool& threads) const {
    return std::make_shared<const Adapter>(Fitting(*impl_->files, impl_->spec, files, &threads).run(), impl_.get());
}

}  // namespace freehold
