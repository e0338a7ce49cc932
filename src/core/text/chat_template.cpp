// A parsed chat template and its rendering: the door of the interpreter in jinja/.
#include "freehold/text/chat_template.h"

#include "freehold/base/error.h"
#include "jinja/parser.h"
#include "jinja/resolver.h"
#include "jinja/runtime.h"

namespace freehold {
namespace {

constexpr std::size_t kMaxSource = 16U << 20U;

class JinjaTemplate final : public ChatTemplate {
 public:
    JinjaTemplate(jinja::TemplateTree tree, TemplateLimits limits) : tree_(std::move(tree)), limits_(limits) {}

    [[nodiscard]] std::string render(const ValueMap& context, std::int64_t now) const override {
        return jinja::Runtime(tree_, limits_, now).render(context);
    }

 private:
    jinja::TemplateTree tree_;
    TemplateLimits limits_;
};

}  // namespace

std::shared_ptr<const ChatTemplate> ChatTemplate::parse(std::string_view source, TemplateLimits limits) {
    if (source.size() > kMaxSource) {
        throw Error(ErrorKind::limit,
                    "the chat template has " + std::to_string(source.size()) + " bytes, more than " +
                        std::to_string(kMaxSource),
                    "No chat template is that long; use another one.");
    }
    jinja::TemplateTree tree = jinja::parse_template(source, limits.depth);
    jinja::resolve_names(tree);
    return std::make_shared<JinjaTemplate>(std::move(tree), limits);
}

}  // namespace freehold
