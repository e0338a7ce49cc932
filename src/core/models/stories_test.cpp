// The small story model that the repository carries: greedy decoding reproduces the ids that its authors' program
// gives.
#include "freehold/base/file.h"
#include "test_session.h"

namespace freehold {
namespace {

const std::string kFolder = std::string(FREEHOLD_TEST_DATA) + "/stories260K/";

TEST(Stories, GreedyIdsAreThoseExpected) {
    ThreadPool threads(2);
    const Value expected = parse_json(read_text(kFolder + "expected_greedy.json"), "expected_greedy.json");
    const Value* const ids = find(*expected.get<ValueMap>(), "greedy_ids");
    ASSERT_NE(ids, nullptr);
    for (const KvType type : {KvType::F32, KvType::F16}) {
        const auto decoder =
            Decoder::load(ModelFiles::open(kFolder + "stories260K.bin"), {Profile::f32, true, {}}, threads);
        test::Session session(*decoder, threads, type);
        Token token = 1;
        for (std::size_t i = 0; i < ids->size(); ++i) {
            const std::vector<float> logits = session.feed(std::span(&token, 1));
            token = static_cast<Token>(active_kernels().argmax(logits.data(), logits.size()));
            ASSERT_EQ(token, *ids->at(i).as_int()) << "at step " << i;
        }
    }
}

}  // namespace
}  // namespace freehold
