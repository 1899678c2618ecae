/* number.c - doubles as text. */
#include <float.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "out.h"

/* 15 digits always survive decimal to binary to decimal, so if they read back they are the shortest form (%g
 * drops the zeros at their end); 17 always read back. Subnormal numbers have fewer digits. */
void number_text(char *to, size_t size, double x)
{
    if (x == 0) {
        snprintf(to, size, "0");
        return;
    }
    if (fabs(x) < 1e15 && x == (double)(int64_t)x) {
        snprintf(to, size, "%lld", (long long)x);
        return;
    }
    for (int digits = fabs(x) < DBL_MIN ? 1 : 15; digits <= 17; digits++) {
        snprintf(to, size, "%.*g", digits, x);
        if (strtod(to, NULL) == x)
            return;
    }
}

void number_brief(char *to, size_t size, double x, unsigned flags)
{
    double a = fabs(x);
    bool whole = x == floor(x);
    if (!isfinite(x))
        snprintf(to, size, "-");
    else if (a >= 1e10)
        snprintf(to, size, "%.4g", x);
    else if (a >= 1e7 || (flags & CELL_AMOUNT && (whole || a >= 1000)))
        snprintf(to, size, "%.0f", x);
    else if (flags & CELL_PRICE && a >= 10 && fabs(x * 100 - round(x * 100)) > 1e-4)
        snprintf(to, size, "%.4f", x);
    else if (a >= 10 || whole)
        snprintf(to, size, "%.2f", x);
    else if (a >= 0.001)
        snprintf(to, size, "%.4f", x);
    else
        snprintf(to, size, "%.3g", x);
}
