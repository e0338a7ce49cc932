// Metadata with bounds: a number outside what a model can be is a sentence, never a size that memory is taken for.
#include "meta_reader.h"

#include <cmath>

#include "freehold/base/error.h"

namespace freehold {

const Value* MetaReader::raw(std::string_view key) const {
    const Value* const v = find(files_.meta(), prefix_ + std::string(key));
    return v == nullptr || v->is_null() ? nullptr : v;
}

std::string MetaReader::where() const {
    return is_hf() ? "config.json of " + files_.path().string() : files_.path().string();
}

void MetaReader::refuse(std::string_view key, const std::string& why) const {
    throw Error(ErrorKind::bad_file, where() + ": key '" + prefix_ + std::string(key) + "' " + why + ".",
                "The file is damaged or was converted wrongly; fetch it again or convert it anew.");
}

void MetaReader::not_handled(std::string_view key, const std::string& why) const {
    throw Error(ErrorKind::unsupported,
                where() + ": key '" + prefix_ + std::string(key) + "' " + why + ", which this build does not handle.",
                "Use another variant of the model, or a newer Freehold.");
}

const Value& MetaReader::must(std::string_view key) const {
    const Value* const v = raw(key);
    if (v == nullptr) refuse(key, "is missing");
    return *v;
}

int MetaReader::whole(std::string_view key, std::int64_t low, std::int64_t high) const {
    const std::optional<std::int64_t> n = must(key).as_int();
    if (!n) refuse(key, "is not a whole number");
    if (*n < low || *n > high) {
        refuse(key, "is " + std::to_string(*n) + "; it must be between " + std::to_string(low) + " and " +
                        std::to_string(high));
    }
    return static_cast<int>(*n);
}

int MetaReader::whole_or(std::string_view key, int otherwise, std::int64_t low, std::int64_t high) const {
    return has(key) ? whole(key, low, high) : otherwise;
}

std::vector<int> MetaReader::per_layer(std::string_view key, int n_layers, int otherwise, std::int64_t low,
                                       std::int64_t high) const {
    const auto n = static_cast<std::size_t>(n_layers);
    if (!has(key)) return std::vector<int>(n, otherwise);
    const Value& v = *raw(key);
    if (v.as_int()) return std::vector<int>(n, whole(key, low, high));
    if (v.size() != n)
        refuse(key, "has " + std::to_string(v.size()) + " entries for " + std::to_string(n_layers) + " layers");
    std::vector<int> out;
    for (std::size_t i = 0; i < n; ++i) {
        const std::optional<std::int64_t> x = v.at(i).as_int();
        if (!x || *x < low || *x > high) {
            refuse(key, "has an entry for layer " + std::to_string(i) + " that is no whole number between " +
                            std::to_string(low) + " and " + std::to_string(high));
        }
        out.push_back(static_cast<int>(*x));
    }
    return out;
}

double MetaReader::real(std::string_view key, double low, double high) const {
    const std::optional<double> x = must(key).as_double();
    if (!x) refuse(key, "is not a number");
    if (!std::isfinite(*x) || *x < low || *x > high) {
        refuse(key, "is " + std::to_string(*x) + "; it must be a finite number between " + std::to_string(low) +
                        " and " + std::to_string(high));
    }
    return *x;
}

double MetaReader::real_or(std::string_view key, double otherwise, double low, double high) const {
    return has(key) ? real(key, low, high) : otherwise;
}

bool MetaReader::flag_or(std::string_view key, bool otherwise) const {
    if (!has(key)) return otherwise;
    const std::optional<bool> b = raw(key)->as_bool();
    if (!b) refuse(key, "is not true or false");
    return *b;
}

std::optional<std::string> MetaReader::text(std::string_view key) const {
    if (!has(key)) return std::nullopt;
    const std::optional<std::string_view> s = raw(key)->as_string();
    if (!s) refuse(key, "is not a text");
    return std::string(*s);
}

}  // namespace freehold
