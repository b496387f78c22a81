#pragma once
#include "app/flags/flags.h"
#include "engine/device.h"
#include "train/trainer.h"

namespace loragrad {

/// run.yaml: every flag of the run as it was resolved, so that `--config run.yaml --output OTHER` gives the same bits
/// again, under a comment that names what else they depend on. `resolved` are the options that the run takes: a limit of
/// memory stands there as what it led to. What is said of this output alone (--overwrite, --metrics, --json, --resume) is
/// left out.
std::string run_config_text(const Flags& flags, const TrainOptions& resolved, const Device& device);

}  // namespace loragrad
