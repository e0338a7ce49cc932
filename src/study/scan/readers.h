// The readers behind the dispatcher. Each takes content of its kind; false means that it is of another kind after all.
#pragma once

#include <string_view>

#include "context.h"

namespace freehold::scan {

// archives (zip_walk.cpp, archives.cpp)
[[nodiscard]] bool has_zip_directory(Bytes bytes) noexcept;
void scan_zip(Context& context, const Content& content);
[[nodiscard]] bool is_archive(Bytes bytes) noexcept;  // of a kind that libarchive reads
void scan_archive(Context& context, const Content& content);
// A member of a ZIP archive that is packed by another method than deflate (bzip2, LZMA, xz, zstd, PPMd), by libarchive.
// False: it is packed in a way that is not known (`out` stays empty), or not whole.
struct PackedMember {
    unsigned method = 0, flags = 0;
    std::uint32_t crc = 0;
    std::uint64_t size = 0;
};
[[nodiscard]] bool unpack_member(Context& context, const Content& content, Bytes packed, const PackedMember& how,
                                 std::string& out);
// Says what is wrong with the name of a member, or with the target of a link in it.
void check_member_name(Context& context, const Content& archive, std::string_view name);
void check_member_link(Context& context, const Content& archive, std::string_view name, std::string_view target);

// model files (models.cpp, hdf5.cpp, graphs.cpp)
void scan_numpy(Context& context, const Content& content);
void scan_gguf(Context& context, const Content& content);
[[nodiscard]] bool is_safetensors(const Content& content) noexcept;
void scan_safetensors(Context& context, const Content& content);
[[nodiscard]] bool is_hdf5(Bytes bytes) noexcept;
void scan_hdf5(Context& context, const Content& content);
[[nodiscard]] bool looks_like_onnx(Bytes bytes) noexcept;
void scan_onnx(Context& context, const Content& content);
void scan_tensorflow(Context& context, const Content& content);
[[nodiscard]] const char* native_code(Bytes bytes) noexcept;  // "an ELF program", null: none

// text (json_text.cpp, build_text.cpp, template_text.cpp, python_text.cpp, python_files.cpp, other_text.cpp)
[[nodiscard]] bool is_text(Bytes bytes) noexcept;
void scan_json(Context& context, const Content& content);
void scan_keras_text(Context& context, const Content& content);  // configurations inside other bytes
void scan_template(Context& context, const Content& content, std::string_view source, std::string_view what);
void scan_python(Context& context, const Content& content, std::string_view source, std::uint64_t first_line);
// The encoding that Python code asks to be read in.
void check_encoding(Context& context, const Content& content, std::string_view source);
void scan_torchscript(Context& context, const Content& content);
void scan_notebook(Context& context, const Content& content);
void scan_c(Context& context, const Content& content);
void scan_shell(Context& context, const Content& content);
void scan_shell_text(Context& context, const Content& content, std::string_view text);
void scan_yaml(Context& context, const Content& content);
// Requirements of Python and the like, by the names that such files have: packages from unusual places.
[[nodiscard]] bool is_package_list(std::string_view leaf);
void scan_packages(Context& context, const Content& content);
// Has a file of this name lines that a shell runs?
[[nodiscard]] bool holds_commands(std::string_view leaf, std::string_view ending);
void scan_secrets(Context& context, const Content& content);

[[nodiscard]] std::uint64_t line_of(std::string_view text, std::size_t at) noexcept;
// The ending of a name in small letters: ".pkl"; "" without one.
[[nodiscard]] std::string ending_of(std::string_view name);
[[nodiscard]] std::string leaf_of(std::string_view name);

}  // namespace freehold::scan
