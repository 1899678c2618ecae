#include "redact.h"

#include <string.h>

void redact(char *text, const struct secret *secret)
{
    if (!secret || secret_size(secret) == 0)
        return;
    for (char *p = text; (p = strstr(p, secret_text(secret))); p += secret_size(secret))
        memset(p, '*', secret_size(secret));
}
