// The fields are part of the interface of --json: names stay, new ones may be added.
#include "model_json.h"

namespace freehold::cli {

ValueMap licence_json(const Licence& licence) {
    ValueMap map;
    map.set("id", licence.id);
    map.set("category", std::string(licence_category_name(licence.category)));
    map.set("url", licence.url);
    return map;
}

ValueMap stored_model_json(const StoredModel& model) {
    ValueMap map;
    map.set("name", model.name.str());
    map.set("digest", model.digest);
    map.set("bytes", model.size);
    map.set("architecture", model.record.architecture);
    map.set("container", model.record.container);
    map.set("parameters", model.record.parameters);
    map.set("quantisation", model.record.quantisation);
    map.set("context", model.record.context);
    map.set("description", model.record.description);
    map.set("licence", licence_json(model.record.licence));
    map.set("source", model.record.source);
    map.set("source_revision", model.record.source_revision);
    map.set("created", model.record.created);
    map.set("parents", model.record.parents);
    map.set("adapter", is_adapter(model.record));
    const Value* const scan = model.record.extra.find("scan");
    map.set("scan", scan == nullptr ? Value() : *scan);
    ValueList files;
    for (const StoredFile& file : model.files) {
        ValueMap entry;
        entry.set("path", file.path);
        entry.set("digest", file.digest);
        entry.set("bytes", file.size);
        if (file.linked_at) entry.set("linked_at", file.linked_at->string());
        files.emplace_back(std::move(entry));
    }
    map.set("files", std::move(files));
    return map;
}

}  // namespace freehold::cli
