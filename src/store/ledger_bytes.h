/* A ledger as bytes (FORMAT.md, "Ledger"). Private to the room: whoever holds them checks them by a CRC. */
#ifndef STORE_LEDGER_BYTES_H
#define STORE_LEDGER_BYTES_H

#include "block_buffer.h"
#include "codec/wire.h"
#include "store/ledger.h"

/* Appends; sorts the ledger. False: no memory, or the ledger has failed. */
bool ledger_write(struct ledger *ledger, struct bytes *out);
/* Adds what was written to `into`, which may have become as coarse. ERR_CORRUPT: `into` has a part of it, and is worthless. */
enum err ledger_read(struct slice bytes, struct ledger *into);

#endif
