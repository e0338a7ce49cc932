// freehold sign: a signature beside the files of any folder, e.g. a release; `freehold pack` signs what it packs
// itself.
#include <fmt/format.h>

#include <filesystem>

#include "../console.h"
#include "../interrupt.h"
#include "../progress_bar.h"
#include "../session.h"
#include "freehold/base/file.h"
#include "freehold/bundle/contents.h"
#include "freehold/bundle/manifest.h"
#include "freehold/bundle/signature.h"
#include "verbs.h"

namespace freehold::cli {
namespace {

namespace fs = std::filesystem;

struct Options {
    std::string folder, key;
    bool json = false, force = false;
};

// Every file that a verifier will look for; anything that it would refuse is refused before the signature.
bundle::Contents contents_to_sign(const Options& o) {
    if (!fs::is_directory(o.folder))
        throw Error(ErrorKind::usage, fmt::format("{} is no folder.", o.folder),
                    "A signature lies beside the files that it is for: put them into a folder.");
    bundle::Contents contents = bundle::contents_of_path(o.folder);
    if (!contents.faults.empty())
        throw Error(ErrorKind::bad_file, contents.faults.front(), "Take it out of the folder, or sign a clean copy.");
    if (!contents.skipped.empty())
        throw Error(ErrorKind::usage,
                    fmt::format("{} holds {}, which no signature covers.", o.folder, contents.skipped.front()),
                    "Sign a copy without it, e.g. of `git archive`.");
    if (contents.find(bundle::kSignatureFile) != nullptr && !o.force)
        throw Error(ErrorKind::conflict, fmt::format("{} is signed already.", o.folder),
                    "--force puts a new signature in the place of the old one.");
    std::erase_if(contents.entries, [](const bundle::Entry& e) { return e.name == bundle::kSignatureFile; });
    return contents;
}

int sign_verb(const Options& o) {
    const bundle::PrivateKey key = bundle::PrivateKey::load(o.key);
    const bundle::Contents contents = contents_to_sign(o);
    const InterruptGuard guard;
    ProgressBar bar(o.json && !stderr_is_terminal());
    std::vector<bundle::Resource> files;
    files.reserve(contents.entries.size());
    for (const bundle::Entry& entry : contents.entries)
        files.push_back({entry.name, bundle::digest_entry(entry, bar.callback())});
    const std::string root = bundle::root_digest(files);
    const fs::path folder = fs::weakly_canonical(o.folder), target = folder / bundle::kSignatureFile;
    const std::size_t count = files.size();
    const std::string statement = bundle::write_statement(folder.filename().string(), std::move(files));
    write_text_atomic(target, bundle::sign_envelope(key, bundle::kPayloadType, statement));
    if (o.json) {
        out(to_json(Value(ValueMap{{"signature", target.string()},
                                   {"files", static_cast<std::int64_t>(count)},
                                   {"root", root},
                                   {"key", key.public_key().hint()}}),
                    2) +
            "\n");
        return 0;
    }
    out(fmt::format("{} signs {} files with the key {}.\nTo check: freehold verify {} --key PUBLIC_KEY\n",
                    target.string(), count, key.public_key().hint().substr(0, 16), o.folder));
    return 0;
}

}  // namespace

Action setup_sign(CLI::App& app) {
    auto o = std::make_shared<Options>();
    app.add_option("FOLDER", o->folder, "What is signed: every file in it")->required()->type_name("FOLDER");
    app.add_option("--key", o->key, "The private key (freehold signing-key makes one)")->required()->type_name("FILE");
    app.add_flag("-f,--force", o->force, "Take the place of a signature that is there");
    add_json_flag(app, o->json);
    app.footer(
        "Writes FOLDER/model.sig in the format of OpenSSF model signing v1.0, which `freehold verify` and\n"
        "`model_signing verify key` read: one SHA-256 for each file. Links, and folders of git, are refused.\n\n"
        "Examples\n"
        "  freehold sign ./release --key team.key && freehold verify ./release --key team.key.pub");
    return [o] { return sign_verb(*o); };
}

}  // namespace freehold::cli
