// GGUF out: values in the types that readers expect, tensors at aligned offsets, all through one atomic file.
#include "freehold/formats/gguf_writer.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <bit>
#include <limits>
#include <optional>

#include "freehold/base/error.h"
#include "freehold/base/file.h"

namespace freehold {

namespace {

template <class T>
void put(std::string& out, T value) {
    std::array<char, sizeof(T)> bytes{};
    std::memcpy(bytes.data(), &value, sizeof(T));
    out.append(bytes.data(), bytes.size());
}

void put_string(std::string& out, std::string_view text) {
    put<std::uint64_t>(out, text.size());
    out += text;
}

[[noreturn]] void refuse(std::string_view key, std::string_view why) {
    throw Error(ErrorKind::usage, fmt::format("GGUF key \"{}\" cannot be written: {}.", key, why));
}

// Writes a whole number as T, or says that it does not fit.
template <class T>
void put_integer(std::string& out, std::string_view key, const Value& value) {
    bool fits = false;
    T narrow{};
    if (const auto* u = value.get<std::uint64_t>()) {
        narrow = static_cast<T>(*u);
        fits = std::in_range<T>(*u);
    } else if (const auto i = value.as_int()) {
        narrow = static_cast<T>(*i);
        fits = std::in_range<T>(*i);
    }
    if (!fits) refuse(key, fmt::format("{} does not fit its type", to_json(value)));
    put<T>(out, narrow);
}

void put_scalar(std::string& out, std::string_view key, GgufType type, const Value& value) {
    switch (type) {
        case GgufType::u8:
            return put_integer<std::uint8_t>(out, key, value);
        case GgufType::i8:
            return put_integer<std::int8_t>(out, key, value);
        case GgufType::u16:
            return put_integer<std::uint16_t>(out, key, value);
        case GgufType::i16:
            return put_integer<std::int16_t>(out, key, value);
        case GgufType::u32:
            return put_integer<std::uint32_t>(out, key, value);
        case GgufType::i32:
            return put_integer<std::int32_t>(out, key, value);
        case GgufType::u64:
            return put_integer<std::uint64_t>(out, key, value);
        case GgufType::i64:
            return put_integer<std::int64_t>(out, key, value);
        case GgufType::f32:
        case GgufType::f64: {
            const auto number = value.as_double();
            if (!number) refuse(key, fmt::format("{} is no number", to_json(value)));
            return type == GgufType::f32 ? put(out, static_cast<float>(*number)) : put(out, *number);
        }
        case GgufType::boolean:
            if (!value.as_bool()) refuse(key, fmt::format("{} is neither true nor false", to_json(value)));
            return put<std::uint8_t>(out, *value.as_bool() ? 1 : 0);
        case GgufType::string:
            if (!value.as_string()) refuse(key, fmt::format("{} is no text", to_json(value)));
            return put_string(out, *value.as_string());
        case GgufType::array:
            break;
    }
    refuse(key, "a list is set without a type");
}

GgufType integer_type(std::string_view key, const Value& value) {
    if (const auto* u = value.get<std::uint64_t>()) {
        if (*u > std::numeric_limits<std::uint32_t>::max()) return GgufType::u64;
        return GgufType::u32;
    }
    const auto i = value.as_int();
    if (!i) refuse(key, "it is no whole number");
    if (*i >= 0) return *i <= std::numeric_limits<std::uint32_t>::max() ? GgufType::u32 : GgufType::u64;
    return *i >= std::numeric_limits<std::int32_t>::min() ? GgufType::i32 : GgufType::i64;
}

GgufType type_of(std::string_view key, const Value& value) {
    if (value.get<bool>() != nullptr) return GgufType::boolean;
    if (value.get<std::string>() != nullptr) return GgufType::string;
    if (value.get<double>() != nullptr) return GgufType::f32;
    if (value.get<std::int64_t>() != nullptr || value.get<std::uint64_t>() != nullptr) return integer_type(key, value);
    if (value.is_null() || value.get<ValueMap>() != nullptr) refuse(key, "GGUF has neither null nor maps");
    return GgufType::array;
}

// The one type of all elements; whole numbers of several widths become the narrowest that holds all.
GgufType element_type(std::string_view key, const ValueList& list) {
    if (list.empty()) return GgufType::i32;
    GgufType type = type_of(key, list[0]);
    const auto is_whole = [](GgufType t) {
        return t == GgufType::u32 || t == GgufType::i32 || t == GgufType::u64 || t == GgufType::i64;
    };
    if (!is_whole(type)) {
        for (const Value& v : list) {
            if (type_of(key, v) != type) refuse(key, "the elements of its list are of several kinds");
        }
        return type;
    }
    std::int64_t least = 0, most = 0;
    bool beyond = false;
    for (const Value& v : list) {
        if (!is_whole(type_of(key, v))) refuse(key, "the elements of its list are of several kinds");
        beyond = beyond || !v.as_int();
        least = std::min(least, v.as_int().value_or(0));
        most = std::max(most, v.as_int().value_or(0));
    }
    if (beyond) return GgufType::u64;  // a negative neighbour is refused when it is written
    if (std::in_range<std::int32_t>(least) && std::in_range<std::int32_t>(most)) return GgufType::i32;
    return least >= 0 && std::in_range<std::uint32_t>(most) ? GgufType::u32 : GgufType::i64;
}

void put_array(std::string& out, std::string_view key, const Value& value) {
    const auto begin = [&](GgufType type) {
        put(out, static_cast<std::uint32_t>(type));
        put<std::uint64_t>(out, value.size());
    };
    if (const auto* texts = value.get<std::vector<std::string>>()) {
        begin(GgufType::string);
        for (const std::string& text : *texts) put_string(out, text);
    } else if (const auto* reals = value.get<std::vector<float>>()) {
        begin(GgufType::f32);
        for (const float f : *reals) put(out, f);
    } else if (const auto* numbers = value.get<std::vector<std::int32_t>>()) {
        begin(GgufType::i32);
        for (const std::int32_t i : *numbers) put(out, i);
    } else if (const auto* list = value.get<ValueList>()) {
        const GgufType type = element_type(key, *list);
        begin(type);
        for (const Value& v : *list) type == GgufType::array ? put_array(out, key, v) : put_scalar(out, key, type, v);
    }
}

}  // namespace

GgufWriter::GgufWriter(std::uint32_t alignment) : alignment_(alignment) {
    if (!std::has_single_bit(alignment)) {
        throw Error(ErrorKind::usage, fmt::format("The alignment {} of a GGUF file is not a power of two.", alignment));
    }
    if (alignment != 32) set("general.alignment", Value(std::int64_t{alignment}));
}

void GgufWriter::begin_key(std::string key) {
    if (key.empty() || key.size() > 65535) refuse(key.substr(0, 100), "its name must have 1 to 65535 bytes");
    if (std::find(key_names_.begin(), key_names_.end(), key) != key_names_.end()) refuse(key, "it is set already");
    put_string(keys_, key);
    key_names_.push_back(std::move(key));
    ++n_keys_;
}

void GgufWriter::set(std::string key, const Value& value) {
    const GgufType type = type_of(key, value);
    if (type != GgufType::array) return set(std::move(key), type, value);
    std::string body;
    put_array(body, key, value);
    begin_key(std::move(key));
    put(keys_, static_cast<std::uint32_t>(GgufType::array));
    keys_ += body;
}

void GgufWriter::set(std::string key, GgufType type, const Value& value) {
    std::string body;
    put_scalar(body, key, type, value);
    begin_key(std::move(key));
    put(keys_, static_cast<std::uint32_t>(type));
    keys_ += body;
}

void GgufWriter::set_raw(std::string key, std::span<const std::byte> typed_value) {
    begin_key(std::move(key));
    keys_.append(reinterpret_cast<const char*>(typed_value.data()), typed_value.size());
}

void GgufWriter::add_tensor(std::string name, Tensor tensor) {
    const DType dtype = tensor.dtype();
    const Shape shape = tensor.shape();
    add_tensor(std::move(name), dtype, shape, [held = std::move(tensor)] { return held; });
}

void GgufWriter::add_tensor(std::string name, DType dtype, Shape shape, std::function<Tensor()> make) {
    if (static_cast<std::uint32_t>(dtype) >= 128) {
        throw Error(ErrorKind::usage,
                    fmt::format("Tensor \"{}\" is stored as {}, which GGUF has not.", name, dtype_name(dtype)));
    }
    static_cast<void>(bytes_for(dtype, shape));
    for (const Entry& e : tensors_) {
        if (e.name == name)
            throw Error(ErrorKind::usage, fmt::format("Tensor \"{}\" is added to a GGUF file twice.", name));
    }
    tensors_.push_back({std::move(name), dtype, shape, std::move(make)});
}

std::string GgufWriter::header() const {
    std::string out = "GGUF";
    put<std::uint32_t>(out, 3);
    put<std::uint64_t>(out, tensors_.size());
    put<std::uint64_t>(out, n_keys_);
    out += keys_;
    std::uint64_t offset = 0;
    for (const Entry& e : tensors_) {
        put_string(out, e.name);
        put(out, static_cast<std::uint32_t>(e.shape.rank()));
        for (int d = e.shape.rank() - 1; d >= 0; --d)
            put(out, static_cast<std::uint64_t>(e.shape[d]));  // fastest first
        put(out, static_cast<std::uint32_t>(e.dtype));
        put(out, offset);
        offset += padded(bytes_for(e.dtype, e.shape));
    }
    out.resize(padded(out.size()), '\0');
    return out;
}

std::uint64_t GgufWriter::file_size() const {
    std::uint64_t size = header().size();
    for (const Entry& e : tensors_) size += padded(bytes_for(e.dtype, e.shape));
    return size;
}

void GgufWriter::write(const std::filesystem::path& path, const Progress& progress) const {
    AtomicFile file(path);
    const std::string head = header();
    const std::uint64_t total = file_size();
    file.write(head);
    for (const Entry& e : tensors_) {
        const Tensor tensor = e.make();
        if (tensor.dtype() != e.dtype || !(tensor.shape() == e.shape)) {
            throw Error(ErrorKind::internal, fmt::format("Tensor \"{}\" came as {} {} where {} {} was announced.",
                                                         e.name, dtype_name(tensor.dtype()), tensor.shape().str(),
                                                         dtype_name(e.dtype), e.shape.str()));
        }
        const std::size_t nbytes = bytes_for(e.dtype, e.shape);
        file.write({tensor.data(), nbytes});
        file.write(std::string(padded(nbytes) - nbytes, '\0'));
        if (progress) progress({"writing " + path.filename().string(), file.written(), total, "B"});
    }
    file.commit();
}

}  // namespace freehold
