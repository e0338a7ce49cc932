// The files inside the program: the page is there, each file is what its type says, names and tags are sound.
// Whether the page works is tested in a real browser, in tests/web.
#include "freehold/web/assets.h"

#include <gtest/gtest.h>
#include <zlib.h>

#include <algorithm>
#include <set>
#include <string>

namespace freehold::web {
namespace {

std::string unpacked(std::span<const std::uint8_t> gzip) {
    z_stream stream{};
    EXPECT_EQ(inflateInit2(&stream, 16 + MAX_WBITS), Z_OK);
    std::string input(gzip.begin(), gzip.end());
    std::string out, piece(1 << 16, '\0');
    stream.next_in = reinterpret_cast<Bytef*>(input.data());
    stream.avail_in = static_cast<uInt>(input.size());
    int state = Z_OK;
    while (state == Z_OK) {
        stream.next_out = reinterpret_cast<Bytef*>(piece.data());
        stream.avail_out = static_cast<uInt>(piece.size());
        state = inflate(&stream, Z_NO_FLUSH);
        out.append(piece, 0, piece.size() - stream.avail_out);
    }
    EXPECT_EQ(state, Z_STREAM_END);
    inflateEnd(&stream);
    return out;
}

TEST(WebAssets, PageIsThere) {
    const Asset* page = find_asset("/");
    ASSERT_NE(page, nullptr);
    EXPECT_EQ(page->content_type, "text/html; charset=utf-8");
    EXPECT_FALSE(page->immutable);
    EXPECT_NE(unpacked(page->gzip).find("<!doctype html>"), std::string::npos);
    EXPECT_EQ(find_asset("/no-such-file"), nullptr);
}

TEST(WebAssets, SmallAndInOrder) {
    std::size_t sum = 0;
    std::set<std::string_view> paths;
    for (const Asset& asset : web_assets()) {
        sum += asset.gzip.size();
        EXPECT_TRUE(paths.insert(asset.path).second) << asset.path;
        EXPECT_FALSE(asset.content_type.empty()) << asset.path;
        EXPECT_EQ(asset.etag.size(), 18U) << asset.path;
        ASSERT_GT(asset.gzip.size(), 18U) << asset.path;
        EXPECT_EQ(asset.immutable, asset.path.starts_with("/assets/")) << asset.path;
    }
    EXPECT_LT(sum, 300'000U);
    EXPECT_TRUE(std::ranges::is_sorted(web_assets(), {}, &Asset::path));
}

TEST(WebAssets, PageNamesOnlyFilesThatAreHere) {
    const std::string page = unpacked(find_asset("/")->gzip);
    std::size_t named = 0;
    for (const std::string word : {"href=\"/", "src=\"/"}) {
        for (std::size_t at = page.find(word); at != std::string::npos; at = page.find(word, at + 1)) {
            const std::size_t from = at + word.size() - 1;
            const std::string path = page.substr(from, page.find('"', from) - from);
            EXPECT_NE(find_asset(path), nullptr) << path;
            ++named;
        }
    }
    EXPECT_GE(named, has_page() ? 3U : 0U);
    EXPECT_EQ(page.find("style="), std::string::npos);
    EXPECT_EQ(page.find("<style"), std::string::npos);
}

}  // namespace
}  // namespace freehold::web
