// The verbs that the table mounts, one file each in this folder.
#pragma once

#include "verb.h"

namespace freehold::cli {

Action setup_run(CLI::App& app);
Action setup_chat(CLI::App& app);
Action setup_serve(CLI::App& app);
Action setup_pull(CLI::App& app);
Action setup_push(CLI::App& app);
Action setup_diff(CLI::App& app);
Action setup_advisory(CLI::App& app);
Action setup_licence(CLI::App& app);
Action setup_openness(CLI::App& app);
Action setup_list(CLI::App& app);
Action setup_show(CLI::App& app);
Action setup_cp(CLI::App& app);
Action setup_rm(CLI::App& app);
Action setup_quantize(CLI::App& app);
Action setup_plan(CLI::App& app);
Action setup_convert(CLI::App& app);
Action setup_embed(CLI::App& app);
Action setup_translate(CLI::App& app);
Action setup_scan(CLI::App& app);
Action setup_tokenize(CLI::App& app);
Action setup_template(CLI::App& app);
Action setup_logits(CLI::App& app);
Action setup_perplexity(CLI::App& app);
Action setup_bench(CLI::App& app);
Action setup_config(CLI::App& app);
Action setup_key(CLI::App& app);
Action setup_audit(CLI::App& app);
Action setup_backup(CLI::App& app);
Action setup_restore(CLI::App& app);
Action setup_purge(CLI::App& app);
Action setup_doctor(CLI::App& app);
Action setup_pack(CLI::App& app);
Action setup_verify(CLI::App& app);
Action setup_lineage(CLI::App& app);
Action setup_sign(CLI::App& app);
Action setup_signing_key(CLI::App& app);
Action setup_completion(CLI::App& app);
Action setup_version(CLI::App& app);
// `freehold --version` and `freehold version` say the same.
int print_version(bool json);

}  // namespace freehold::cli
