#include "audit.h"
enum err audit_run(const struct audit_config *config, struct audit_result *result)
{
    (void)config;
    (void)result;
    return ERR_UNSUPPORTED;
}
