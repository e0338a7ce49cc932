// Everything here is made of bytes; nothing is run.
#include "makers.h"

#include <archive.h>
#include <archive_entry.h>
#include <fmt/format.h>
#include <zlib.h>

#include <algorithm>
#include <array>
#include <random>

namespace freehold::scan_test {

std::string little(std::uint64_t value, int width) {
    std::string out;
    for (int i = 0; i < width; ++i) out += static_cast<char>(value >> (8 * i) & 0xff);
    return out;
}
std::string short_text(const std::string& text) {
    return "\x8c" + little(text.size(), 1) + text;
}
std::string text4(const std::string& text) {
    return "X" + little(text.size(), 4) + text;
}

std::vector<Payload> payloads(const std::string& module, const std::string& name) {
    const std::string arg = "echo gotcha, this never runs";
    const std::string two = "\x80\x02", four = std::string("\x80\x04"), global = "c" + module + "\n" + name + "\n";
    const auto spelt = [](const std::string& text) {  // every letter as an escape
        std::string out;
        for (const char c : text) out += fmt::format("\\x{:02x}", static_cast<unsigned char>(c));
        return out;
    };
    const auto unicode = [](const std::string& text) {
        std::string out;
        for (const char c : text) out += fmt::format("\\u{:04x}", static_cast<unsigned char>(c));
        return out;
    };
    return {
        {"protocol 0", global + "(S'" + arg + "'\ntR."},
        {"protocol 1", global + "(U" + little(arg.size(), 1) + arg + "tR."},
        {"protocol 2", two + global + "q\x01" + text4(arg) + "\x85R."},
        {"protocol 3", "\x80\x03" + global + text4(arg) + "\x85R."},
        {"protocol 4", four + "\x95" + little(60, 8) + short_text(module) + "\x94" + short_text(name) + "\x94\x93\x94" +
                           short_text(arg) + "\x85R."},
        {"protocol 5", "\x80\x05" + short_text(module) + short_text(name) + "\x93" + short_text(arg) + "\x85R."},
        {"INST", "(S'" + arg + "'\ni" + module + "\n" + name + "\n."},
        {"OBJ", "(" + global + "S'" + arg + "'\no."},
        {"NEWOBJ", two + global + text4(arg) + "\x85\x81."},
        {"NEWOBJ_EX", four + short_text(module) + short_text(name) + "\x93" + short_text(arg) + "\x85}\x92."},
        {"memo", four + short_text(name) + "\x94" + "0" + short_text(module) + "\x94" + "0h\x01h" +
                     std::string(1, '\0') + "\x93" + short_text(arg) + "\x85R."},
        {"memo by lines", "V" + module + "\np 1_0\n0V" + name + "\np+7\n0g10\ng 7\n\x93(V" + arg + "\ntR."},
        {"escaped letters", "S'" + spelt(module) + "'\nS\"" + spelt(name) + "\"\n\x93(S'x'\ntR."},
        {"escaped Unicode", "V" + unicode(module) + "\nV" + unicode(name) + "\n\x93(Vx\ntR."},
        {"popped away", two + "]" + global + text4(arg) + "\x85R0."},
        {"broken afterwards", two + global + text4(arg) + "\x85R0\xff\xff"},
        {"truncated", two + global + text4(arg) + "\x85R"},
        {"second pickle", two + "}." + two + global + text4(arg) + "\x85R."},
        {"deep inside", two + "(" + text4("weights") + "](K\x01K\x02" + global + text4(arg) + "\x85R" + "ed."},
    };
}

std::vector<Payload> harmless() {
    const std::string ordered = "ccollections\nOrderedDict\n";
    return {
        {"a list", "(lp0\nVa\np1\naVb\np2\na."},
        {"a dict", std::string("\x80\x02}q\x01(X\x05\0\0\0lossyK\x01u.", 19)},
        {"an ordered dict", "\x80\x02" + ordered + ")R."},
        {"numpy's scalar", "\x80\x04" + short_text("numpy.core.multiarray") + short_text("scalar") + "\x93\x94" +
                               short_text("numpy") + short_text("dtype") + "\x93" + short_text("f8") +
                               "\x89\x88\x87R\x43\x08" + std::string(8, 'a') + "\x86R."},
    };
}

std::string base64(const std::string& bytes, bool url) {
    const std::string digits =
        std::string("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789") + (url ? "-_" : "+/");
    std::string out;
    for (std::size_t i = 0; i < bytes.size(); i += 3) {
        std::uint32_t held = 0;
        for (std::size_t k = 0; k < 3; ++k)
            held = held << 8U | (i + k < bytes.size() ? static_cast<unsigned char>(bytes[i + k]) : 0U);
        for (std::size_t k = 0; k < 4; ++k) out += i + k > bytes.size() ? '=' : digits[held >> (18 - 6 * k) & 63U];
    }
    return out;
}

std::string base32(const std::string& bytes) {
    const std::string digits = "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";
    std::string out;
    std::uint64_t held = 0;
    int bits = 0;
    for (const char c : bytes) {
        held = held << 8U | static_cast<unsigned char>(c);
        for (bits += 8; bits >= 5; bits -= 5) out += digits[held >> static_cast<unsigned>(bits - 5) & 31U];
    }
    if (bits > 0) out += digits[held << static_cast<unsigned>(5 - bits) & 31U];
    while (out.size() % 8 != 0) out += '=';
    return out;
}

std::string base16(const std::string& bytes) {
    std::string out;
    for (const char c : bytes) out += fmt::format("{:02x}", static_cast<unsigned char>(c));
    return out;
}

std::string deflated(const std::string& bytes, int window) {
    z_stream z{};
    deflateInit2(&z, 9, Z_DEFLATED, window, 8, Z_DEFAULT_STRATEGY);
    std::string out(deflateBound(&z, bytes.size()) + 64, '\0');
    z.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(bytes.data()));
    z.avail_in = static_cast<uInt>(bytes.size());
    z.next_out = reinterpret_cast<Bytef*>(out.data());
    z.avail_out = static_cast<uInt>(out.size());
    deflate(&z, Z_FINISH);
    out.resize(z.total_out);
    deflateEnd(&z);
    return out;
}

std::string zip(const std::vector<std::pair<std::string, std::string>>& members, const ZipOptions& o) {
    std::string out, directory;
    std::size_t listed = 0;
    for (const auto& [name, bytes] : members) {
        const std::string packed = o.deflate ? deflated(bytes, -15) : bytes;
        const std::uint64_t crc = (o.false_crc ? 1U : 0U) ^ crc32(0, reinterpret_cast<const Bytef*>(bytes.data()),
                                                                  static_cast<uInt>(bytes.size()));
        const std::string common = little(o.false_encrypted ? 1 : 0, 2) + little(o.deflate ? 8 : 0, 2) + little(0, 4) +
                                   little(crc, 4) + little(packed.size(), 4) + little(bytes.size(), 4);
        const std::string own = o.own_name.empty() ? name : o.own_name;
        const std::size_t at = out.size();
        out += "PK\x03\x04" + little(20, 2) + common + little(own.size(), 2) + little(0, 2) + own + packed;
        if (o.unlisted && &name != &members.front().first) continue;
        ++listed;
        directory += "PK\x01\x02" + little(20, 2) + little(20, 2) + common + little(name.size(), 2) + little(0, 2) +
                     little(0, 2) + little(0, 2) + little(0, 2) + little(0, 4) + little(at, 4) + name;
    }
    return out + directory + "PK\x05\x06" + little(0, 4) + little(listed, 2) + little(listed, 2) +
           little(directory.size(), 4) + little(out.size(), 4) + little(0, 2);
}

std::string packed(const std::string& name, const std::string& bytes, int format, int filter) {
    archive* a = archive_write_new();
    archive_write_set_format(a, format);
    archive_write_add_filter(a, filter);
    archive_write_set_bytes_in_last_block(a, 1);
    std::string out(bytes.size() * 2 + (1 << 20), '\0');
    std::size_t used = 0;
    archive_write_open_memory(a, out.data(), out.size(), &used);
    archive_entry* entry = archive_entry_new();
    archive_entry_set_pathname(entry, name.c_str());
    archive_entry_set_size(entry, static_cast<la_int64_t>(bytes.size()));
    archive_entry_set_filetype(entry, AE_IFREG);
    archive_entry_set_perm(entry, 0644);
    archive_write_header(a, entry);
    archive_write_data(a, bytes.data(), bytes.size());
    archive_entry_free(entry);
    archive_write_close(a);
    archive_write_free(a);
    out.resize(used);
    return out;
}

std::string noise(std::size_t size) {
    std::mt19937 random(7);
    std::string out;
    for (std::size_t i = 0; i < size; ++i) out += static_cast<char>(random());
    return out;
}

std::string numpy_object(const std::string& pickle) {
    std::string header = "{'descr': '|O', 'fortran_order': False, 'shape': (1,), }";
    header.resize(117, ' ');
    header += '\n';
    return "\x93NUMPY" + std::string("\1\0", 2) + little(header.size(), 2) + header + pickle;
}

std::string safetensors(const std::string& data) {
    const std::string header =
        fmt::format(R"({{"w":{{"dtype":"U8","shape":[{0}],"data_offsets":[0,{0}]}}}})", data.size());
    return little(header.size(), 8) + header + data;
}

std::vector<Disguise> disguises() {
    std::vector<Disguise> out;
    for (const char* name : {"model.pkl", "pytorch_model.bin", "weights.txt", "image.png", "data", "config.json",
                             "model.safetensors.pkl", "README.md", "a.py"})
        out.push_back({name, [](const std::string& p) { return p; }});
    const auto zipped = [](const char* name, const std::string& member, const ZipOptions& options) {
        return Disguise{name, [member, options](const std::string& p) {
                            return zip({{"readme.txt", "hello"}, {member, p}}, options);
                        }};
    };
    out.push_back(zipped("stored.zip", "a/data.pkl", {}));
    out.push_back(zipped("deflated.zip", "a/notes.md", {true, false, false, false, ""}));
    out.push_back(zipped("model.pt", "archive/data.pkl", {}));
    out.push_back({"arrays.npz", [](const std::string& p) {
                       return zip({{"x.npy", numpy_object(p)}}, {true, false, false, false, ""});
                   }});
    out.push_back({"array.npy", numpy_object});
    out.push_back({"junk.zip", [](const std::string& p) {
                       return "#!/bin/junk\n" + zip({{"data.pkl", p}}) + "and more junk";
                   }});
    out.push_back({"weights.tar", [](const std::string& p) {
                       return packed("w.pkl", p, ARCHIVE_FORMAT_TAR_USTAR, ARCHIVE_FILTER_NONE);
                   }});
    out.push_back({"weights.tar.gz", [](const std::string& p) {
                       return packed("w.pkl", p, ARCHIVE_FORMAT_TAR_USTAR, ARCHIVE_FILTER_GZIP);
                   }});
    out.push_back({"weights.tar.xz", [](const std::string& p) {
                       return packed("w", p, ARCHIVE_FORMAT_TAR_PAX_RESTRICTED, ARCHIVE_FILTER_XZ);
                   }});
    out.push_back({"weights.7z",
                   [](const std::string& p) { return packed("w.dat", p, ARCHIVE_FORMAT_7ZIP, ARCHIVE_FILTER_NONE); }});
    out.push_back({"weights.cpio", [](const std::string& p) {
                       return packed("w.dat", p, ARCHIVE_FORMAT_CPIO_SVR4_NOCRC, ARCHIVE_FILTER_NONE);
                   }});
    out.push_back(
        {"joblib.gz", [](const std::string& p) { return packed("w", p, ARCHIVE_FORMAT_RAW, ARCHIVE_FILTER_GZIP); }});
    out.push_back(
        {"joblib.bz2", [](const std::string& p) { return packed("w", p, ARCHIVE_FORMAT_RAW, ARCHIVE_FILTER_BZIP2); }});
    out.push_back({"model.joblib.z", [](const std::string& p) { return deflated(p, 15); }});
    out.push_back({"zip in tar.gz in zip", [](const std::string& p) {
                       return zip({{"b.tgz", packed("c.zip", zip({{"d.pkl", p}}), ARCHIVE_FORMAT_TAR_USTAR,
                                                    ARCHIVE_FILTER_GZIP)}});
                   }});
    out.push_back(
        {"joblib.zst", [](const std::string& p) { return packed("w", p, ARCHIVE_FORMAT_RAW, ARCHIVE_FILTER_ZSTD); }});
    out.push_back(
        {"joblib.lz4", [](const std::string& p) { return packed("w", p, ARCHIVE_FORMAT_RAW, ARCHIVE_FILTER_LZ4); }});
    out.push_back(
        {"joblib.lzma", [](const std::string& p) { return packed("w", p, ARCHIVE_FORMAT_RAW, ARCHIVE_FILTER_LZMA); }});
    out.push_back({"old.cpio", [](const std::string& p) {
                       return packed("w", p, ARCHIVE_FORMAT_CPIO_POSIX, ARCHIVE_FILTER_NONE);
                   }});
    out.push_back({"lib.a", [](const std::string& p) {
                       return fmt::format("!<arch>\n{:<16}{:<12}{:<6}{:<6}{:<8}{:<10}`\n", "w.o/", 0, 0, 0, "100644",
                                          p.size()) +
                              p + (p.size() % 2 == 0 ? "" : "\n");
                   }});
    out.push_back({"gnu.tar.bz2", [](const std::string& p) {
                       return packed(std::string(200, 'd') + "/w", p, ARCHIVE_FORMAT_TAR_GNUTAR, ARCHIVE_FILTER_BZIP2);
                   }});
    out.push_back({"base32.txt", [](const std::string& p) { return "state " + base32(p) + "\n"; }});
    out.push_back({"lines.txt", [](const std::string& p) {
                       std::string text = base64(zip({{"w.pkl", p}}), false), lines;
                       for (std::size_t i = 0; i < text.size(); i += 76) lines += text.substr(i, 76) + "\r\n";
                       return "-----BEGIN MODEL-----\r\n" + lines + "-----END MODEL-----\r\n";
                   }});
    out.push_back({"tar in hex.txt", [](const std::string& p) {
                       return base16(packed("w", p, ARCHIVE_FORMAT_TAR_USTAR, ARCHIVE_FILTER_NONE)) + "\n";
                   }});
    out.push_back({"three deep.pkl", [](const std::string& p) {
                       const auto in = [](const std::string& b) {
                           return "\x80\x03](B" + little(b.size(), 4) + b + "K\x01" + "e.";
                       };
                       return in(in(in(p)));
                   }});
    out.push_back({"text.json", [](const std::string& p) { return "{\"state\": \"" + base64(p, false) + "\"}\n"; }});
    out.push_back({"url.txt", [](const std::string& p) { return "token=" + base64(p, true) + "\n"; }});
    out.push_back({"hex.yaml", [](const std::string& p) { return "state: " + base16(p) + "\n"; }});
    out.push_back(
        {"zlib in base64.txt", [](const std::string& p) { return "x = '" + base64(deflated(p, 15), false) + "'\n"; }});
    out.push_back({"base64 in base64.txt", [](const std::string& p) {
                       return "x = '" + base64("state: " + base64(p + std::string(40, '\0'), false), false) + "'\n";
                   }});
    out.push_back({"junk before.bin", [](const std::string& p) { return noise(3000) + p; }});
    out.push_back({"junk behind.bin", [](const std::string& p) { return p + noise(3000); }});
    out.push_back({"bytes in a pickle.pkl",
                   [](const std::string& p) { return "\x80\x03](B" + little(p.size(), 4) + p + "K\x01" + "e."; }});
    out.push_back({"base64 in a pickle.pkl",
                   [](const std::string& p) { return "\x80\x02](" + text4(base64(p, false)) + "K\x01" + "e."; }});
    out.push_back({"tensor.safetensors", [](const std::string& p) { return safetensors(noise(512) + p); }});
    return out;
}

}  // namespace freehold::scan_test
