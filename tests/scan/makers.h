// Payloads, containers and disguises that the tests of the scanner make at run time.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <utility>
#include <vector>

namespace freehold::scan_test {

struct Payload {
    std::string what, bytes;
};
// Ways to have `module.name(argument)` called.
std::vector<Payload> payloads(const std::string& module, const std::string& name);
std::vector<Payload> harmless();

std::string little(std::uint64_t value, int width);
std::string short_text(const std::string& text);  // opcode SHORT_BINUNICODE
std::string text4(const std::string& text);       // opcode BINUNICODE
std::string base64(const std::string& bytes, bool url);
std::string base32(const std::string& bytes);
std::string base16(const std::string& bytes);
std::string deflated(const std::string& bytes, int window);
std::string noise(std::size_t size);
std::string numpy_object(const std::string& pickle);
std::string safetensors(const std::string& data);

struct ZipOptions {
    bool deflate = false, false_encrypted = false, false_crc = false, unlisted = false;
    std::string own_name;
};
std::string zip(const std::vector<std::pair<std::string, std::string>>& members, const ZipOptions& options = {});
// One member in an archive of libarchive's.
std::string packed(const std::string& name, const std::string& bytes, int format, int filter);

struct Disguise {
    std::string name;
    std::function<std::string(const std::string&)> make;
};
std::vector<Disguise> disguises();

}  // namespace freehold::scan_test
