#include "cuda/why.h"

#include <stdarg.h>
#include <stdio.h>

int pgk_why(int error, char *why, size_t size, const char *format, ...)
{
    if (size == 0)
        return error;
    va_list ap;
    va_start(ap, format);
    vsnprintf(why, size, format, ap);
    va_end(ap);
    for (char *p = why; *p; p++)
        if (*p == '\n')
            *p = ' ';
    return error;
}
