/*
 * Search.
 */
#include "search.h"

enum err search_answer(struct work *work, struct answer *answer)
{
    (void)work, (void)answer;
    return ERR_UNSUPPORTED;
}

enum err services_answer(struct work *work, struct answer *answer)
{
    (void)work, (void)answer;
    return ERR_UNSUPPORTED;
}

enum err operations_answer(struct work *work, struct answer *answer)
{
    (void)work, (void)answer;
    return ERR_UNSUPPORTED;
}
