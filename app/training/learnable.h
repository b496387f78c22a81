#pragma once
#include <cstdint>

#include "data/dataset.h"
#include "data/tokenizer/tokenizer.h"
#include "models/model.h"
#include "train/trainer.h"

namespace loragrad {

// What keeps a run, or a part of it, from learning: said before it, and where it shows afterwards.

/// Warns when no step, or none at the full --lr, learns; UsageError when that was not asked for by --lr 0.
void check_rates(const TrainOptions& options, std::int64_t rows);

/// Warns of rows that lost their end, or all that was supervised, of those that had nothing supervised, of columns that
/// would have said what is, and of rows that begin with other tokens than their prompt alone, where generation starts.
void warn_of_rows(const Dataset& data);

/// Warns of end tokens that the rows ask for and whose row of the head was never trained (models/generate/head_row.h): an
/// adapter of linear layers does not change that row, and generation does not end. Not where the adapter trains the head.
void warn_of_untrained_ends(const CausalLm& model, const Adapter& adapter, const Dataset& data,
                            const Tokenizer* tokenizer);

/// Whether a label asks for the token.
bool is_supervised(const Dataset& data, TokenId id);

/// Warns after a run none of whose steps had both a learning rate and a loss.
void warn_if_nothing_was_learnt(const TrainResult& result);

}  // namespace loragrad
