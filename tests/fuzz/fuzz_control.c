/* Any bytes as lines of a control client: refused with a reason, or a request within its bounds. */
#include "control_request.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check(int ok)
{
    if (!ok)
        abort();
}

static void check_line(const char *line, size_t size)
{
    struct control_parsed p;
    memset(&p, 0xa5, sizeof(p));
    const char *why = NULL;
    if (control_parse(&p, line, size, &why) < 0) {
        check(why && why[0]);
        return;
    }
    check(p.verb <= CONTROL_STOP);
    check(p.cluster < PGD_CLUSTERS);
    check(p.topics < 2 * PGD_VALUES);
    size_t n = strnlen(p.symbol, sizeof(p.symbol));
    check(n < sizeof(p.symbol) && (n > 0) == (p.verb == CONTROL_SUBSCRIBE));
    for (size_t i = 0; i < n; i++)
        check(isgraph((unsigned char)p.symbol[i]) && !strchr(",\"\\'", p.symbol[i]));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const char *text = (const char *)data;
    while (size > 0) {
        const char *end = memchr(text, '\n', size);
        size_t n = end ? (size_t)(end - text) : size;
        /* A copy of just that size: no byte beyond the line may be looked at. */
        char *line = malloc(n ? n : 1);
        check(line != NULL);
        memcpy(line, text, n);
        check_line(line, n);
        free(line);
        size -= n + (end != NULL);
        text += n + (end != NULL);
    }
    return 0;
}
