#include "config_quote.h"

#include <stdint.h>

/* Length of the UTF-8 sequence that starts with `lead`, and its payload bits. */
static int sequence(uint8_t lead, uint32_t *ret)
{
    if (lead >= 0xf0) {
        *ret = lead & 0x07u;
        return 4;
    }
    if (lead >= 0xe0) {
        *ret = lead & 0x0fu;
        return 3;
    }
    *ret = lead & 0x1fu;
    return 2;
}

static const char *wide(FILE *out, const char *p)
{
    uint32_t code;
    int length = sequence((uint8_t)*p, &code);
    int i = 1;
    for (; i < length && ((uint8_t)p[i] & 0xc0u) == 0x80u; i++)
        code = code << 6 | ((uint8_t)p[i] & 0x3fu);
    fprintf(out, "\\U%08x", (unsigned)code);
    return p + i;
}

void config_quote(FILE *out, const char *text)
{
    fputc('"', out);
    for (const char *p = text; *p;) {
        uint8_t c = (uint8_t)*p;
        if (c >= 0x80) {
            p = wide(out, p);
            continue;
        }
        if (c < 0x20 || c == 0x7f)
            fprintf(out, "\\x%02x", (unsigned)c);
        else if (c == '"' || c == '\\')
            fprintf(out, "\\%c", c);
        else
            fputc(c, out);
        p++;
    }
    fputc('"', out);
}
