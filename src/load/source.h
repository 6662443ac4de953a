/*
 * Where the templates of a stock come from: the generator or a capture. Both hand over one TracesData message
 * after the other, whose ids and times are their own; the stock finds out what to stamp.
 */
#ifndef LOAD_SOURCE_H
#define LOAD_SOURCE_H

#include "load/stock.h"

/* Gets each message, borrowed until it returns; an error ends the source. */
struct message_sink {
    enum err (*on_message)(struct message_sink *sink, struct slice message);
};

/* config->bodies messages of many ordinary traces. Deterministic in seed, profile, services, bodies, sizes.
 */
enum err generator_run(const struct stock_config *config, struct message_sink *sink);
/* The messages of one trace of config->giant_spans spans. */
enum err generator_run_giant(const struct stock_config *config, struct message_sink *sink);
/* The capture at config->corpus_path: plain or zstd, [u32 big-endian length][TracesData] each. */
enum err corpus_run(const struct stock_config *config, struct message_sink *sink);

#endif
