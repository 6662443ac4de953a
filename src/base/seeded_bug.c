/* The switch of the seeded bugs; empty in every build but the campaign's own. */
#include "base/seeded_bug.h"

#ifdef SPANMILL_SEEDED_BUGS
#include <string.h>

enum seeded_bug seeded_bug = SEEDED_BUG_NONE;

enum seeded_bug seeded_bug_by_name(const char *name)
{
    static const char *const names[] = {"",
#define X(name, where, what) #name,
                                        SEEDED_BUG_TABLE(X)
#undef X
    };
    for (unsigned i = 1; i < sizeof names / sizeof names[0]; i++) {
        if (strcmp(names[i], name) == 0) return (enum seeded_bug)i;
    }
    return SEEDED_BUG_NONE;
}
#endif
