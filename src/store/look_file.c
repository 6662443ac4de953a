/* The magics of all files, in one place for who does not know yet what it looks at. */
#include "store/look.h"

#include <string.h>

enum look_file look_file(const uint8_t magic[8])
{
    static const struct {
        char magic[9];
        enum look_file file;
    } rows[] = {{"SMSUPER1", LOOK_FILE_SUPERBLOCK},
                {"SMSEGMT1", LOOK_FILE_SEGMENT},
                {"SMJOURN1", LOOK_FILE_JOURNAL},
                {"SMBLOCK1", LOOK_FILE_BLOCK}};

    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        if (memcmp(magic, rows[i].magic, 8) == 0) return rows[i].file;
    return LOOK_FILE_UNKNOWN;
}
