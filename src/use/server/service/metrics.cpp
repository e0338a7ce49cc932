// A registry of counters, gauges and histograms.
#include "freehold/server/metrics.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <map>
#include <mutex>

namespace freehold::server {
namespace {

enum class Kind { counter, gauge, histogram };

std::string label_text(const Labels& labels) {
    std::string out;
    for (const auto& [name, value] : labels) {
        out += out.empty() ? "" : ",";
        out += name + "=\"";
        for (const char c : value) {
            if (c == '\\' || c == '"') out += '\\';
            if (c == '\n') {
                out += "\\n";
            } else {
                out += c;
            }
        }
        out += '"';
    }
    return out;
}

std::string braced(const std::string& labels) {
    return labels.empty() ? "" : "{" + labels + "}";
}

constexpr std::size_t kRecent = 1024;
constexpr std::size_t kMostSeries = 1000;  // of one family: what a client can name must not grow without bound

}  // namespace

struct Metrics::Impl {
    struct Series {
        double value = 0;  // counter, gauge; the sum of a histogram
        std::uint64_t count = 0;
        std::vector<std::uint64_t> buckets;
        Labels labels;
    };
    struct Family {
        Kind kind = Kind::counter;
        std::string help;
        std::vector<double> bounds;
        std::map<std::string, Series> series;
        std::vector<float> recent;
        std::size_t next = 0;
    };
    mutable std::mutex mutex;
    std::map<std::string, Family, std::less<>> families;
    std::vector<std::function<void(Metrics&)>> collectors;

    void declare(const std::string& name, const std::string& help, Kind kind, std::vector<double> bounds = {}) {
        const std::lock_guard lock(mutex);
        Family& family = families[name];
        if (!family.help.empty()) return;
        family.kind = kind;
        family.help = help;
        family.bounds = std::move(bounds);
        // A number that nothing happened to yet is 0, not absent.
        if (kind == Kind::counter && family.series.empty()) family.series[""];
    }
    Series* find(std::string_view name, const Labels& labels, Family** family_out = nullptr) {
        const auto it = families.find(name);
        if (it == families.end()) return nullptr;
        Family& family = it->second;
        if (family_out != nullptr) *family_out = &family;
        const std::string key = label_text(labels);
        if (!key.empty() && family.series.size() == 1 && family.series.begin()->first.empty() &&
            family.series.begin()->second.value == 0)
            family.series.clear();
        if (family.series.size() >= kMostSeries && !family.series.contains(key)) return nullptr;
        Series& series = family.series[key];
        if (series.labels.empty()) series.labels = labels;
        return &series;
    }
};

Metrics::Metrics() : impl_(std::make_unique<Impl>()) {}
Metrics::~Metrics() = default;

void Metrics::counter(const std::string& name, const std::string& help) {
    impl_->declare(name, help, Kind::counter);
}
void Metrics::gauge(const std::string& name, const std::string& help) {
    impl_->declare(name, help, Kind::gauge);
}
void Metrics::histogram(const std::string& name, const std::string& help, std::vector<double> bounds) {
    impl_->declare(name, help, Kind::histogram, std::move(bounds));
}

void Metrics::add(std::string_view name, const Labels& labels, double amount) {
    const std::lock_guard lock(impl_->mutex);
    if (auto* series = impl_->find(name, labels)) series->value += amount;
}

void Metrics::set(std::string_view name, const Labels& labels, double value) {
    const std::lock_guard lock(impl_->mutex);
    if (auto* series = impl_->find(name, labels)) series->value = value;
}

void Metrics::observe(std::string_view name, double value, const Labels& labels) {
    const std::lock_guard lock(impl_->mutex);
    Impl::Family* family = nullptr;
    auto* series = impl_->find(name, labels, &family);
    if (series == nullptr) return;
    series->buckets.resize(family->bounds.size());
    for (std::size_t i = 0; i < family->bounds.size(); ++i) {
        if (value <= family->bounds[i]) ++series->buckets[i];
    }
    ++series->count;
    series->value += value;
    if (family->recent.size() < kRecent) {
        family->recent.push_back(static_cast<float>(value));
    } else {
        family->recent[family->next] = static_cast<float>(value);
    }
    family->next = (family->next + 1) % kRecent;
}

void Metrics::on_collect(std::function<void(Metrics&)> collect) {
    const std::lock_guard lock(impl_->mutex);
    impl_->collectors.push_back(std::move(collect));
}

double Metrics::quantile(std::string_view name, double q) const {
    std::vector<float> values;
    {
        const std::lock_guard lock(impl_->mutex);
        const auto it = impl_->families.find(name);
        if (it == impl_->families.end()) return 0;
        values = it->second.recent;
    }
    if (values.empty()) return 0;
    const auto at = static_cast<std::ptrdiff_t>(std::lround(q * static_cast<double>(values.size() - 1)));
    std::nth_element(values.begin(), values.begin() + at, values.end());
    return static_cast<double>(values[static_cast<std::size_t>(at)]);
}

double Metrics::total(std::string_view name) const {
    const std::lock_guard lock(impl_->mutex);
    const auto it = impl_->families.find(name);
    double sum = 0;
    if (it != impl_->families.end()) {
        for (const auto& [labels, series] : it->second.series) sum += series.value;
    }
    return sum;
}

std::string Metrics::text(const std::function<bool(const Labels&)>& shown) {
    std::vector<std::function<void(Metrics&)>> collectors;
    {
        const std::lock_guard lock(impl_->mutex);
        collectors = impl_->collectors;
    }
    for (const auto& collect : collectors) collect(*this);
    constexpr std::array kTypes = {"counter", "gauge", "histogram"};
    std::string out;
    const std::lock_guard lock(impl_->mutex);
    for (const auto& [name, family] : impl_->families) {
        out += fmt::format("# HELP {} {}\n# TYPE {} {}\n", name, family.help, name,
                           kTypes[static_cast<std::size_t>(family.kind)]);
        for (const auto& [labels, series] : family.series) {
            if (shown && !shown(series.labels)) continue;
            if (family.kind != Kind::histogram) {
                out += fmt::format("{}{} {}\n", name, braced(labels), series.value);
                continue;
            }
            const std::string more = labels.empty() ? "" : labels + ",";
            for (std::size_t i = 0; i < series.buckets.size(); ++i)
                out += fmt::format("{}_bucket{{{}le=\"{}\"}} {}\n", name, more, family.bounds[i], series.buckets[i]);
            out += fmt::format("{}_bucket{{{}le=\"+Inf\"}} {}\n", name, more, series.count);
            out += fmt::format("{}_sum{} {}\n{}_count{} {}\n", name, braced(labels), series.value, name, braced(labels),
                               series.count);
        }
    }
    return out;
}

}  // namespace freehold::server
