// Shapes that scanners are known to miss, each with a twin that must stay clean: what readers disagree about, names
// that are put together, files that are two things at once, code in places where nobody looks for it.
#include <archive.h>
#include <archive_entry.h>
#include <fmt/format.h>

#include "makers.h"
#include "support.h"

namespace freehold::scan_test {
namespace {

#define EXPECT_RULE(rule, bytes, name)                           \
    do {                                                         \
        const auto looked = look(bytes, name);                   \
        EXPECT_TRUE(has(looked, rule)) << name << shown(looked); \
    } while (false)
#define EXPECT_CLEAN(bytes, name)                                                           \
    do {                                                                                    \
        const auto looked = look(bytes, name);                                              \
        EXPECT_EQ(looked.outcome(), scan::Outcome::clean) << name << ": " << shown(looked); \
    } while (false)

std::string system_call() {
    return payloads("os", "system")[2].bytes;
}

// --- pickles ---------------------------------------------------------------------------------------------------------

TEST(ScanShapes, GamesWithTheMemo) {
    const std::string start = "\x80\x04";
    // PUT under far keys first: MEMOIZE goes on with the number of entries, not with the highest key.
    EXPECT_RULE("pickle.dangerous-import",
                start + short_text("os") + "r" + little(70000, 4) + short_text("system") + "\x94" + "00" + "j" +
                    little(70000, 4) + "h\x01" + "\x93" + short_text("id") + "\x85R.",
                "m.pkl");
    // The same key again: the last one counts.
    EXPECT_RULE("pickle.dangerous-import",
                start + short_text("math") + "q\x01" + "0" + short_text("os") + "q\x01" + "0h\x01" +
                    short_text("system") + "\x93" + short_text("id") + "\x85R.",
                "m.pkl");
    // Copies of the top, and what is thrown away up to a mark.
    EXPECT_RULE("pickle.dangerous-import",
                start + short_text("os") + "2" + "(K\x01K\x02" + "1" + "0" + short_text("system") + "\x93" +
                    short_text("id") + "\x85R.",
                "m.pkl");
    // In a dictionary, where only a loader that makes objects could look it up: the import is seen all the same.
    EXPECT_RULE("pickle.dangerous-import",
                start + "}(" + short_text("a") + short_text("os") + short_text("system") + "\x93" + "u.", "m.pkl");
}

TEST(ScanShapes, NamesThatAreMade) {
    const std::string start = "\x80\x04";
    const auto global = [](const std::string& module, const std::string& name) {
        return short_text(module) + short_text(name) + "\x93";
    };
    EXPECT_RULE("pickle.computed-import",
                start + global("_codecs", "encode") + short_text("bf") + short_text("rot13") + "\x86R" +
                    short_text("system") + "\x93" + short_text("id") + "\x85R.",
                "m.pkl");
    EXPECT_RULE("pickle.dangerous-import", start + global("builtins", "getattr") + "N" + short_text("x") + "\x86R.",
                "m.pkl");
    EXPECT_RULE("pickle.dangerous-import", start + global("collections", "abc.sys.modules") + ".", "m.pkl");
    EXPECT_RULE("pickle.dangerous-import", start + global("dill._dill", "_create_function") + ".", "m.pkl");
    EXPECT_RULE("pickle.dangerous-import", start + global("cloudpickle.cloudpickle", "_make_function") + ".", "m.pkl");
    EXPECT_RULE("pickle.dangerous-import", start + global("functools", "partial") + ".", "m.pkl");
    EXPECT_RULE("pickle.nested-load",
                start + global("torch.storage", "_load_from_bytes") + "C" + little(2, 1) + "N." + "\x85R.", "m.pkl");
    EXPECT_RULE("pickle.computed-call",
                start + global("collections", "OrderedDict") + ")R" + short_text("x") + "\x85R.", "m.pkl");
    EXPECT_RULE("pickle.changes-code", start + global("collections", "OrderedDict") + "}" + short_text("x") + "Nsb.",
                "m.pkl");
}

TEST(ScanShapes, FramesAndProtocolsThatLie) {
    const std::string call = "cos\nsystem\n" + text4("id") + "\x85R.";
    for (const std::string& head : {std::string("\x80\x02"), std::string("\x80\x05"), "\x80\x04\x95" + little(3, 8),
                                    "\x80\x04\x95" + little(1ULL << 40, 8), std::string("\x80\x02\x80\x02")})
        EXPECT_RULE("pickle.dangerous-import", head + call, "m.pkl");
    // Behind a STOP others read on; behind a broken one the search goes on.
    EXPECT_RULE("pickle.dangerous-import", "\x80\x02N." + std::string(50, 'x') + "\x80\x02" + call, "m.pkl");
}

TEST(ScanShapes, TorchFilesOfAllTimes) {
    // Until 0.1.9 a tar file of four members without endings.
    EXPECT_RULE("pickle.dangerous-import",
                packed("pickle", system_call(), ARCHIVE_FORMAT_TAR_GNUTAR, ARCHIVE_FILTER_NONE), "model.pt");
    // Then five pickles behind each other: a magic number, a version, the system, the object, the keys.
    const std::string magic = "\x80\x02\x8a\x0a\x6c\xfc\x9c\x46\xf9\x20\x6a\xa8\x50\x19.";
    const std::string version = std::string("\x80\x02M\xe9\x03.", 6), system = "\x80\x02}.";
    EXPECT_RULE("pickle.dangerous-import", magic + version + system + system_call() + "\x80\x02].", "model.pt");
    EXPECT_CLEAN(magic + version + system + "\x80\x02" + "ccollections\nOrderedDict\n)R." + "\x80\x02].", "model.pt");
}

TEST(ScanShapes, TorchScript) {
    const std::string data = std::string("\x80\x02") + "c__torch__\nNet\n)\x81}b.";
    const auto script = [&](const std::string& code) {
        return zip({{"m/data.pkl", data},
                    {"m/constants.pkl", "\x80\x02)."},
                    {"m/code/__torch__.py", code},
                    {"m/version", "3\n"}});
    };
    EXPECT_CLEAN(script("class Net(Module):\n  def forward(self, x: Tensor) -> Tensor:\n    return torch.relu(x)\n"),
                 "m.pt");
    EXPECT_RULE("torchscript.file", script("def f(x):\n  y = torch.from_file(\"/etc/passwd\", False, 10)\n"), "m.pt");
    EXPECT_RULE("torchscript.file", script("def f(x):\n  torch.save(x, \"/home/user/.bashrc\")\n"), "m.pt");
    // What only pretends to be TorchScript is read by pickle, and its names are imported from Python.
    EXPECT_RULE("pickle.unknown-import", zip({{"m/data.pkl", data}, {"other/constants.pkl", "\x80\x02)."}}), "m.pt");
    EXPECT_RULE("code.process",
                zip({{"m/data.pkl", "\x80\x02N."},
                     {"m/constants.pkl", "\x80\x02)."},
                     {"m/setup.py", "import os\nos.system('id')\n"}}),
                "m.pt");
}

// --- archives --------------------------------------------------------------------------------------------------------

TEST(ScanShapes, MethodsBeyondDeflate) {
    const auto with_method = [](unsigned method, int filter, const std::string& bytes) {
        std::string out = zip({{"w.pkl", bytes}});
        // The member's data are those of a compressed file of one stream.
        const std::string data = packed("w", bytes, ARCHIVE_FORMAT_RAW, filter);
        const std::size_t local = 30 + 5, directory = local + bytes.size();
        const auto patch = [&](std::size_t at, std::uint64_t value, int width) {
            out.replace(at, static_cast<std::size_t>(width), little(value, width));
        };
        patch(8, method, 2);
        patch(18, data.size(), 4);
        patch(directory + 10, method, 2);
        patch(directory + 20, data.size(), 4);
        const std::size_t end = out.rfind("PK\x05\x06");
        patch(end + 16, local + data.size(), 4);
        out.replace(local, bytes.size(), data);
        return out;
    };
    for (const auto& [method, filter] : std::vector<std::pair<unsigned, int>>{
             {12, ARCHIVE_FILTER_BZIP2}, {93, ARCHIVE_FILTER_ZSTD}, {95, ARCHIVE_FILTER_XZ}}) {
        EXPECT_RULE("pickle.dangerous-import", with_method(method, filter, system_call()), "m.zip");
        EXPECT_CLEAN(with_method(method, filter, harmless()[2].bytes), "m.zip");
        auto broken = with_method(method, filter, system_call());
        broken.resize(38);
        EXPECT_NE(look(broken, "m.zip").outcome(), scan::Outcome::clean);
    }
    const auto unknown = look(with_method(19, ARCHIVE_FILTER_BZIP2, "hello"), "m.zip");
    EXPECT_EQ(unknown.outcome(), scan::Outcome::not_scanned) << shown(unknown);
}

TEST(ScanShapes, DirectoriesThatHideData) {
    const std::string payload = system_call();
    // The directory says that the member is shorter than its own header does.
    std::string out = zip({{"a.txt", "hello" + payload}});
    const std::size_t directory = out.find("PK\x01\x02");
    out.replace(directory + 20, 4, little(5, 4));
    out.replace(directory + 24, 4, little(5, 4));
    EXPECT_RULE("archive.mismatch", out, "m.zip");
    EXPECT_RULE("pickle.dangerous-import", out, "m.zip");
    // ... or empty, and the data are packed: only who reads from the front unpacks them.
    out = zip({{"a.txt", payload}}, {true, false, false, false, ""});
    const std::size_t listed = out.find("PK\x01\x02");
    for (const std::size_t at : {listed + 20, listed + 24, std::size_t{18}, std::size_t{22}})
        out.replace(at, 4, little(0, 4));
    out.replace(6, 2, little(8, 2));
    out.replace(listed + 8, 2, little(8, 2));
    EXPECT_RULE("archive.mismatch", out, "m.zip");
    EXPECT_RULE("pickle.dangerous-import", out, "m.zip");
    // In the extra field of a member, before its data or in the directory; in the remark of the archive.
    const auto put = [](std::string& bytes, std::size_t at, int width, std::uint64_t more) {
        for (int i = 0; i < width; ++i, more >>= 8U) {
            more += static_cast<unsigned char>(bytes[at + static_cast<std::size_t>(i)]);
            bytes[at + static_cast<std::size_t>(i)] = static_cast<char>(more & 0xffU);
        }
    };
    for (const std::string& hidden : {payload, harmless()[2].bytes}) {
        const std::string field = std::string("XX") + static_cast<char>(hidden.size() & 0xff) +
                                  static_cast<char>(hidden.size() >> 8U) + hidden;
        const std::string plain = zip({{"a.txt", "hello"}});
        for (const bool in_directory : {false, true}) {
            std::string holding = plain;
            const std::size_t list = holding.find("PK\x01\x02"), end = holding.find("PK\x05\x06");
            put(holding, end + (in_directory ? 12 : 16), 4, field.size());
            put(holding, in_directory ? list + 30 : 28, 2, field.size());
            holding.insert(in_directory ? list + 46 + 5 : 30 + 5, field);
            if (hidden == payload) {
                EXPECT_RULE("pickle.dangerous-import", holding, "m.zip");
            } else {
                EXPECT_CLEAN(holding, "m.zip");
            }
        }
        std::string remark = plain;
        put(remark, remark.size() - 2, 2, hidden.size());
        remark += hidden;
        if (hidden == payload) {
            EXPECT_RULE("pickle.dangerous-import", remark, "m.zip");
        } else {
            EXPECT_CLEAN(remark, "m.zip");
        }
    }
    // A pickle between two members.
    const std::string first = zip({{"a", "x"}}), second = zip({{"b", "y"}});
    EXPECT_RULE("pickle.dangerous-import", first + payload + second, "m.zip");
}

TEST(ScanShapes, TwoThingsAtOnce) {
    const std::string gguf = read(fs::path(FREEHOLD_SOURCE_DIR) / "tests/golden/formats/all.gguf");
    {
        ASSERT_FALSE(gguf.empty());
        EXPECT_CLEAN(gguf, "m.gguf");
        EXPECT_RULE("pickle.dangerous-import", gguf + zip({{"data.pkl", system_call()}}), "m.gguf");
        EXPECT_RULE("pickle.dangerous-import", gguf + system_call(), "m.gguf");
    }
    EXPECT_RULE("pickle.dangerous-import", safetensors(zip({{"data.pkl", system_call()}})), "m.safetensors");
    EXPECT_RULE("pickle.dangerous-import", "\x80\x02N." + zip({{"data.pkl", system_call()}}), "m.pkl");
    EXPECT_RULE("pickle.dangerous-import", system_call() + zip({{"hello.txt", "hello"}}), "m.pkl");
    EXPECT_RULE("pickle.dangerous-import", "\x89PNG\r\n\x1a\n" + noise(200) + zip({{"a/data.pkl", system_call()}}),
                "m.png");
}

std::string tar_with_link(const std::string& name, const std::string& target, bool hard) {
    archive* a = archive_write_new();
    archive_write_set_format_gnutar(a);
    std::string out(1 << 16, '\0');
    std::size_t used = 0;
    archive_write_open_memory(a, out.data(), out.size(), &used);
    archive_entry* entry = archive_entry_new();
    archive_entry_set_pathname(entry, name.c_str());
    if (hard) {
        archive_entry_set_filetype(entry, AE_IFREG);
        archive_entry_set_hardlink(entry, target.c_str());
    } else {
        archive_entry_set_filetype(entry, AE_IFLNK);
        archive_entry_set_symlink(entry, target.c_str());
    }
    archive_write_header(a, entry);
    archive_entry_free(entry);
    archive_write_close(a);
    archive_write_free(a);
    out.resize(used);
    return out;
}

TEST(ScanShapes, LinksInArchives) {
    for (const char* target : {"/etc/passwd", "../../x", "a/../../../x"})
        EXPECT_RULE("archive.link", tar_with_link("a/b", target, false), "m.tar");
    EXPECT_RULE("archive.traversal", tar_with_link("a/b", "/etc/passwd", true), "m.tar");
    EXPECT_CLEAN(tar_with_link("a/b", "c", false), "m.tar");
    EXPECT_CLEAN(tar_with_link("a/b", "../c", false), "m.tar");
    // A header from before POSIX has no mark but its sum.
    std::string old = packed("../x", "hello", ARCHIVE_FORMAT_TAR_USTAR, ARCHIVE_FILTER_NONE);
    std::fill(old.begin() + 257, old.begin() + 265, '\0');
    unsigned sum = 0;
    for (std::size_t i = 0; i < 512; ++i) sum += i >= 148 && i < 156 ? ' ' : static_cast<unsigned char>(old[i]);
    old.replace(148, 8, fmt::format("{:06o}", sum) + std::string("\0 ", 2));
    EXPECT_RULE("archive.traversal", old, "m.bin");
}

TEST(ScanShapes, SafetensorsThatBreakTheirFormat) {
    const auto file = [](const std::string& header, std::size_t data) {
        return little(header.size(), 8) + header + std::string(data, '\0');
    };
    const std::string entry = R"({"dtype":"U8","shape":[4],"data_offsets":[0,4]})";
    EXPECT_CLEAN(file(R"({"w":)" + entry + "}", 4), "m.safetensors");
    EXPECT_RULE("format.damaged", file(R"({"w":)" + entry + R"(,"w":)" + entry + "}", 4), "m.safetensors");
    EXPECT_RULE("format.damaged", file(R"({"w":)" + entry + "}", 3), "m.safetensors");
    EXPECT_RULE("format.damaged", file(R"({"a":)" + entry + R"(,"b":)" + entry + "}", 4), "m.safetensors");
}

TEST(ScanShapes, NumpyHeadersThatAreNone) {
    const auto array = [](const std::string& header) {
        return "\x93NUMPY" + std::string("\1\0", 2) + little(header.size(), 2) + header + std::string(8, '\0');
    };
    EXPECT_CLEAN(array("{'descr': '<f8', 'fortran_order': False, 'shape': (1,), }\n"), "a.npy");
    EXPECT_RULE("format.damaged", array("{'descr': __import__('os').system('id'), 'shape': (1,), }\n"), "a.npy");
}

// --- graphs ----------------------------------------------------------------------------------------------------------

std::string field(unsigned number, const std::string& bytes) {
    std::string out;
    out += static_cast<char>(number << 3U | 2U);
    if (number >= 16)
        out = std::string(1, static_cast<char>((number << 3U | 2U) | 0x80U)) + static_cast<char>(number >> 4U);
    std::size_t n = bytes.size();
    for (; n >= 128; n >>= 7U) out += static_cast<char>(n | 0x80U);
    return out + static_cast<char>(n) + bytes;
}
std::string onnx(const std::string& graph, const std::string& more = {}) {
    return std::string("\x08\x08", 2) + field(2, "a maker of graphs that is no library of anybody") + field(7, graph) +
           more;
}
std::string node(const std::string& type, const std::string& domain, const std::string& attribute = {}) {
    return field(4, type) + field(7, domain) + (attribute.empty() ? "" : field(5, attribute));
}
std::string tensor(const std::string& location) {
    return field(8, "w") + field(13, field(1, "location") + field(2, location));
}

TEST(ScanShapes, Onnx) {
    const std::string bad = tensor("../../etc/passwd");
    EXPECT_CLEAN(onnx(field(1, node("Add", "")) + field(5, tensor("weights.bin"))), "m.onnx");
    EXPECT_RULE("onnx.external-path", onnx(field(5, bad)), "m.onnx");
    EXPECT_RULE("onnx.external-path", onnx(field(5, tensor("/etc/passwd"))), "model.bin");
    EXPECT_RULE("onnx.external-path", onnx(field(15, field(1, bad))), "m.onnx");                           // sparse
    EXPECT_RULE("onnx.external-path", onnx(field(1, node("If", "", field(6, field(5, bad))))), "m.onnx");  // a branch
    EXPECT_RULE("onnx.external-path", onnx(field(1, node("Constant", "", field(22, field(1, bad))))), "m.onnx");
    EXPECT_RULE("onnx.external-path", onnx("", field(20, field(2, field(5, bad)))), "m.onnx");  // training
    EXPECT_RULE("onnx.custom-domain", onnx(field(1, node("Magic", "com.example"))), "m.onnx");
    EXPECT_RULE("onnx.python-op", onnx(field(1, node("PyOp", "ai.onnx.contrib"))), "m.onnx");
    // A function of the model's own is no library.
    EXPECT_CLEAN(onnx(field(1, node("Magic", "com.example")),
                      field(25, field(1, "Magic") + field(7, node("Add", "")) + field(10, "com.example"))),
                 "m.onnx");
}

TEST(ScanShapes, KerasInSavedModels) {
    EXPECT_RULE("keras.lambda", std::string("\x0a\x40\x12", 3) + R"({"class_name": "Lambda", "config": {}})",
                "keras_metadata.pb");
    EXPECT_RULE("tensorflow.op", field(2, field(1, field(1, "x") + field(2, "ReadFile"))), "saved_model.pb");
}

// --- text ------------------------------------------------------------------------------------------------------------

TEST(ScanShapes, TemplatesThatSpellWhatTheyReachFor) {
    for (const char* source :
         {"{{ messages|map(attribute='__class__')|list }}", "{% set x = '__cla' ~ 'ss__' %}{{ ''[x] }}",
          "{{ ''[['_','_','class','_','_']|join] }}", "{{ x[('_'*2) ~ 'class' ~ ('_'*2)] }}",
          "{{ x['\\137\\137class\\137\\137'] }}", "{{ x['\\N{LOW LINE}class'] }}", "{{ x['__ssalc__'|reverse] }}",
          "{{ x['%c%c'|format(95,95) ~ 'x'] }}", "{{ x|sort(attribute='a.__class__.__mro__') }}",
          "{{ self._TemplateReference__context }}", "{{ dict(__class__=x)|list|first }}", "{{ x['__CLASS__'|lower] }}",
          "{% set c = '_' ~ '_' ~ 'class' %}"})
        EXPECT_RULE("template.escape", source, "chat_template.jinja");
    for (const char* source :
         {"{{ m['role'] ~ '_' ~ loop.index }}", "{{ name.replace('-', '_') }}", "{{ x.split('_')[0] }}",
          "{{ '<__media__>' }}", "{{ messages|map(attribute='content')|join('_') }}",
          "{% if x in ['-', '_'] %}a{% endif %}", "{{ '\\n' ~ x }}"})
        EXPECT_CLEAN(source, "chat_template.jinja");
}

TEST(ScanShapes, CodeThatIsReadInAnotherWay) {
    EXPECT_RULE("code.hidden", "# -*- coding: unicode_escape -*-\n#\\x0aimport os\n", "a.py");
    EXPECT_RULE("code.hidden", "#!/usr/bin/python\n# vim: set fileencoding=utf-7 :\nx = 1\n", "a.py");
    EXPECT_CLEAN("# -*- coding: utf-8 -*-\nx = 1\n", "a.py");
    EXPECT_CLEAN("# encoding: iso-8859-1\nx = 1\n", "a.py");
    EXPECT_RULE("code.startup", "import os; os.system('id')\n", "site.pth");
    EXPECT_CLEAN("../shared/packages\n", "site.pth");
    EXPECT_RULE("code.remote", R"([{"idx": 0, "name": "0", "path": "", "type": "custom_st.Transformer"}])",
                "modules.json");
    EXPECT_CLEAN(R"([{"idx": 0, "name": "0", "path": "", "type": "sentence_transformers.models.Transformer"}])",
                 "modules.json");
}

TEST(ScanShapes, WhatNobodyHereReadsIsNotCalledClean) {
    for (const auto& [bytes, name] : std::vector<std::pair<std::string, std::string>>{
             {std::string("\xac\xed\0\x05sr\0\x10java.util.HashMap", 25), "model.ser"},
             {"RDX3\nX\n" + noise(50), "model.rda"},
             {std::string("\x1c\0\0\0TFL3", 8) + noise(100), "model.tflite"},
             {noise(100), "model.engine"},
             {noise(100), "model.mlmodel"}})
        EXPECT_EQ(look(bytes, name).outcome(), scan::Outcome::not_scanned) << name;
}

// --- the same whatever the number of threads ------------------------------------------------------------------------

TEST(ScanShapes, ThreadsChangeNothing) {
    std::string large = noise(13 << 20);
    // At the edges of the windows that a large file is searched in; each imports another name.
    const std::vector<std::pair<std::size_t, std::string>> places = {
        {100, "system"}, {(4U << 20) - 10, "popen"}, {8U << 20, "execv"}, {(9U << 20) + 7, "spawnl"}};
    for (const auto& [at, name] : places) {
        const std::string call = "\x80\x02" + ("cos\n" + name) + "\n" + text4("id") + "\x85R.";
        large.replace(at, call.size(), call);
    }
    const std::string text = "\n" + base64(zip({{"x.pkl", system_call()}}), false) + "\n";
    for (const std::size_t at : {(std::size_t{5} << 20) + 3, (std::size_t{12} << 20) - 20})
        large.replace(at, text.size(), text);
    const auto told = [&](unsigned threads, const std::string& bytes, const char* name) {
        scan::Options options;
        options.threads = threads;
        return shown(look(bytes, name, options));
    };
    const std::string one = told(1, large, "m.bin");
    EXPECT_EQ(std::string_view(one).find("base64 at") != std::string_view::npos, true) << one;
    for (const auto& place : places)
        EXPECT_NE(one.find(fmt::format("\"offset\": {}", place.first + 2)), std::string::npos) << place.first << one;
    EXPECT_EQ(one, told(2, large, "m.bin"));
    EXPECT_EQ(one, told(7, large, "m.bin"));
    const std::string archive = zip({{"a/data.pkl", "\x80\x02N."}, {"a/data/0", large + large + large}});
    EXPECT_EQ(told(1, archive, "m.pt"), told(3, archive, "m.pt"));
}

}  // namespace
}  // namespace freehold::scan_test
