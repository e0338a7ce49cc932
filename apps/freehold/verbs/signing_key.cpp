// freehold signing-key: a key pair that signs bundles; `freehold key` is about the keys of the server.
#include <fmt/format.h>

#include "../console.h"
#include "../session.h"
#include "freehold/bundle/signature.h"
#include "verbs.h"

namespace freehold::cli {
namespace {

struct Options {
    std::string file, type = "p256";
    bool json = false;
};

int signing_key_verb(const Options& o) {
    const bundle::PrivateKey key = bundle::PrivateKey::generate(bundle::key_kind_from(o.type));
    key.save(o.file);
    if (o.json) {
        out(to_json(Value(ValueMap{{"private_key", o.file},
                                   {"public_key", o.file + ".pub"},
                                   {"type", bundle::key_kind_name(key.public_key().kind())},
                                   {"fingerprint", key.public_key().hint()}}),
                    2) +
            "\n");
        return 0;
    }
    out(fmt::format(
        "{} signs (keep it to yourself), {}.pub checks (give it to others).\nFingerprint of the public key: {}\n",
        o.file, o.file, key.public_key().hint()));
    if (key.public_key().kind() == bundle::KeyKind::ed25519)
        notice("Freehold checks signatures by Ed25519; the reference verifier model_signing does not.");
    return 0;
}

}  // namespace

Action setup_signing_key(CLI::App& app) {
    auto o = std::make_shared<Options>();
    app.add_option("FILE", o->file, "Where the private key goes; the public one gets the name FILE.pub")
        ->required()
        ->type_name("FILE");
    app.add_option("--type", o->type, "p256 (default), p384, p521 or ed25519")->type_name("TYPE");
    add_json_flag(app, o->json);
    app.footer(
        "An existing file is never overwritten. The private key is kept without a password, readable by its owner "
        "only.\n\n"
        "Examples\n"
        "  freehold signing-key team.key\n"
        "  freehold pack smollm2:135m -o bundle --key team.key && freehold verify bundle --key team.key.pub");
    return [o] { return signing_key_verb(*o); };
}

}  // namespace freehold::cli
