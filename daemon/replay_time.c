/* Times and speeds as users write them. */
#include "replay.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "clock.h"

/* By magnitude, as the vendor's own times are told apart. */
static int from_number(int64_t *ret_ns, const char *text)
{
    char *end;
    errno = 0;
    long long n = strtoll(text, &end, 10);
    if (errno || end == text || *end || n < 0)
        return -EINVAL;
    int64_t scale = n >= 100000000000000000 ? 1
                    : n >= 100000000000000  ? 1000
                    : n >= 100000000000     ? 1000000
                                            : NS_PER_S;
    *ret_ns = n * scale; /* the largest of each range fits */
    return 0;
}

int replay_time(int64_t *ret_ns, const char *text)
{
    static const char *const forms[] = {"%Y-%m-%dT%H:%M:%S", "%Y-%m-%d %H:%M:%S", "%Y-%m-%dT%H:%M",
                                        "%Y-%m-%d %H:%M", "%Y-%m-%d"};
    for (size_t i = 0; i < sizeof forms / sizeof forms[0]; i++) {
        struct tm tm = {0};
        const char *rest = strptime(text, forms[i], &tm);
        if (!rest)
            continue;
        int64_t fraction = 0;
        if (*rest == '.' && i < 2) {
            int64_t unit = NS_PER_S / 10;
            for (rest++; *rest >= '0' && *rest <= '9'; rest++, unit /= 10)
                fraction += (*rest - '0') * unit;
        }
        if (*rest == 'Z')
            rest++;
        if (*rest)
            continue;
        *ret_ns = (int64_t)timegm(&tm) * NS_PER_S + fraction;
        return 0;
    }
    return from_number(ret_ns, text);
}

int replay_speed(double *ret, const char *text)
{
    if (strcmp(text, "max") == 0) {
        *ret = 0;
        return 0;
    }
    char *end;
    double speed = strtod(text, &end);
    if (end == text || *end || !isfinite(speed) || speed < 1e-6 || speed > 1e9)
        return -EINVAL;
    *ret = speed;
    return 0;
}
