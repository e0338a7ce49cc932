// Every setting of the server: its key in the file, its name in the environment, its flag, what it takes, what holds
// when nobody says it. This table is the truth: flags and their help, the file's reader and docs/configuration.md are
// made from it.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>

namespace freehold::cli {

struct Setting {
    enum class Kind : std::uint8_t {
        text,      // any words
        address,   // ADDR:PORT, :PORT or [ADDR]:PORT
        texts,     // a list; in the environment with commas between
        path,      // of a file or folder; absolute in the file, since nobody knows from where a service starts
        whole,     // a whole number from `least` to `most`
        number,    // any number in that range
        yes_no,    // true or false; a flag of the command line makes it true, one with `no_flag` false
        keep,      // 30s, 5m, 2h, -1 for ever
        span,      // 90d, 1y: how long something is kept
        text_map,  // names to words; in the environment NAME=WORD with commas between
    };
    const char* section;  // heading of the docs
    const char* key;      // in the file; a dot is a level ("tls.certificate")
    Kind kind;
    const char* flag;       // nullptr: file and environment only
    const char* type_name;  // as help and docs have it
    const char* standard;   // what holds when nobody says it, in words; "" when that is nothing
    const char* help;
    double least = 0, most = 0;
    const char* words = nullptr;  // the only ones, with commas between
    bool no_flag = false;         // the flag says false
    bool secret = false;          // others must not read a file that has it, and it is never printed
};

// In the order of the docs.
[[nodiscard]] std::span<const Setting> settings_table();
[[nodiscard]] const Setting* find_setting(std::span<const Setting> table, std::string_view key);
// "tls.certificate": FREEHOLD_TLS_CERTIFICATE.
[[nodiscard]] std::string environment_name(const Setting& setting);
[[nodiscard]] const char* kind_words(Setting::Kind kind) noexcept;  // "a whole number"

// The tables of docs/configuration.md, in Markdown.
[[nodiscard]] std::string settings_markdown(std::span<const Setting> table);

}  // namespace freehold::cli
