// Numbers that a monitoring system reads (Prometheus text format 0.0.4), and the page too.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace freehold::server {

using Labels = std::vector<std::pair<std::string, std::string>>;

class Metrics {
 public:
    Metrics();
    ~Metrics();
    Metrics(const Metrics&) = delete;
    Metrics& operator=(const Metrics&) = delete;

    // A family is declared before its first number; declaring it again changes nothing.
    void counter(const std::string& name, const std::string& help);
    void gauge(const std::string& name, const std::string& help);
    // bounds: upper bounds of the buckets, rising, without infinity.
    void histogram(const std::string& name, const std::string& help, std::vector<double> bounds);

    void add(std::string_view name, const Labels& labels = {}, double amount = 1);
    void set(std::string_view name, const Labels& labels, double value);
    void observe(std::string_view name, double value, const Labels& labels = {});
    // Called before each rendering, to set gauges from what is true now.
    void on_collect(std::function<void(Metrics&)> collect);

    // A quantile of the last observations of a histogram over all its labels (exact among the last 1024); 0 without.
    [[nodiscard]] double quantile(std::string_view name, double q) const;
    [[nodiscard]] double total(std::string_view name) const;  // of a counter, over all labels
    // `shown`: which series, by their labels; empty: all.
    [[nodiscard]] std::string text(const std::function<bool(const Labels&)>& shown = {});

 private:
    struct Impl;
    std::unique_ptr<Impl> impl_;
};

}  // namespace freehold::server
