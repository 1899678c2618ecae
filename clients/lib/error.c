/* error.c - texts of errors. */
#include <string.h>

#include "client.h"

const char *pgd_strerror(int error)
{
    switch (error) {
#define PGD_ERROR_TEXT(code, value, text)                                                                    \
    case code:                                                                                               \
        return text;
        PGD_ERRORS(PGD_ERROR_TEXT)
#undef PGD_ERROR_TEXT
    default:
        break;
    }
    if (error > 0 || error < -4095)
        return "unknown error";
    const char *text = strerrordesc_np(-error);
    return text ? text : "unknown error";
}

const char *pgd_version(void)
{
    return PGD_VERSION;
}
