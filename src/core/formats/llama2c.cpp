// llama2.c's small checkpoint (version 0: seven numbers, then F32 arrays by kind) with its tokenizer file, seen through
// the keys and tensor names of a GGUF "llama" model. Its rotary pairs are interleaved, as GGUF's are, so nothing is
// permuted.
#include <fmt/format.h>

#include <array>
#include <cstring>
#include <limits>

#include "builder.h"
#include "cursor.h"
#include "freehold/base/checked.h"
#include "freehold/base/error.h"
#include "freehold/base/file.h"

namespace freehold {

namespace {

constexpr std::size_t kHeaderBytes = 7 * 4;
constexpr std::int64_t kMaxSize = 1 << 24;  // of any one number in the header: then no product of three overflows

struct Header {
    std::int64_t dim = 0, hidden = 0, layers = 0, heads = 0, kv_heads = 0, vocab = 0, context = 0;
    bool tied = true;
    [[nodiscard]] std::int64_t head_dim() const { return dim / heads; }
    [[nodiscard]] std::int64_t kv_dim() const { return head_dim() * kv_heads; }
};

// Reads the header if it makes sense; nullopt otherwise.
std::optional<Header> read_header(std::span<const std::byte> bytes) noexcept {
    if (bytes.size() < kHeaderBytes) return std::nullopt;
    std::array<std::int32_t, 7> n{};
    std::memcpy(n.data(), bytes.data(), kHeaderBytes);
    Header h{n[0], n[1], n[2], n[3], n[4], n[5], n[6]};
    h.tied = h.vocab > 0;  // a negative size says that the head has its own matrix
    if (h.vocab < 0) h.vocab = -h.vocab;
    for (const std::int64_t v : {h.dim, h.hidden, h.layers, h.heads, h.kv_heads, h.vocab, h.context}) {
        if (v <= 0 || v > kMaxSize) return std::nullopt;
    }
    if (h.layers > 4096 || h.dim % h.heads != 0 || h.heads % h.kv_heads != 0 || h.head_dim() % 2 != 0)
        return std::nullopt;
    return h;
}

// The arrays in their order: name (with {} for the layer), rows and columns of one layer's matrix, how many layers.
struct Array {
    const char* name;
    std::int64_t rows, columns, layers;
};
std::vector<Array> arrays_of(const Header& h) {
    std::vector<Array> arrays = {
        {"token_embd.weight", h.vocab, h.dim, 0},
        {"blk.{}.attn_norm.weight", 0, h.dim, h.layers},
        {"blk.{}.attn_q.weight", h.dim, h.dim, h.layers},
        {"blk.{}.attn_k.weight", h.kv_dim(), h.dim, h.layers},
        {"blk.{}.attn_v.weight", h.kv_dim(), h.dim, h.layers},
        {"blk.{}.attn_output.weight", h.dim, h.dim, h.layers},
        {"blk.{}.ffn_norm.weight", 0, h.dim, h.layers},
        {"blk.{}.ffn_gate.weight", h.hidden, h.dim, h.layers},
        {"blk.{}.ffn_down.weight", h.dim, h.hidden, h.layers},
        {"blk.{}.ffn_up.weight", h.hidden, h.dim, h.layers},
        {"output_norm.weight", 0, h.dim, 0},
        {"", h.context, h.head_dim(), 0},  // cosines and sines, which the model computes itself
    };
    if (!h.tied) arrays.push_back({"output.weight", h.vocab, h.dim, 0});
    return arrays;
}

std::optional<std::uint64_t> total_bytes(const Header& h) {
    std::uint64_t total = kHeaderBytes;
    for (const Array& a : arrays_of(h)) {
        const auto values = checked_mul(static_cast<std::uint64_t>(std::max<std::int64_t>(a.rows, 1) * a.columns),
                                        static_cast<std::uint64_t>(std::max<std::int64_t>(a.layers, 1)) * 4);
        const auto sum = values ? checked_add(total, *values) : std::nullopt;
        if (!sum) return std::nullopt;
        total = *sum;
    }
    return total;
}

void add_tensors(ModelFilesBuilder& builder, const Header& h, std::uint32_t file) {
    std::uint64_t at = kHeaderBytes;
    for (const Array& a : arrays_of(h)) {
        const std::int64_t values = std::max<std::int64_t>(a.rows, 1) * a.columns;
        for (std::int64_t layer = 0; layer < std::max<std::int64_t>(a.layers, 1); ++layer) {
            const std::uint64_t nbytes = static_cast<std::uint64_t>(values) * 4;
            if (a.name[0] != '\0') {
                const std::string name = a.layers == 0 ? std::string(a.name) : fmt::format(fmt::runtime(a.name), layer);
                const std::vector<std::int64_t> shape =
                    a.rows == 0 ? std::vector{a.columns} : std::vector{a.rows, a.columns};
                builder.add({name, DType::F32, "F32", shape, nbytes, file, at});
            }
            at += nbytes;
        }
    }
}

void add_keys(ValueMap& meta, const Header& h, const std::filesystem::path& path) {
    meta.set("general.architecture", Value("llama"));
    meta.set("general.name", Value(path.stem().string()));
    meta.set("general.file_type", Value(0));
    meta.set("llama.context_length", Value(h.context));
    meta.set("llama.embedding_length", Value(h.dim));
    meta.set("llama.block_count", Value(h.layers));
    meta.set("llama.feed_forward_length", Value(h.hidden));
    meta.set("llama.attention.head_count", Value(h.heads));
    meta.set("llama.attention.head_count_kv", Value(h.kv_heads));
    meta.set("llama.attention.layer_norm_rms_epsilon", Value(1e-5));
    meta.set("llama.rope.dimension_count", Value(h.head_dim()));
    meta.set("llama.rope.freq_base", Value(10000.0));
    meta.set("llama.vocab_size", Value(h.vocab));
}

// A SentencePiece vocabulary writes the space as U+2581; llama2.c has turned it back into a space.
std::string with_marked_spaces(std::string_view text) {
    std::string out;
    for (const char c : text) {
        if (c == ' ') {
            out += "\xE2\x96\x81";
        } else {
            out += c;
        }
    }
    return out;
}

// One number (the longest token), then score, length and bytes of every token, in the order of their ids.
void add_tokenizer(ValueMap& meta, std::int64_t vocab, const std::filesystem::path& path) {
    const auto mapped = MappedFile::open(path);
    Cursor in(mapped->bytes(), path.filename().string() + " is not a valid llama2.c tokenizer file");
    static_cast<void>(in.read<std::int32_t>("the length of the longest token"));
    in.check_count(static_cast<std::uint64_t>(vocab), 8, "tokens");
    std::vector<std::string> tokens;
    std::vector<float> scores;
    std::vector<std::int32_t> types;
    for (std::int64_t id = 0; id < vocab; ++id) {
        in.set_context(fmt::format("token {}", id));
        scores.push_back(in.read<float>("a score"));
        const auto length = in.read<std::int32_t>("a length");
        if (length < 0 || static_cast<std::size_t>(length) > in.left()) {
            in.fail(fmt::format("a text of {} bytes goes past the end of the file", length));
        }
        const std::string text = in.bytes(static_cast<std::size_t>(length));
        constexpr std::int32_t kNormal = 1, kUnknown = 2, kControl = 3, kByte = 6;
        // The three specials are written with line breaks around them; their names are fixed.
        static constexpr std::array<const char*, 3> kSpecials = {"<unk>", "<s>", "</s>"};
        const bool is_byte = text.size() == 6 && text.starts_with("<0x") && text.ends_with('>');
        types.push_back(id == 0 ? kUnknown : id <= 2 ? kControl : is_byte ? kByte : kNormal);
        tokens.push_back(id <= 2 ? kSpecials[static_cast<std::size_t>(id)] : is_byte ? text : with_marked_spaces(text));
    }
    if (in.left() != 0) {
        in.fail(fmt::format("the model has {} tokens, but {} bytes follow the last of them", vocab, in.left()));
    }
    meta.set("tokenizer.ggml.model", Value("llama"));
    meta.set("tokenizer.ggml.tokens", Value(std::move(tokens)));
    meta.set("tokenizer.ggml.scores", Value(std::move(scores)));
    meta.set("tokenizer.ggml.token_type", Value(std::move(types)));
    meta.set("tokenizer.ggml.bos_token_id", Value(1));
    meta.set("tokenizer.ggml.eos_token_id", Value(2));
    meta.set("tokenizer.ggml.unknown_token_id", Value(0));
    meta.set("tokenizer.ggml.add_bos_token", Value(true));
    meta.set("tokenizer.ggml.add_eos_token", Value(false));
    meta.set("tokenizer.ggml.add_space_prefix", Value(true));
}

}  // namespace

bool looks_like_llama2c(std::span<const std::byte> header, std::uint64_t file_size) noexcept {
    const auto h = read_header(header);
    // Near enough: a file that is cut off should be told so, and not that it is something unknown.
    return h && file_size > kHeaderBytes && h->vocab >= 3;
}

std::shared_ptr<const ModelFiles> open_llama2c(const std::filesystem::path& path) {
    ModelFilesBuilder builder(Container::llama2c, path);
    const std::uint32_t file = builder.map(path);
    const auto bytes = builder.bytes(file);
    const std::string name = path.filename().string();
    const auto header = read_header(bytes);
    if (!header) throw Error(ErrorKind::bad_file, fmt::format("{} is not a llama2.c checkpoint.", name), kDamagedHint);
    const auto expected = total_bytes(*header);
    if (!expected || *expected != bytes.size()) {
        throw Error(ErrorKind::bad_file,
                    fmt::format("{} is not a valid llama2.c checkpoint: its header asks for {} bytes, the file has {}.",
                                name, expected ? std::to_string(*expected) : "more than 2^64", bytes.size()),
                    kDamagedHint);
    }
    add_tensors(builder, *header, file);
    add_keys(builder.meta(), *header, path);
    builder.set_architecture("llama");
    for (const std::string& candidate : {fmt::format("tok{}.bin", header->vocab), std::string("tokenizer.bin")}) {
        const std::filesystem::path tokenizer = path.parent_path() / candidate;
        if (!std::filesystem::exists(tokenizer)) continue;
        add_tokenizer(builder.meta(), header->vocab, tokenizer);
        builder.list_file(tokenizer);
        break;
    }
    return builder.finish();
}

}  // namespace freehold
