/* How the clusters call topics and symbols. */
#include "stream.h"

#include <errno.h>
#include <string.h>

#define WIRE_TOPICS 5

static const char *const wire_topics[PGD_CLUSTERS][WIRE_TOPICS] = {
    [PGD_STOCKS] = {"T", "Q", "A", "AM", NULL},     [PGD_OPTIONS] = {"T", "Q", "A", "AM", NULL},
    [PGD_CRYPTO] = {"XT", "XQ", "XAS", "XA", NULL}, [PGD_FOREX] = {NULL, "C", "CAS", "CA", NULL},
    [PGD_INDICES] = {NULL, NULL, "A", "AM", "V"},   [PGD_FUTURES] = {"T", "Q", "A", "AM", NULL},
};

const char *stream_topic(enum pgd_cluster cluster, enum pgd_topic topic)
{
    if ((unsigned)cluster >= PGD_CLUSTERS)
        return NULL;
    for (unsigned bit = 0; bit < WIRE_TOPICS; bit++)
        if ((unsigned)topic == 1u << bit)
            return wire_topics[cluster][bit];
    return NULL;
}

/* Characters that would end the name in the message's list, or need an escape there. */
static bool wire_plain(const char *symbol)
{
    for (const unsigned char *p = (const unsigned char *)symbol; *p; p++)
        if (*p <= ' ' || *p == '"' || *p == '\\' || *p == ',' || *p == 0x7f)
            return false;
    return *symbol != '\0';
}

int stream_wire_symbol(char ret[PGD_SYMBOL_MAX], enum pgd_cluster cluster, const char *symbol)
{
    if (cluster == PGD_CRYPTO && strncmp(symbol, "X:", 2) == 0)
        symbol += 2;
    else if (cluster == PGD_FOREX && strncmp(symbol, "C:", 2) == 0)
        symbol += 2;
    size_t n = strlen(symbol);
    if (n >= PGD_SYMBOL_MAX || !wire_plain(symbol))
        return -EINVAL;
    memcpy(ret, symbol, n + 1);
    char *dash = cluster == PGD_FOREX ? strchr(ret, '-') : NULL;
    if (dash)
        *dash = '/';
    return 0;
}
