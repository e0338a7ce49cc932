// freehold config: what the server would run with, where each value comes from, and what is wrong with it.
#include <fmt/format.h>

#include "../console.h"
#include "../session.h"
#include "../settings/settings.h"
#include "../settings/start_check.h"
#include "freehold/access/json.h"
#include "freehold/base/file.h"
#include "freehold/store/store.h"
#include "verbs.h"

namespace freehold::cli {
namespace {

struct Options {
    std::string file;
    bool json = false, all = false;
};

Settings settings_of(const Options& o) {
    Settings::Sources sources;
    sources.file = o.file;
    return Settings::read(sources);
}

ValueList faults_json(const std::vector<SettingFault>& faults) {
    ValueList list;
    for (const SettingFault& fault : faults)
        list.emplace_back(ValueMap{{"where", fault.where}, {"message", fault.message}, {"hint", fault.hint}});
    return list;
}

int check(const Options& o) {
    const Settings settings = settings_of(o);
    std::vector<SettingFault> faults = settings.faults();
    if (faults.empty()) faults = start_faults(settings, default_home());
    const bool good = faults.empty();
    if (o.json) {
        ValueMap map;
        map.set("ok", good);
        map.set("file", settings.file().string());
        map.set("faults", faults_json(faults));
        map.set("strange_variables", settings.strange_variables());
        out(to_json(Value(std::move(map)), 2) + "\n");
        return good ? 0 : 1;
    }
    const std::string file =
        settings.file().empty() ? "There is no file; flags, environment and defaults hold." : settings.file().string();
    for (const SettingFault& fault : faults) {
        out(fmt::format("{}: {}\n", fault.where, fault.message));
        if (!fault.hint.empty()) out(fmt::format("    {}\n", fault.hint));
    }
    for (const std::string& name : settings.strange_variables())
        out(fmt::format("{} is no setting and counts for nothing.\n", name));
    out(good ? fmt::format("{}\nThe settings are whole.\n", file)
             : fmt::format("{} {} wrong. The server would not start.\n", faults.size(),
                           faults.size() == 1 ? "thing is" : "things are"));
    return good ? 0 : 1;
}

std::string shown(const Setting& setting, const Value& value) {
    if (setting.secret) return "(secret)";
    if (const auto* list = value.get<std::vector<std::string>>()) {
        std::string text;
        for (const std::string& item : *list) text += (text.empty() ? "" : ", ") + item;
        return text;
    }
    return value.as_string() ? std::string(*value.as_string()) : to_json(value);
}

int show(const Options& o) {
    const Settings settings = settings_of(o);
    ValueList list;
    Table table({{"SETTING"}, {"VALUE"}, {"FROM", false, true}});
    for (const Setting& setting : settings.table()) {
        const SettingValue* there = settings.find(setting.key);
        if (there == nullptr && !o.all && !o.json && *setting.standard == '\0') continue;
        const std::string origin = there == nullptr ? "default" : there->origin;
        table.add({setting.key, there == nullptr ? setting.standard : shown(setting, there->value), origin});
        list.emplace_back(ValueMap{{"key", setting.key},
                                   {"value", there == nullptr ? Value()
                                             : setting.secret ? Value("(secret)")
                                                              : there->value},
                                   {"from", origin},
                                   {"environment", environment_name(setting)},
                                   {"default", setting.standard}});
    }
    if (o.json) {
        ValueMap map;
        map.set("file", settings.file().string());
        map.set("settings", std::move(list));
        map.set("faults", faults_json(settings.faults()));
        out(to_json(Value(std::move(map)), 2) + "\n");
    } else {
        out(table.str(stdout_is_terminal() ? terminal_width() : 0));
        if (!settings.faults().empty()) {
            notice(fmt::format("{} things are wrong and are not in this table: `freehold config check` names them.",
                               settings.faults().size()));
        }
    }
    return settings.faults().empty() ? 0 : 1;
}

}  // namespace

Action setup_config(CLI::App& app) {
    auto o = std::make_shared<Options>();
    app.require_subcommand(1);
    CLI::App* one = app.add_subcommand("check", "Say what is wrong with the settings: exit code 0 or 1");
    CLI::App* two = app.add_subcommand("show", "The values in force, and where each comes from");
    CLI::App* three = app.add_subcommand("reference", "Every setting, as the tables of docs/configuration.md");
    two->add_flag("--all", o->all, "Also those that nobody said and that have no default");
    const char* const examples =
        "A flag beats the environment, the environment beats the file. The file is $FREEHOLD_CONFIG, else config.yaml "
        "under FREEHOLD_HOME, else /etc/freehold/config.yaml.\n\nExamples\n  freehold config check\n  freehold config "
        "check "
        "--file new.yaml && systemctl restart freehold\n  FREEHOLD_PARALLEL=8 freehold config show";
    app.footer(examples);
    for (CLI::App* sub : {one, two}) {
        sub->footer(examples);
        sub->add_option("--config,--file", o->file, "This file, wherever it lies")->type_name("FILE");
        add_json_flag(*sub, o->json);
    }
    return [o, two, three] {
        if (three->parsed()) {
            out(settings_markdown(settings_table()));
            return 0;
        }
        return two->parsed() ? show(*o) : check(*o);
    };
}

}  // namespace freehold::cli
